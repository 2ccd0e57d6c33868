# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The module that says which models fit and what would keep their service from being there."""

import os

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.units import GIB, MIB
from support.fit import CONTEXT, answer, asked, engine, llama_8b, look, mac
from support.macos import outputs
from support.service_plan import render

pytestmark = pytest.mark.processes


@pytest.fixture
def model(tmp_path):
    return llama_8b(tmp_path)


@pytest.mark.parametrize("check", [True, False])
def test_a_mac_before_its_engine(tmp_path, model, check):
    result = look(mac(tmp_path, models=[model]), check)
    assert result["hardware"]["chip"] == "Apple M1 Max" and result["hardware"]["memory"] == 64 * GIB
    assert result["available"] == 48 * GIB and result["advice"] == []
    (found,) = result["models"]
    assert found["name"] == "llama-8b" and found["fits"] is True and found["there"] is True
    assert 19 * GIB < found["needed"] < 20 * GIB
    assert "rule of thumb" in found["words"]


def test_a_mac_whose_engine_tells_both(tmp_path, model):
    small = {**outputs.M1_MAX_64, "hw.memsize": str(16 * GIB)}
    devices = outputs.DEVICES_M4_MAX.replace("98304", "12124")
    needs = {
        asked(model, context, "MTL0"): "MTL0 9000 %d 300 \nHost 250 0 16 \n" % (context // 8)
        for context in (32768, 16384, 8192)
    }
    result = look(mac(tmp_path, small, models=[model], server=engine(tmp_path, devices, needs)))
    (found,) = result["models"]
    assert result["available"] == 12124 * MIB
    assert found["needed"] == (9000 + 4096 + 300) * MIB and found["fits"] is False
    assert "rule of thumb" not in found["words"] and "With context_size 8192 it needs 10.1 GiB" in found["words"]


def test_an_engine_that_cannot_load_the_model_is_not_the_last_word(tmp_path, model):
    small = {**outputs.M1_MAX_64, "hw.memsize": str(16 * GIB)}
    devices = outputs.DEVICES_M4_MAX.replace("98304", "12124")
    server = engine(tmp_path, devices, {asked(model, CONTEXT, "MTL0"): ("", 1)})
    result = look(mac(tmp_path, small, models=[model], server=server))
    assert result["available"] == 12124 * MIB and result["models"][0]["fits"] is False


def test_an_engine_is_asked_only_when_it_matters(tmp_path, model):
    """It takes a moment, and the play asks at every run: a model that fits on the safe side fits."""
    server = tmp_path / "llama-server"
    server.write_text(f"#!/bin/sh\ntouch '{tmp_path}/asked'\nexit 1\n")
    server.chmod(0o755)
    (found,) = look(mac(tmp_path, models=[model], server=str(server)))["models"]
    assert found["fits"] is True and not (tmp_path / "asked").exists()
    large = {**model, "context_size": 1048576}
    look(mac(tmp_path, models=[large], server=str(server)))
    assert (tmp_path / "asked").exists()


def test_what_metal_allows_is_not_refused_before_the_engine_can_tell(tmp_path, model):
    """By rule of thumb a Mac with 28 GiB has 18.7 for the GPU, yet macOS may allow more; no more than 24.5 at most."""
    recorded = {**outputs.M1_MAX_64, "hw.memsize": str(28 * GIB)}
    (found,) = look(mac(tmp_path, recorded, models=[model]))["models"]
    assert found["fits"] is None and "only the engine can tell" in found["words"]
    (found,) = look(mac(tmp_path, recorded, models=[{**model, "context_size": 2 * CONTEXT}]))["models"]
    assert found["fits"] is False
    server = engine(tmp_path, outputs.DEVICES_M4_MAX.replace("98304", "21504"))
    assert look(mac(tmp_path, recorded, models=[model], server=server))["models"][0]["fits"] is True


def test_a_misfit_is_refused_unless_it_is_to_be_a_warning(tmp_path, model):
    small = {**outputs.M1_MAX_64, "hw.memsize": str(16 * GIB)}
    catalog = [
        {"name": name, "bytes": size, "purpose": purpose}
        for name, size, purpose in [
            ("too large", 8 * GIB, "chat"),
            ("chat-4", 4 * GIB, "chat"),
            ("chat-1", GIB, "chat"),
            ("embedding-4", 4 * GIB + 1, "embedding"),
        ]
    ]
    arguments = mac(tmp_path, small, models=[{**model, "purpose": "chat"}], catalog=catalog)
    refused = answer(arguments)
    assert refused["failed"] and "models.llama-8b needs 19" in refused["msg"]
    assert 'models.llama-8b: {"catalog": "chat-4"}' in refused["msg"]
    assert "-e llama_cpp_fit=warn" in refused["msg"] and "The service was not touched." in refused["msg"]
    warned = look(arguments)
    assert warned["problem"] == refused["msg"] and refused["msg"].partition("\n")[0] in str(warned["warnings"])
    assert look(mac(tmp_path, models=[model], catalog=catalog))["problem"] is None


def test_a_job_of_ours_that_sets_the_limit_is_seen(tmp_path):
    arguments = mac(tmp_path)
    plist = tmp_path / "com.llama.wired-limit.plist"
    assert look(arguments)["mac_changed"] is False
    plist.write_text("<plist/>")
    assert look(arguments)["mac_changed"] is False
    plist.write_text(render("com.llama.wired-limit.plist.j2", None, "Managed by macos_setup.llm.", wired_limit_mb=1))
    assert look(arguments)["mac_changed"] is True


def test_a_setting_that_was_changed_is_seen(tmp_path):
    record = tmp_path / "settings.json"
    arguments = mac(tmp_path, mac_record=str(record))
    assert look(arguments)["mac_changed"] is False
    record.write_text('{"pmset autorestart": 0}')
    assert look(arguments)["mac_changed"] is True


def test_an_engine_that_does_not_run_counts_as_absent(tmp_path, model):
    server = tmp_path / "llama-server"
    server.write_text("#!/bin/sh\nexit 1\n")
    server.chmod(0o755)
    assert look(mac(tmp_path, models=[model], server=str(server)))["available"] == 48 * GIB


def test_a_mac_that_computes_on_its_cpu_has_all_its_memory(tmp_path, model):
    arguments = mac(tmp_path, models=[model])
    del arguments["device"]
    result = look(arguments)
    assert result["available"] == 64 * GIB and "Metal" not in result["models"][0]["words"]


def test_a_limit_that_the_play_sets_is_what_models_are_compared_with(tmp_path, model):
    assert look(mac(tmp_path, models=[model], wired_limit_mb=57344))["available"] == 57344 * MIB


def test_the_memory_of_rpc_workers_counts_and_a_raised_limit_is_one_of_this_mac(tmp_path, model):
    small = {**outputs.M1_MAX_64, "hw.memsize": str(16 * GIB)}
    alone, joined = (
        look(mac(tmp_path, small, models=[model], workers_mb=workers, wired_limit_mb=10240))["models"][0]
        for workers in (None, 10240)
    )
    assert alone["fits"] is False
    assert joined["fits"] is False and "RPC workers together allow 20.0" in joined["words"]
    assert "service.wired_limit_mb: 10" in joined["words"] or "service.wired_limit_mb: 11" in joined["words"]
    assert look(mac(tmp_path, small, models=[model], workers_mb=20480))["models"][0]["fits"] is True


def test_a_head_without_a_gpu_has_the_memory_of_its_workers_alone(tmp_path, model):
    linux = {"system": "Linux", "memory_mb": 200 * 1024, "models": [model]}
    assert look({**linux, "workers_mb": 10240})["models"][0]["fits"] is False
    assert look({**linux, "workers_mb": 30720})["models"][0]["fits"] is True


def test_a_limit_that_is_too_high_is_refused(tmp_path):
    result = answer(mac(tmp_path, wired_limit_mb=65536))
    assert result["failed"] and "65536" in result["msg"] and "57344" in result["msg"]


def test_linux(tmp_path, model):
    result = look({"system": "Linux", "memory_mb": 16384, "models": [model], "scope": "user", "user": "sam"})
    assert result["available"] == 16 * GIB and result["models"][0]["fits"] is False
    assert result["advice"] == [] and result["hardware"]["chip"] is None


def test_where_nothing_else_tells_the_memory_the_kernel_does(tmp_path):
    kernel = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    missing = mac(tmp_path, recorded={})
    for arguments in ({"system": "Linux"}, missing):
        assert look(arguments)["hardware"]["memory"] == kernel
    assert look({**missing, "memory_mb": 16384})["hardware"]["memory"] == 16 * GIB


def test_models_that_are_not_there_yet(tmp_path):
    path = str(tmp_path / "none.gguf")
    models = [
        {"name": "unknown", "path": path},
        {"name": "small", "path": path, "bytes": GIB},
        {"name": "perhaps", "path": path, "bytes": 48 * GIB},
        {"name": "large", "path": path, "bytes": 56 * GIB},
    ]
    result = look(mac(tmp_path, models=models))
    found = result["models"]
    assert [model["fits"] for model in found] == [None, None, None, False]
    assert not any(model["there"] for model in found)
    assert path in found[0]["words"] and "only the engine" in found[2]["words"] and "56.0 GiB" in found[3]["words"]
    assert result["problem"].startswith("models.large needs") and "It was not downloaded." in result["problem"]


def test_a_damaged_model_is_unknown(tmp_path):
    path = tmp_path / "junk.gguf"
    path.write_bytes(b"junk and more junk")
    (found,) = look(mac(tmp_path, models=[{"name": "junk", "path": str(path)}]))["models"]
    assert found["fits"] is None and found["needed"] is None and "not a GGUF file" in found["words"]


def test_advice_only_for_a_service(tmp_path):
    arguments = mac(tmp_path)
    assert look(arguments)["advice"] == []
    told = "\n".join(look({**arguments, "scope": "system", "user": "sam"})["advice"])
    assert "authrestart" in told and "autorestart" in told and "keep_awake" in told
    told = "\n".join(look({**arguments, "scope": "system", "user": "sam", "keep_awake": True})["advice"])
    assert "keep_awake" not in told
    assert answer({**arguments, "scope": "system"})["failed"]
