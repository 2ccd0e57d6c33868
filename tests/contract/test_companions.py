# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The real llama-server does with a draft model, adapters and a model in several files what the plan means."""

import json
import struct
import urllib.request

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.engine.temporary_server import TemporaryServer
from ansible_collections.macos_setup.llm.plugins.module_utils.models import gguf, kinds
from ansible_collections.macos_setup.llm.plugins.plugin_utils.plan import auxiliary_files
from ansible_collections.macos_setup.llm.plugins.plugin_utils.plan.server import command_line
from support.model_factory import F32, STRING, header, split_of, tensor
from support.models import gguf_model
from support.paths import REPOSITORY

SELFTEST = REPOSITORY / "roles" / "llama_cpp" / "files" / "selftest" / "selftest.gguf"
QUESTION = [{"role": "user", "content": "What is the capital of France?"}]
ANSWER = "The capital of France is Paris."
FLOAT_TENSOR = 0
WIDTH, VALUES = 256, 64  # of the self-test model, and of the values of its attention


def adapter(path, weight):
    """A LoRA adapter of rank 1 for one matrix of the self-test model, every number of it ``weight``."""
    keys = (
        ("general.architecture", STRING, "llama"),
        ("general.type", STRING, "adapter"),
        ("adapter.type", STRING, "lora"),
        ("adapter.lora.alpha", F32, 1.0),
    )
    size = 4 * WIDTH
    tensors = [
        tensor("blk.0.attn_v.weight.lora_a", [WIDTH, 1], FLOAT_TENSOR, 0),
        tensor("blk.0.attn_v.weight.lora_b", [1, VALUES], FLOAT_TENSOR, size),
    ]
    path.write_bytes(header(keys, tensors) + struct.pack("<f", weight) * (WIDTH + VALUES))
    kinds.require(str(path), gguf.check(str(path)), "adapter", 0, 1)
    return str(path)


@pytest.fixture
def binary(engine):
    return str(engine / "llama-server")


def started(binary, *beside):
    options = [*auxiliary_files.options({"companions": beside}), ("threads", 1)]
    return TemporaryServer(binary, str(SELFTEST), command_line(options))


def answer(server):
    reply = server.chat(QUESTION, temperature=0, seed=1, max_tokens=32)
    return reply["choices"][0]["message"]["content"], reply["timings"]


def test_a_draft_model_is_used_and_changes_no_answer(binary):
    with started(binary) as server:
        text, timings = answer(server)
        assert text == ANSWER and not timings.get("draft_n")
    draft = {"role": "draft_model", "dest": str(SELFTEST), "type": "draft-simple"}
    with started(binary, draft) as server:
        text, timings = answer(server)
    assert text == ANSWER
    assert timings["draft_n_accepted"] > 0


def test_adapters_act_as_strongly_as_was_said(binary, tmp_path):
    paths = [adapter(tmp_path / name, 0.0) for name in ('a, "b".gguf', "half, too.gguf", "none.gguf")]
    scales = (1, 0.5, -2)
    with started(
        binary, *({"role": "lora", "dest": path, "scale": scale} for path, scale in zip(paths, scales))
    ) as server:
        with urllib.request.urlopen(server.base_url + "/lora-adapters", timeout=30) as reply:
            found = {entry["path"]: entry["scale"] for entry in json.load(reply)}
        assert found == dict(zip(paths, scales))
        assert answer(server)[0] == ANSWER
    with started(binary, {"role": "lora", "dest": adapter(tmp_path / "loud.gguf", 9.0), "scale": 30}) as server:
        assert answer(server)[0] != ANSWER


def test_a_model_in_several_files_is_served_by_the_name_of_the_first(binary, tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    names = [f"self-test-0000{number}-of-00003.gguf" for number in (1, 2, 3)]
    for name, content in zip(names, split_of(SELFTEST, 3)):
        (own / name).write_bytes(content)
    dest = tmp_path / "models" / names[0]
    result = gguf_model({"name": "tiny", "dest": str(dest), "source": {"path": str(own / names[0])}})
    assert result["changed"], result
    with TemporaryServer(binary, str(dest), ["--threads", "1"]) as server:
        assert answer(server)[0] == ANSWER
    (own / names[1]).unlink()
    lost = gguf_model({"name": "tiny", "dest": str(dest), "source": {"path": str(own / names[0])}})
    assert lost["failed"] and names[1] in lost["msg"]
