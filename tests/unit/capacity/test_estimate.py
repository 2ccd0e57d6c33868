# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What models need in memory, compared with what the engine itself says, and what is said when it is not there."""

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.base.units import MIB
from ansible_collections.macos_setup.llm.plugins.module_utils.capacity import estimate
from ansible_collections.macos_setup.llm.plugins.module_utils.capacity.estimate import Need
from ansible_collections.macos_setup.llm.plugins.module_utils.models import gguf
from support import model_factory, model_shapes
from support.recorded_programs import recorded_program

# (model, --ctx-size, --parallel): what `llama-fit-params --fit-print on` of llama.cpp 0c1e570 printed for these files
# on Linux without a GPU: MiB of model, context, compute. tests/contract/test_model_memory.py asks the built one again.
ENGINE_SAYS = {
    ("tinyllama-1.1b", 512, 4): (2098, 22, 70),
    ("tinyllama-1.1b", 4096, 3): (2098, 99, 70),
    ("tinyllama-1.1b", 32768, 1): (2098, 704, 81),
    ("tinyllama-1.1b", 131072, 1): (2098, 2816, 177),
    ("qwen2.5-0.5b", 32768, 4): (942, 384, 300),
    ("llama-3.1-8b", 4096, 4): (15317, 512, 266),
    ("llama-3.1-8b", 131072, 1): (15317, 16384, 266),
    ("mixtral-8x7b", 4096, 1): (89081, 512, 204),
    ("mixtral-8x7b", 131072, 1): (89081, 16384, 328),
    ("gemma-2-9b", 4096, 1): (17628, 1344, 514),
    ("gemma-2-9b", 32768, 4): (17628, 8400, 514),
    ("mamba-2.8b", 4096, 1): (5294, 23, 113),
    ("mamba-2.8b", 4096, 4): (5294, 95, 113),
}


@pytest.fixture(scope="module")
def headers(tmp_path_factory):
    directory = tmp_path_factory.mktemp("shapes")
    found = {}
    for name, shape in model_shapes.MODELS.items():
        path = directory / f"{name}.gguf"
        model_shapes.write(path, shape)
        found[name] = gguf.check(str(path))
        path.unlink()
    return found


@pytest.mark.parametrize(("model", "context", "slots"), ENGINE_SAYS)
def test_the_estimate_agrees_with_the_engine(headers, model, context, slots):
    weights, cache, working = ENGINE_SAYS[model, context, slots]
    need = estimate.estimated(headers[model], context, slots)
    assert need.weights // MIB == weights
    assert need.context // MIB == cache or (not need.exact and need.context // MIB > cache)
    assert 0.95 * working <= need.working / MIB <= 1.2 * working + 1


@pytest.mark.parametrize(
    ("cache", "size", "working"),
    [(("q8_0", "q8_0"), 8704, 274), (("q8_0", "q4_0"), 6656, 274), (("iq4_nl", "q5_1"), 5376, 274)],
)
def test_a_quantised_cache_takes_less(headers, cache, size, working):
    """As the engine says for llama-3.1-8b with 131072 tokens in one slot."""
    need = estimate.estimated(headers["llama-3.1-8b"], 131072, 1, cache=cache)
    assert need.context // MIB == size
    assert 0.95 * working <= need.working / MIB <= 1.2 * working + 1


def test_a_type_of_cache_that_nobody_knows_takes_as_much_as_by_default(headers):
    plain, odd = (estimate.estimated(headers["llama-3.1-8b"], 4096, cache=(kind, kind)) for kind in ("f16", "q9"))
    assert odd == plain


def test_slots_of_their_own_do_not_share_what_the_common_context_has(headers):
    shared = estimate.estimated(headers["llama-3.1-8b"], 131072)
    alone = estimate.estimated(headers["llama-3.1-8b"], 131072, 4)
    assert shared.context == alone.context and shared.working >= alone.working


def info(tmp_path, **changes):
    """The header of a Llama whose keys are changed; None takes one away."""
    keys, tensors = model_shapes.llama(4, 256, 4, 2, 512, 1000)
    changed = {key.replace("__", "."): value for key, value in changes.items()}
    keys = [(key, changed.pop(key.partition(".")[2], value)) for key, value in keys]
    keys += [("llama." + key, value) for key, value in changed.items()]
    path = tmp_path / "a.gguf"
    model_shapes.write(path, ([(key, value) for key, value in keys if value is not None], tensors))
    return gguf.inspect(str(path))


