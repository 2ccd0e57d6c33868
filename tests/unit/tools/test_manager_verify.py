# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm-manager verify``: a file that changed behind its stamp is found, whichever of a model's files it is."""

import hashlib
import json
import os

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.models.shards import shards_of
from ansible_collections.macos_setup.llm.plugins.module_utils.models.source import WebSource
from ansible_collections.macos_setup.llm.plugins.module_utils.net.http import Web
from support.fault_server import FaultServer
from support.model_factory import adapter_bytes, model_bytes, projector_bytes, split_model
from support.models import install

pytestmark = pytest.mark.processes

CONTENTS = {
    "tiny.gguf": model_bytes(50_000),
    "big-00001-of-00002.gguf": split_model(2, 40_000)[0],
    "big-00002-of-00002.gguf": split_model(2, 40_000)[1],
    "eye.gguf": projector_bytes(30_000),
    "draft.gguf": model_bytes(20_000, seed=1),
    "polite.gguf": adapter_bytes(10_000),
}
SUMS = {name: hashlib.sha256(content).hexdigest() for name, content in CONTENTS.items()}
CALLED = {
    "tiny.gguf": "tiny",
    "big-00001-of-00002.gguf": "big, shard 1 of 2",
    "big-00002-of-00002.gguf": "big, shard 2 of 2",
    "eye.gguf": "tiny (mmproj)",
    "draft.gguf": "tiny (draft_model), big (draft_model)",
    "polite.gguf": "tiny (lora)",
}

#: As client.json has them: name of the file -> whose it is, its kind.
FILES = {
    "tiny.gguf": ("tiny", "model"),
    "eye.gguf": ("tiny (mmproj)", "mmproj"),
    "draft.gguf": ("tiny (draft_model), big (draft_model)", "model"),
    "polite.gguf": ("tiny (lora)", "adapter"),
    "big-00001-of-00002.gguf": ("big", "model"),
}


def configured(directory):
    """The files of two models, all that is beside them included."""
    unknown = {"bytes": None, "sha256": None, "shards": None}
    return [
        {"name": name, "dest": str(directory / filename), "kind": kind, **unknown}
        for filename, (name, kind) in FILES.items()
    ]


@pytest.fixture
def directory(commands, tmp_path):
    """Where the files of the models lie, all of them put there by the play."""
    directory = tmp_path / "models"
    commands.config["files"] = configured(directory)
    with FaultServer() as server:
        for file in commands.config["files"]:
            for shard in shards_of(file):
                name = os.path.basename(shard.path)
                server.serve("/" + name, CONTENTS[name])
                source, place = WebSource(server.url("/" + name), Web()), {"number": shard.number, "count": shard.count}
                install(shard.path, source, kind=file["kind"], **place)
    return directory


def verified(commands):
    """How the command ended, and what it found of each file."""
    done = commands.run("llm-manager", "verify")
    files = json.loads(commands.run("llm-manager", "verify", "--json").stdout)["files"]
    return done, {os.path.basename(file["path"]): file for file in files}


def states(found):
    return {name: file["state"] for name, file in found.items()}


def flip_a_byte(path):
    """Change a byte, and leave no trace of that but the byte."""
    status = path.stat()
    with path.open("r+b") as stream:
        stream.seek(-1, 2)
        last = stream.read(1)[0]
        stream.seek(-1, 2)
        stream.write(bytes([last ^ 1]))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_every_file_of_every_model_is_read_once(commands, directory):
    done, found = verified(commands)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(done.stdout.splitlines()) == sorted(
        f"{CALLED[name]}: right ({directory / name})" for name in CONTENTS
    )
    assert {name: (file["sha256"], file["expected"]) for name, file in found.items()} == {
        name: (sha256, sha256) for name, sha256 in SUMS.items()
    }


@pytest.mark.parametrize("name", CONTENTS)
def test_a_byte_that_changed_without_a_trace(commands, directory, name):
    flip_a_byte(directory / name)
    done, found = verified(commands)
    assert done.returncode == 1
    assert f"{CALLED[name]}: wrong: damaged" in done.stdout and done.stdout.count(": right (") == len(CONTENTS) - 1
    assert CALLED[name] in done.stderr and "llama_cpp_deep_verify" in done.stderr
    assert found[name]["sha256"] != found[name]["expected"] == SUMS[name]


@pytest.mark.parametrize("what", ["missing", "cut short", "another kind", "another shard"])
def test_a_file_that_is_not_what_it_should_be(commands, directory, what):
    name = {"another kind": "eye.gguf"}.get(what, "big-00002-of-00002.gguf")
    (directory / ".llama_cpp" / f"{name}.json").unlink()
    if what == "missing":
        (directory / name).unlink()
    elif what == "cut short":
        os.truncate(directory / name, 30_000)
    else:
        other = {"another kind": "draft.gguf", "another shard": "big-00001-of-00002.gguf"}[what]
        (directory / name).write_bytes(CONTENTS[other])
    done, found = verified(commands)
    assert done.returncode == 1
    assert states(found) == {**dict.fromkeys(CONTENTS, "right"), name: "wrong"}
    assert found[name]["reason"]


def test_what_nothing_is_known_of_is_not_verified(commands, directory):
    (directory / ".llama_cpp" / "eye.gguf.json").unlink()
    done, found = verified(commands)
    assert (done.returncode, found["eye.gguf"]["expected"]) == (1, None)
    assert found["eye.gguf"]["sha256"] == SUMS["eye.gguf"]
    assert states(found) == {**dict.fromkeys(CONTENTS, "right"), "eye.gguf": "unknown"}
    assert "tiny (mmproj): unknown" in done.stdout and "llama_cpp_deep_verify" in done.stderr
    assert "tiny (mmproj): not verified" in done.stderr


def test_without_a_stamp_the_configuration_tells(commands, directory):
    (directory / ".llama_cpp" / "eye.gguf.json").unlink()
    (eye,) = (file for file in commands.config["files"] if file["dest"].endswith("/eye.gguf"))
    eye["sha256"] = SUMS["eye.gguf"]
    assert states(verified(commands)[1])["eye.gguf"] == "right"
    flip_a_byte(directory / "eye.gguf")
    assert states(verified(commands)[1])["eye.gguf"] == "wrong"


def test_a_terminal_shows_which_file_is_read(commands, directory):
    code, shown = commands.on_terminal("llm-manager", "verify")
    assert code == 0
    assert all(f"{CALLED[name]} (file " in shown for name in CONTENTS) and "100 %" in shown
