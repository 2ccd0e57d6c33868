# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm-manager verify``: a model that changed behind its stamp is found."""

import hashlib
import json
import os

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.model_source import WebSource
from ansible_collections.macos_setup.llm.plugins.module_utils.models import ModelFile
from ansible_collections.macos_setup.llm.plugins.module_utils.web import Web
from support.fault_server import FaultServer
from support.model_factory import model_bytes

pytestmark = pytest.mark.processes

MODEL = model_bytes(50_000)
SHA256 = hashlib.sha256(MODEL).hexdigest()


@pytest.fixture
def model(commands, tmp_path):
    path = tmp_path / "m.gguf"
    with FaultServer() as server:
        server.serve("/m.gguf", MODEL)
        ModelFile("tiny", str(path)).from_web(WebSource(server.url("/m.gguf"), Web()))
    commands.config["models"] = [{"name": "tiny", "path": str(path)}]
    return path


def verified(commands):
    done = commands.run("llm-manager", "verify")
    result = json.loads(commands.run("llm-manager", "verify", "--json").stdout)["models"][0]
    return done, result


def test_the_right_file(commands, model):
    done, result = verified(commands)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"tiny: right ({model})\n", "")
    assert (result["sha256"], result["expected"], result["problem"]) == (SHA256, SHA256, None)


def test_a_byte_that_changed_without_a_trace(commands, model):
    status = model.stat()
    with model.open("r+b") as stream:
        stream.seek(-1, 2)
        stream.write(bytes([MODEL[-1] ^ 1]))
    os.utime(model, ns=(status.st_atime_ns, status.st_mtime_ns))
    done, result = verified(commands)
    assert done.returncode == 1
    assert "tiny: damaged" in done.stdout
    assert "llama_cpp_deep_verify" in done.stderr
    assert result["sha256"] != result["expected"] == SHA256


@pytest.mark.parametrize("what", ["missing", "cut short"])
def test_a_file_that_is_no_model_any_more(commands, model, what):
    if what == "missing":
        model.unlink()
    else:
        os.truncate(model, 40_000)
    done, result = verified(commands)
    assert done.returncode == 1
    assert result["problem"]


def test_a_file_that_nobody_stamped_is_only_checked(commands, model, tmp_path):
    (tmp_path / ".llama_cpp" / "m.gguf.json").unlink()
    done, result = verified(commands)
    assert (done.returncode, result["sha256"], result["expected"]) == (0, SHA256, None)