def test_only_architectures_known_to_keep_everything_are_exact(tmp_path):
    assert estimate.estimated(info(tmp_path), 512).exact
    other = info(tmp_path)._replace(architecture="other")
    metadata = {key.replace("llama.", "other."): value for key, value in other.metadata.items()}
    assert not estimate.estimated(other._replace(metadata=metadata), 512).exact


def test_kv_heads_that_differ_between_layers_are_bounded_by_all_heads(tmp_path):
    plain = estimate.estimated(info(tmp_path), 512)
    differing = estimate.estimated(info(tmp_path, attention__head_count_kv=None), 512)
    assert differing.context == 2 * plain.context and not differing.exact


def test_head_sizes_that_are_not_given_follow_from_the_others(tmp_path):
    given = estimate.estimated(info(tmp_path), 512)
    derived = info(tmp_path, attention__key_length=None, attention__value_length=None)
    assert estimate.estimated(derived, 512).context == given.context


@pytest.mark.parametrize("key", ["block_count", "embedding_length", "attention__head_count"])
def test_a_header_that_does_not_tell(tmp_path, key):
    assert estimate.estimated(info(tmp_path, **{key: None}), 512) is None


def test_a_file_of_several_is_not_taken_for_the_whole(tmp_path):
    assert estimate.estimated(info(tmp_path)._replace(split=gguf.Split(0, 2, None)), 512) is None


def test_a_model_without_the_keys_of_a_language_model(tmp_path):
    model_factory.write_model(tmp_path / "m.gguf")
    assert estimate.estimated(gguf.inspect(str(tmp_path / "m.gguf")), 512) is None


class TestMeasured:
    COMMAND = "--fit-print on --model /m.gguf --ctx-size 4096 --parallel {} --device {}"

    def ask(self, tmp_path, output, status=0, parallel=None, device=None):
        asked = self.COMMAND.format(parallel or 4, device or "none")
        program = recorded_program(tmp_path / "llama-fit-params", {asked: (output, status)})
        return estimate.measured(program, "/m.gguf", 4096, parallel, device)

    def test_on_the_cpu(self, tmp_path):
        assert self.ask(tmp_path, "Host 2098 88 70 \n") == Need(2098 * MIB, 88 * MIB, 70 * MIB, True)

    def test_with_a_quantised_cache(self, tmp_path):
        asked = self.COMMAND.format(4, "none") + " --cache-type-k q8_0 --cache-type-v q4_0"
        program = recorded_program(tmp_path / "llama-fit-params", {asked: ("Host 2098 88 70 \n", 0)})
        assert estimate.measured(program, "/m.gguf", 4096, cache=["q8_0", "q4_0"]).context == 88 * MIB

    def test_on_metal_only_what_is_metals_counts(self, tmp_path):
        need = self.ask(tmp_path, "MTL0 15067 512 250 \nHost 250 0 16 \n", parallel=2, device="MTL0")
        assert need == Need(15067 * MIB, 512 * MIB, 250 * MIB, True)

    @pytest.mark.parametrize(("output", "status"), [("", 1), ("Host 1 1 1 \n", 1), ("Host many\n\n", 0), ("", 0)])
    def test_no_answer(self, tmp_path, output, status):
        with pytest.raises(LlamaCppError):
            self.ask(tmp_path, output, status)

    def test_a_device_that_the_engine_does_not_have(self, tmp_path):
        with pytest.raises(LlamaCppError):
            self.ask(tmp_path, "Host 1 1 1 \n", device="MTL0")

    def test_no_program(self):
        with pytest.raises(LlamaCppError, match="does not work"):
            estimate.measured("/nowhere/llama-fit-params", "/m.gguf", 4096)

    def test_where_the_program_is(self, tmp_path):
        server = tmp_path / "llama-server"
        assert estimate.fit_params_beside(None) is None and estimate.fit_params_beside(str(server)) is None
        beside = recorded_program(tmp_path / "llama-fit-params", {})
        assert estimate.fit_params_beside(str(server)) == beside
