# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What is counted together: files on one disk, what is loaded beside a model, models loaded at the same time."""

import os
import shutil

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.units import GIB, MIB
from ansible_collections.macos_setup.llm.plugins.module_utils.models.verification import VerificationRecord
from support import model_shapes
from support.fit import CONTEXT, answer, asked, engine, llama_8b, look, mac
from support.macos import outputs
from support.model_factory import split_of
from support.paths import REPOSITORY

pytestmark = pytest.mark.processes

SELFTEST = REPOSITORY / "roles" / "llama_cpp" / "files" / "selftest" / "selftest.gguf"


@pytest.fixture
def model(tmp_path):
    return llama_8b(tmp_path)


class TestDisk:
    """What is to be downloaded is counted together, and what is there already counts as there."""

    def problem(self, *files):
        return look({"system": "Linux", "files": list(files)})["problem"]

    def test_it_has_to_take_all_that_is_missing(self, tmp_path):
        free = shutil.disk_usage(tmp_path).free
        directory = tmp_path / "models" / "of the future"
        half = {"bytes": free * 2 // 3}
        one = {"name": "a", "dest": str(directory / "a.gguf"), **half}
        other = {"name": "c", "dest": str(directory / "c.gguf"), **half}
        problem = self.problem(one, other)
        assert "models.a, models.c: " in problem and "llm_settings.models_dir" in problem
        assert self.problem(one) is None and self.problem(other) is None

    def test_the_shards_of_a_model_count_together_and_have_one_name(self, tmp_path):
        third = shutil.disk_usage(tmp_path).free // 3
        big = {"name": "big", "dest": str(tmp_path / "big-00001-of-00004.gguf"), "shards": [{"bytes": third}] * 4}
        assert self.problem(big).startswith("models.big: ")
        assert self.problem({**big, "dest": str(tmp_path / "big-00001-of-00002.gguf")}) is None
        assert self.problem({**big, "source": {"path": "/srv/big-00001-of-00004.gguf"}}) is None

    def test_what_was_begun_needs_only_the_rest(self, tmp_path):
        size = shutil.disk_usage(tmp_path).total + MIB  # others may free some meanwhile
        part = tmp_path / "a.gguf.part"
        with part.open("wb") as stream:
            stream.truncate(size - MIB)  # a file with a hole, which takes no room
        file = {"name": "a", "dest": str(tmp_path / "a.gguf"), "bytes": size}
        assert self.problem(file) is None
        part.unlink()
        assert "GiB are free" in self.problem(file)

    def test_what_is_in_its_place_needs_nothing_unless_it_is_to_be_another(self, tmp_path):
        size = shutil.disk_usage(tmp_path).total + MIB  # others may free some meanwhile
        path = tmp_path / "a.gguf"
        with path.open("wb") as stream:
            stream.truncate(size)
        file = {"name": "a", "dest": str(path), "bytes": size, "sha256": "a" * 64}
        assert self.problem(file) is None
        VerificationRecord(str(path)).make_directory()
        VerificationRecord(str(path)).write(sha256="b" * 64)
        assert self.problem(file).startswith("models.a: ")
        assert self.problem({**file, "sha256": "b" * 64}) is None
        assert self.problem({**file, "sha256": None, "bytes": size + MIB}).startswith("models.a: ")

    def test_what_could_not_be_counted_is_said(self, tmp_path):
        large = {"name": "a", "dest": str(tmp_path / "a"), "bytes": 2 * shutil.disk_usage(tmp_path).free}
        secret = {"name": "b", "dest": str(tmp_path / "b")}
        assert "not known yet: models.b." in self.problem(large, secret)
        assert self.problem(secret) is None


class TestCompanions:
    """What is loaded beside a model takes memory too: at least the size of its file."""

    def beside(self, tmp_path, size, name="eye.gguf"):
        path = tmp_path / name
        with path.open("wb") as stream:
            stream.truncate(size)
        return {"path": str(path)}

    def test_they_are_counted(self, tmp_path, model):
        (alone,) = look(mac(tmp_path, models=[model]))["models"]
        companions = [self.beside(tmp_path, 2 * GIB), {"path": str(tmp_path / "none"), "bytes": 3 * GIB}]
        (found,) = look(mac(tmp_path, models=[{**model, "companions": companions}]))["models"]
        assert found["needed"] == alone["needed"] + 5 * GIB
        assert found["fits"] is True and found["there"] is False and "beside them 5.0" in found["words"]

    def test_they_may_be_what_does_not_fit(self, tmp_path, model):
        result = look(mac(tmp_path, models=[{**model, "companions": [self.beside(tmp_path, 40 * GIB)]}]))
        assert result["models"][0]["fits"] is False and "beside them 40.0" in result["problem"]

    def test_also_before_anything_is_there(self, tmp_path):
        wanted = {"name": "m", "path": str(tmp_path / "none"), "bytes": 30 * GIB}
        companions = [{"path": str(tmp_path / "draft"), "bytes": 26 * GIB}]
        assert look(mac(tmp_path, models=[wanted]))["models"][0]["fits"] is None
        (found,) = look(mac(tmp_path, models=[{**wanted, "companions": companions}]))["models"]
        assert found["fits"] is False and "56.0 GiB for its weights and 26.0 beside them alone" in found["words"]

    def test_one_of_unknown_size_leaves_it_open(self, tmp_path, model):
        companion = {"path": str(tmp_path / "eye.gguf")}
        (found,) = look(mac(tmp_path, models=[{**model, "companions": [companion]}]))["models"]
        assert found["fits"] is None and found["there"] is False and companion["path"] in found["words"]
        self.beside(tmp_path, GIB)
        (found,) = look(mac(tmp_path, models=[{**model, "companions": [companion]}]))["models"]
        assert found["fits"] is True and found["there"] is True

    def test_a_draft_model_has_a_context_of_its_own(self, tmp_path, model):
        draft = {"path": str(tmp_path / "draft.gguf"), "bytes": GIB, "role": "draft_model"}
        wanted = {**model, "context_size": 8192, "companions": [draft]}
        (before,) = look(mac(tmp_path, models=[wanted]))["models"]
        assert before["fits"] is None and draft["path"] in before["words"]
        model_shapes.write(tmp_path / "draft.gguf", model_shapes.MODELS["tinyllama-1.1b"])
        small, large = (
            look(mac(tmp_path, models=[{**wanted, "context_size": tokens}]))["models"][0] for tokens in (8192, 16384)
        )
        alone = [
            look(mac(tmp_path, models=[{**model, "context_size": tokens}]))["models"][0] for tokens in (8192, 16384)
        ]
        grown = [found["needed"] - before["needed"] for found, before in zip((small, large), alone)]
        context = 22 * 4 * 2 * 64 * 2 * 8192  # layers, KV heads, keys and values, of 64 numbers, of 2 bytes, tokens
        assert small["fits"] is True and context <= grown[1] - grown[0] <= 1.1 * context
        assert grown[0] > os.path.getsize(draft["path"]) + context

    def test_a_quantised_cache_counts_as_such_for_both(self, tmp_path, model):
        draft = {"path": str(tmp_path / "draft.gguf"), "role": "draft_model"}
        model_shapes.write(tmp_path / "draft.gguf", model_shapes.MODELS["tinyllama-1.1b"])
        wanted = {**model, "companions": [draft]}
        smaller = {**model, "cache": ["q8_0"] * 2, "companions": [{**draft, "cache": ["q8_0"] * 2}]}
        plain, own, both = (
            look(mac(tmp_path, models=[one]))["models"][0]["needed"]
            for one in (wanted, {**smaller, "companions": [draft]}, smaller)
        )
        context, draft_context = (layers * heads * 2 * CONTEXT for layers, heads in ((32, 8 * 128), (22, 4 * 64)))
        saved = 2 - 34 / 32
        assert (plain - own, own - both) == (saved * context, saved * draft_context)

    def test_the_engine_does_not_know_of_them(self, tmp_path, model):
        small = {**outputs.M1_MAX_64, "hw.memsize": str(16 * GIB)}
        devices = outputs.DEVICES_M4_MAX.replace("98304", "12124")
        needs = {asked(model, CONTEXT, "MTL0"): "MTL0 9000 1000 300 \nHost 250 0 16 \n"}
        model["companions"] = [self.beside(tmp_path, 512 * MIB)]
        (found,) = look(mac(tmp_path, small, models=[model], server=engine(tmp_path, devices, needs)))["models"]
        assert found["needed"] == (9000 + 1000 + 300 + 512) * MIB and found["fits"] is True


def test_a_model_in_several_files_is_one(tmp_path):
    whole = tmp_path / "whole.gguf"
    shutil.copy(SELFTEST, whole)
    names = [f"split-0000{number}-of-00002.gguf" for number in (1, 2)]
    contents = split_of(whole, 2)
    (tmp_path / names[0]).write_bytes(contents[0])
    wanted = {"name": "split", "path": str(tmp_path / names[0]), "context_size": 512, "bytes": 56 * GIB}
    (found,) = look(mac(tmp_path, models=[wanted]))["models"]
    assert found["there"] is False and found["fits"] is False and "56.0 GiB" in found["words"]
    (tmp_path / names[1]).write_bytes(contents[1])
    split, one = look(mac(tmp_path, models=[wanted, {"name": "whole", "path": str(whole), "context_size": 512}]))[
        "models"
    ]
    assert split["fits"] is True and split["there"] is True
    assert split["needed"] - one["needed"] == sum(map(len, contents)) - whole.stat().st_size


class TestTogether:
    """Several models that may be loaded at the same time have to have room at the same time."""

    def models(self, model, count=3, **more):
        return [{**model, "name": f"llama-{number}", **more} for number in range(count)]

    def test_the_largest_that_may_be_loaded_count(self, tmp_path, model):
        models = self.models(model)  # each needs somewhat more than 19 GiB of the 47 that there are
        found = look(mac(tmp_path, models=models, max_loaded=2))["together"]
        (one,) = look(mac(tmp_path, models=models[:1], max_loaded=1))["models"]
        assert found["fits"] is True and found["there"] is True and found["needed"] == 2 * one["needed"]
        result = look(mac(tmp_path, models=models, max_loaded=3))
        assert result["together"]["fits"] is False and result["together"]["words"] in result["problem"]
        for words in ("server.max_loaded_models: 3", "models.llama-0 19", "Set server.max_loaded_models to 2."):
            assert words in result["problem"]
        assert answer(mac(tmp_path, models=models, max_loaded=3))["failed"]
        models[2]["context_size"] = 512
        models.reverse()
        assert "models.llama-2" not in look(mac(tmp_path, models=models, max_loaded=2))["together"]["words"]

    def test_what_is_beside_them_counts_here_too(self, tmp_path, model):
        eye = tmp_path / "eye.gguf"
        with eye.open("wb") as stream:
            stream.truncate(10 * GIB)
        models = self.models(model, 2, companions=[{"path": str(eye)}])
        assert look(mac(tmp_path, models=models, max_loaded=2))["together"]["fits"] is False

    def test_a_higher_limit_is_named(self, tmp_path, model):
        server = engine(tmp_path, outputs.DEVICES_M4_MAX.replace("98304", "49152"))
        models = self.models(model, 2, context_size=81920)
        found = look(mac(tmp_path, models=models, max_loaded=2, server=server))["together"]
        assert found["fits"] is False and "service.wired_limit_mb: " in found["words"]
        assert "Set server.max_loaded_models to 1." in found["words"]

    def test_where_only_one_is_loaded_there_is_nothing_to_add(self, tmp_path, model):
        assert look(mac(tmp_path, models=self.models(model), max_loaded=1))["together"] is None
        assert look(mac(tmp_path, models=[model], max_loaded=4))["together"] is None

    def test_one_that_does_not_fit_by_itself_is_enough(self, tmp_path, model):
        models = [*self.models(model), {**model, "name": "huge", "context_size": 1048576}]
        result = look(mac(tmp_path, models=models, max_loaded=4))
        assert result["together"] is None and "models.huge" in result["problem"]

    def test_the_engine_has_the_last_word(self, tmp_path, model):
        devices = outputs.DEVICES_M4_MAX.replace("98304", "49152")
        needs = {asked(model, CONTEXT, "MTL0"): "MTL0 11000 4096 300 \nHost 250 0 16 \n"}
        arguments = mac(tmp_path, models=self.models(model), max_loaded=3)
        assert look(arguments)["together"]["fits"] is False
        found = look({**arguments, "server": engine(tmp_path, devices, needs)})["together"]
        assert found["needed"] == 3 * (11000 + 4096 + 300) * MIB and found["fits"] is True

    def test_before_they_are_there_their_files_count(self, tmp_path):
        models = [{"name": name, "path": str(tmp_path / name), "bytes": 30 * GIB} for name in ("a", "b")]
        found = look(mac(tmp_path, models=models, max_loaded=2))["together"]
        assert found["fits"] is False and found["there"] is False and "at least 60.0 GiB" in found["words"]
        models[1]["bytes"] = 7 * GIB
        assert look(mac(tmp_path, models=models, max_loaded=2))["together"]["fits"] is None

    def test_what_metal_allows_is_not_refused_before_the_engine_can_tell(self, tmp_path, model):
        recorded = {**outputs.M1_MAX_64, "hw.memsize": str(52 * GIB)}
        arguments = mac(tmp_path, recorded, models=self.models(model, 2), max_loaded=2)
        found = look(arguments)["together"]
        assert found["fits"] is None and "only the engine can tell" in found["words"]

    def test_a_context_that_is_not_set_takes_what_the_next_needs(self, tmp_path, model):
        models = self.models(model, 2)
        models[0]["context_size"] = None
        found = look(mac(tmp_path, models=models, max_loaded=2))["together"]
        assert found["fits"] is True and "Without a context_size (models.llama-0), " in found["words"]
