# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""A host without any network gets the same state from a bundle."""

import functools
import json
import os
import tarfile
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from support.offline import ENVIRONMENT, offline
from support.paths import REPOSITORY
from support.plays import Host, Play, recap

BUNDLE = REPOSITORY / "playbooks" / "bundle.yml"
MODELS = REPOSITORY / "roles" / "llama_cpp" / "files" / "selftest"


@pytest.fixture
def model_server():
    """Address of the self-test model on a server that ends with the first installation."""
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(MODELS))
    handler.log_message = lambda *_arguments: None
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.server_close()


def names(directory):
    """Relative paths of everything below ``directory`` that is installed, not run up.

    uv notes of a wheel from a file that it may have to look at it again (uv_cache.json).
    """
    run_up = ("__pycache__", "logs", "run", "home")
    for parent, directories, files in os.walk(directory):
        directories[:] = [name for name in directories if name not in run_up]
        for name in directories + [name for name in files if name != "uv_cache.json"]:
            yield os.path.relpath(os.path.join(parent, name), directory)


def test_the_same_state_without_a_network(host, model_server):
    url = "http://127.0.0.1:%d/selftest.gguf" % model_server.server_port
    host.config["models"] = {"selftest": {"url": url}}
    host.play()
    model_server.shutdown()
    bundle = host.directory / "llm.tar"
    where = ("-e", json.dumps({"llama_cpp_bundle": str(bundle)}))
    output = host.play(*where, playbook=BUNDLE)
    assert recap(output)["changed"] == 1, output
    with tarfile.open(bundle) as archive:
        packed = archive.getnames()
    assert {"bundle.json", "SHA256SUMS", "llm_config.json", "models/selftest.gguf"} <= set(packed)
    assert "licenses/llama.cpp.txt" in packed and any(name.startswith("wheels/supervisor-") for name in packed)

    directory = host.directory / "offline"
    directory.mkdir()
    other = Host(directory, "/nowhere")
    other.config["models"] = host.config["models"]
    environment = {**ENVIRONMENT, "LLAMA_SERVER": ""}
    # The second of the two finds nothing to do; the first ends with a real answer of the server.
    play = Play(offline('"$@" && "$@" --tags llm_engine,llm_models', other.command(*where)), REPOSITORY, environment)
    assert play.wait() == 0, play.output
    assert recap(play.output)["changed"] == 0, play.output
    assert sorted(names(other.install)) == sorted(names(host.install))
    assert sorted(names(other.bin)) == sorted(names(host.bin))
    releases = [sorted((one.install / "engine" / "releases").iterdir())[0] for one in (host, other)]
    stamps = [json.loads((release / "stamp.json").read_text()) for release in releases]
    assert stamps[1] == {**stamps[0], "selftest": stamps[1]["selftest"]}
    stamps = [
        json.loads((one.install / "models" / ".llama_cpp" / "selftest.gguf.json").read_text()) for one in (host, other)
    ]
    for stamp in stamps:
        del stamp["mtime_ns"], stamp["inode"]
    assert stamps[0] == stamps[1]
