# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What is wrong with a configuration is said at once, one line each, in words that lead to the repair."""

import copy
import json

import pytest
from ansible_collections.macos_setup.llm.plugins.plugin_utils.config import load, rules
from support.paths import REPOSITORY

SCHEMA = load.load_schema()
CATALOG = json.loads((REPOSITORY / "config" / "model_catalog.json").read_text())["models"]

#: The example of the integration plan that the collection grew from, byte for byte.
PLAN_EXAMPLE = """{
  "llm_settings": {
    "enabled": true,
    "install_dir": "~/llm-workspace",
    "models_dir": "~/llm-workspace/models",
    "logs_dir": "~/llm-workspace/logs",
    "default_model": "tinyllama",
    "server_port": 8080,
    "server_host": "127.0.0.1",
    "auto_start": true,
    "metal_acceleration": true
  },
  "models": {
    "tinyllama": {
      "url": "https://huggingface.co/TheBloke/TinyLlama-1.1B-Chat-v1.0-GGUF/resolve/main/tinyllama-1.1b-chat-v1.0.Q4_K_M.gguf",
      "filename": "tinyllama-1.1b-chat-v1.0.Q4_K_M.gguf",
      "size": "637MB",
      "context_size": 2048,
      "description": "Lightweight model for basic tasks"
    }
  },
  "feature_flags": {
    "install_llama_cpp": true,
    "download_models": true,
    "setup_service": true,
    "install_client_tools": true
  }
}
"""

GOOD = json.loads(PLAN_EXAMPLE)


def lines_of(config):
    """The lines of the error, without its first and last; empty when the configuration is right."""
    try:
        rules.checked(config, SCHEMA, CATALOG, "llm_config.json")
    except load.ConfigurationError as error:
        lines = str(error).splitlines()
        assert lines[0].startswith("llm_config.json: %d error" % (len(lines) - 2))
        return [line.strip() for line in lines[1:-1]]
    return []


def changed(path, value):
    """A copy of the good configuration with ``value`` at the dotted ``path``; DELETE removes what is there."""
    config = copy.deepcopy(GOOD)
    parent = config
    *parts, last = path.split("/")
    for part in parts:
        parent = parent.setdefault(part, {})
    if value is DELETE:
        del parent[last]
    else:
        parent[last] = value
    return config


DELETE = object()
PACKAGE = {"package": "some", "version": "1.0", "file": "some/m.gguf"}
SECOND = {"url": "https://models.example/TINYLLAMA-1.1b-chat-v1.0.Q4_K_M.gguf"}

#: (what is broken, where, value, the data path that the line names, words that the line holds)
BROKEN = [
    ("unknown section", "llm_setings", {}, "llm_setings", ["unknown key", 'did you mean "llm_settings"']),
    ("unknown setting", "llm_settings/server_prt", 1, "llm_settings.server_prt", ['did you mean "server_port"']),
    ("unknown key of a model", "models/tinyllama/contxt_size", 1, "models.tinyllama.contxt_size", ['"context_size"']),
    ("unknown flag", "feature_flags/setup_srvice", True, "feature_flags.setup_srvice", ['"setup_service"']),
    ("port as text", "llm_settings/server_port", "8080", "llm_settings.server_port", ['"8080" is text', "1 to 65535"]),
    ("port out of range", "llm_settings/server_port", 70000, "llm_settings.server_port", ["70000", "1 to 65535"]),
    ("port zero", "llm_settings/server_port", 0, "llm_settings.server_port", ["1 to 65535"]),
    ("flag as number", "llm_settings/auto_start", 1, "llm_settings.auto_start", ["true or false"]),
    ("relative path", "llm_settings/install_dir", "workspace", "llm_settings.install_dir", ["absolute path"]),
    ("other user's home", "llm_settings/install_dir", "~sam/llm", "llm_settings.install_dir", ["~/"]),
    ("no models", "models", {}, "models", ["empty"]),
    ("models missing", "models", DELETE, "models", ["missing"]),
    ("unknown default model", "llm_settings/default_model", "tinylama", "llm_settings.default_model", ['"tinyllama"']),
    ("two sources", "models/tinyllama/path", "/m.gguf", "models.tinyllama", ["exactly one", "url, path"]),
    ("no source", "models/tinyllama/url", DELETE, "models.tinyllama", ["exactly one", "none"]),
    ("one file twice", "models/second", SECOND, "models.second", ["models.tinyllama"]),
    (
        "no such catalog model",
        "models/tinyllama",
        {"catalog": "qwen2.5-1.5"},
        "models.tinyllama.catalog",
        ["did you mean"],
    ),
    ("no file name", "models/tinyllama", {"url": "https://x.example/m?id=1"}, "models.tinyllama.url", ["filename"]),
    (
        "no file name of a piece",
        "models/tinyllama",
        {"pypi": {**PACKAGE, "file": "some/m.gguf.part00"}},
        "models.tinyllama.pypi.file",
        ["filename"],
    ),
    (
        "any version of a package",
        "models/tinyllama",
        {"pypi": {**PACKAGE, "version": ">=1.0"}},
        "models.tinyllama.pypi.version",
        ["exact version"],
    ),
    (
        "an option for pip",
        "models/tinyllama",
        {"pypi": {**PACKAGE, "package": "--pre"}},
        "models.tinyllama.pypi.package",
        ["name of a package"],
    ),
    (
        "two hashes",
        "models/tinyllama",
        {"pypi": {**PACKAGE, "sha256": "a" * 64}, "sha256": "a" * 64},
        "models.tinyllama.pypi.sha256",
        ["models.tinyllama.sha256", "remove one"],
    ),
    (
        "one hash for several shards",
        "models/tinyllama",
        {"pypi": {**PACKAGE, "file": "some/m-00001-of-00002.gguf", "sha256": "a" * 64}},
        "models.tinyllama.sha256",
        ["parts"],
    ),
    ("file name with directory", "models/tinyllama/filename", "../a.gguf", "models.tinyllama.filename", ["directory"]),
    ("bad sha256", "models/tinyllama/sha256", "abc", "models.tinyllama.sha256", ["64 hexadecimal digits"]),
    ("other digest", "models/tinyllama/sha256", "sha1:" + "a" * 64, "models.tinyllama.sha256", ["sha256:"]),
    ("bad model name", "models/a b", SECOND, "models.a b", ["letters"]),
    ("not a web address", "models/tinyllama/url", "ftp://x/a.gguf", "models.tinyllama.url", ["https://"]),
    ("misspelt source", "engine", {"source": "pypy"}, "engine.source", ['did you mean "pypi"']),
    ("bad version", "engine", {"version": "latest"}, "engine.version", ["vX.Y.Z", "bNNNN"]),
    ("existing without path", "engine", {"source": "existing"}, "engine.path", ["missing"]),
    ("archive without hash", "engine", {"source": "archive", "path": "/a.tgz"}, "engine.sha256", ["missing"]),
    ("archive of nothing", "engine", {"source": "archive", "sha256": "0" * 64}, "engine.url", ["missing", "path"]),
    ("release of a commit", "engine", {"source": "release", "sha256": "0" * 64}, "engine.version", ["bNNNN"]),
    (
        "two places of an archive",
        "engine",
        {"source": "archive", "sha256": "0" * 64, "path": "/a.tgz", "url": "https://x.example/a.tgz"},
        "engine.path",
        ["either path or url"],
    ),
    ("page without hash", "engine", {"web_ui": True}, "engine.web_ui", ["no hash covers", "sha256"]),
    ("page by address only", "engine", {"web_ui": {"url": "https://x.example/a"}}, "engine.web_ui.sha256", ["missing"]),
    ("page from nowhere", "engine", {"web_ui": {"sha256": "0" * 64}}, "engine.web_ui", ["path or url"]),
    (
        "page by another name",
        "engine",
        {"web_ui": {"path": "/x", "sha256": "0" * 64, "file": "/x"}},
        "engine.web_ui.file",
        ["unknown key"],
    ),
    (
        "page with a line break",
        "engine",
        {"web_ui": {"url": "https://x.example/a\n", "sha256": "0" * 64}},
        "engine.web_ui.url",
        ["https://"],
    ),
    ("page as text", "engine", {"web_ui": "yes"}, "engine.web_ui", ["true, false or an object"]),
    (
        "page for finished programs",
        "engine",
        {"source": "existing", "path": "/x", "web_ui": {"path": "/ui.tgz", "sha256": "0" * 64}},
        "engine.web_ui",
        ["true or false"],
    ),
    (
        "page by the back door",
        "engine",
        {"cmake_options": {"LLAMA_USE_PREBUILT_UI": True}},
        "engine.cmake_options.LLAMA_USE_PREBUILT_UI",
        ["engine.web_ui"],
    ),
    (
        "build that downloads",
        "engine",
        {"cmake_options": {"LLAMA_LLGUIDANCE": "ON"}},
        "engine.cmake_options.LLAMA_LLGUIDANCE",
        ["no hash covers"],
    ),
    ("hash that nothing uses", "engine", {"sha256": "0" * 64}, "engine.sha256", ["remove it"]),
    (
        "option of the collection",
        "server",
        {"arguments": {"host": "0.0.0.0"}},
        "server.arguments.host",
        ["server_host"],
    ),
    ("negated option", "server", {"arguments": {"no-ui": True}}, "server.arguments.no-ui", ["engine.web_ui"]),
    ("token in argv", "server", {"arguments": {"hf-token": "hf_x"}}, "server.arguments.hf-token", ["remove it"]),
    ("option with dashes", "server", {"arguments": {"--threads": 4}}, "server.arguments.--threads", ["without dashes"]),
    ("licence not allowed", "policy", {"allowed_licenses": ["MIT"]}, "models.tinyllama.license", ["licence", "MIT"]),
    ("checksum wanted", "policy", {"require_checksums": True}, "models.tinyllama.sha256", ["require_checksums"]),
    ("list as text", "server", {"cors_origins": "localhost"}, "server.cors_origins", ["a list"]),
    ("null", "llm_settings", None, "llm_settings", ["null", "an object"]),
]


@pytest.mark.parametrize(
    ("path", "value", "where", "words"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN]
)
def test_one_line_for_one_mistake(path, value, where, words):
    lines = lines_of(changed(path, value))
    assert len(lines) == 1, lines
    assert lines[0].startswith(where + ": "), lines
    for word in words:
        assert word in lines[0], lines


@pytest.mark.parametrize(
    ("model", "refused"),
    [
        ({"url": "https://models.example/a.gguf"}, True),
        ({"url": "https://models.example/a.gguf", "license": "mit"}, False),
        ({"path": "/srv/a.gguf"}, False),
        ({"path": "/srv/a.gguf", "license": "Gemma terms"}, True),
    ],
)
def test_the_licence_of_a_file_on_the_host_may_be_stated_by_its_header(model, refused):
    llm_settings = {**GOOD["llm_settings"], "default_model": "a"}
    config = {**GOOD, "llm_settings": llm_settings, "models": {"a": model}, "policy": {"allowed_licenses": ["MIT"]}}
    assert [line.partition(":")[0] for line in lines_of(config)] == ["models.a.license"] * refused


def test_two_models_of_one_file_are_told_what_to_do():
    models = changed("models/tinyllama", DELETE)["models"]
    source = {"url": "https://models.example/a.gguf", "sha256": "0" * 64}
    config = {**GOOD, "models": {**models, "one": source, "two": source}}
    config["llm_settings"] = {**GOOD["llm_settings"], "default_model": "one"}
    (line,) = lines_of(config)
    assert line.startswith("models.two: ") and 'add "two" to models.one.aliases' in line and '"filename"' in line
    config["models"]["two"] = {**source, "state": "absent"}
    (line,) = lines_of(config)
    assert "aliases" not in line and '"filename"' in line


def test_a_choice_that_this_release_does_not_have():
    schema = {"properties": {"colour": {"enum": ["red", "blue"], "x-planned": ["blue"]}}}
    (problem,) = load.problems_of({"colour": "blue"}, schema)
    assert str(problem) == 'colour: "blue" is not supported by this release yet; expected: "red"'


def test_the_plans_example_is_right():
    assert lines_of(GOOD) == []


@pytest.mark.parametrize("name", ["llm_config.json", "demo.json", "demo_selftest.json"])
def test_the_shipped_configurations_are_right(name):
    assert lines_of(load.read(REPOSITORY / "config" / name)) == []


def test_all_mistakes_are_told_at_once():
    config = changed("llm_settings/server_port", "8080")
    config["llm_settings"]["default_model"] = "nothing"
    config["models"]["tinyllama"]["sha256"] = "abc"
    config["server"] = {"arguments": {"port": 1}, "parallel": 0}
    assert [line.partition(": ")[0] for line in lines_of(config)] == [
        "llm_settings.default_model",
        "llm_settings.server_port",
        "models.tinyllama.sha256",
        "server.arguments.port",
        "server.parallel",
    ]


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.20", "::", "mac-07.local"])
def test_open_server_needs_a_key(host):
    config = changed("llm_settings/server_host", host)
    assert lines_of(config) == []
    config["server"] = {"api_key": "none"}
    (line,) = lines_of(config)
    assert line.startswith("server.api_key: ")


@pytest.mark.parametrize("host", ["llm.sock", "127.0.0.1,0.0.0.0", "/tmp/llm.sock"])
def test_the_server_listens_on_one_address(host):
    """llama-server takes a list, too, and the path of a socket, which no client of ours could ask."""
    (line,) = lines_of(changed("llm_settings/server_host", host))
    assert line.startswith("llm_settings.server_host: ")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_loopback_may_do_without(host):
    config = changed("llm_settings/server_host", host)
    config["server"] = {"api_key": "none"}
    assert lines_of(config) == []


#: What gives a shell, files or other hosts to whoever asks the server, however it is written.
HANDS = [
    ("agent", True),
    ("agent", "on"),
    ("ag", True),
    ("no-agent", False),
    ("no-agent", "0"),
    ("tools", "all"),
    ("tools-runtime", "docker:x"),
    ("mcp-servers-config", "/x.json"),
    ("mcp-servers-json", "{}"),
    ("ui-mcp-proxy", True),
    ("webui-mcp-proxy", 1),
    ("no-webui-mcp-proxy", False),
    ("path", "/"),
    ("media-path", "/"),
    ("slot-save-path", "/tmp"),
]


@pytest.mark.parametrize(("option", "value"), HANDS)
def test_what_acts_for_whoever_asks_needs_a_key(option, value):
    for path, where in (("server", "server"), ("models/tinyllama", "models.tinyllama")):
        config = changed(f"{path}/arguments", {option: value, "threads": 4})
        assert lines_of(config) == []
        config["server"] = {**config.get("server", {}), "api_key": "none"}
        (line,) = lines_of(config)
        assert line.startswith(f"{where}.arguments.{option}: ") and "server.api_key" in line


def test_what_is_switched_off_needs_none():
    config = changed("server", {"api_key": "none", "arguments": {"agent": False, "no-ui-mcp-proxy": True}})
    assert lines_of(config) == []


@pytest.mark.parametrize("value", ["--agent", "-ag", "--mcp_servers_config", "--host", "-m"])
def test_no_option_comes_in_as_the_value_of_another(value):
    """``--cont-batching --agent``: the first takes no value, so the second is an option."""
    for path, where in (("server", "server"), ("models/tinyllama", "models.tinyllama")):
        (line,) = lines_of(changed(f"{path}/arguments", {"cont-batching": value}))
        assert line.startswith(f"{where}.arguments.cont-batching: ") and value in line


@pytest.mark.parametrize("value", ["-1", "-0.5", "--- end", "-", "--", "---", "<|im_end|>"])
def test_values_may_begin_with_a_dash(value):
    assert lines_of(changed("server/arguments", {"reverse-prompt": value})) == []


@pytest.mark.parametrize("origin", ["*", "null"])
def test_an_origin_that_any_page_can_have_needs_a_key(origin):
    config = changed("server", {"cors_origins": ["https://app.example", origin]})
    assert lines_of(config) == []
    config["server"]["api_key"] = "none"
    (line,) = lines_of(config)
    assert line.startswith("server.cors_origins[1]: ")


def test_secrets_are_not_repeated():
    config = changed("server", {"api_key": "sk-very-secret"})
    config["models"]["tinyllama"]["url"] = "ftp://user:hunter2@x/a.gguf?signature=abc"
    text = "\n".join(lines_of(config))
    for secret in ("very-secret", "hunter2", "signature"):
        assert secret not in text


@pytest.mark.parametrize(
    ("path", "url"),
    [
        ("models/tinyllama/url", "https://sam:hunter2@x/a.gguf"),
        ("models/tinyllama/mirrors", ["https://x/", "https://hunter2@x/a.gguf"]),
        ("engine", {"url": "https://hunter2@x/llama.cpp.git"}),
        ("engine", {"url": "ssh://git:hunter2@x/llama.cpp.git"}),
        ("engine", {"url": "https://x/llama.cpp.git?private_token=hunter2"}),
    ],
)
def test_an_address_with_a_secret_that_cannot_be_kept_is_refused_without_repeating_it(path, url):
    (line,) = lines_of(changed(path, url))
    assert "it contains a " in line and "hunter2" not in line
    assert ("credential helper" in line) == path.startswith("engine")


def test_an_account_in_the_address_of_a_repository_is_no_secret():
    for url in ("ssh://git@x/llama.cpp.git", "git@x:llama.cpp.git"):
        assert lines_of(changed("engine", {"url": url})) == []


def test_braces_are_data():
    inert = "{{ lookup('pipe', 'touch /tmp/evaluated') }}"
    config = changed("client", {"system_prompt": inert})
    filled = rules.checked(config, SCHEMA, CATALOG, "llm_config.json")
    assert filled["client"]["system_prompt"] == inert


def test_defaults_come_from_the_schema_alone():
    filled = rules.checked({"models": GOOD["models"]}, SCHEMA, CATALOG, "llm_config.json")
    settings = SCHEMA["properties"]["llm_settings"]["properties"]
    for key, schema in settings.items():
        if "default" in schema:
            assert filled["llm_settings"][key] == schema["default"]
    assert filled["models"]["tinyllama"]["aliases"] == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", ["not JSON", "line 1"]),
        ('{"models": {}, "models": {}}', ["models", "twice"]),
        ("[]", ["an object"]),
        ("\udcff", ["UTF-8"]),
    ],
    ids=["cut off", "key twice", "a list", "not text"],
)
def test_files_that_are_no_configuration(tmp_path, text, words):
    path = tmp_path / "llm_config.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(load.ConfigurationError) as error:
        rules.checked(load.read(path), SCHEMA, CATALOG, str(path))
    for word in words:
        assert word in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(load.ConfigurationError, match=r"none\.json"):
        load.read(tmp_path / "none.json")


def every_schema(schema, path=""):
    yield path, schema
    for key, value in schema.get("properties", {}).items():
        yield from every_schema(value, f"{path}.{key}")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from every_schema(schema["additionalProperties"], path + ".*")


def test_every_key_is_described():
    for root in (SCHEMA, *SCHEMA["$defs"].values()):
        for path, schema in every_schema(root):
            if path and not path.endswith(".*"):
                assert load._resolved(schema, SCHEMA).get("description"), path


def test_every_default_is_valid():
    import jsonschema

    for root in (SCHEMA, *SCHEMA["$defs"].values()):
        for path, schema in every_schema(root):
            if "default" in schema:
                jsonschema.Draft202012Validator({**schema, "$defs": SCHEMA["$defs"]}).validate(schema["default"])
                assert path


def test_merge_lays_nested_values_over():
    base = {"a": {"b": 1, "c": [1]}, "d": 2}
    assert load.merge(base, {"a": {"c": [2], "e": 3}}) == {"a": {"b": 1, "c": [2], "e": 3}, "d": 2}
    assert base == {"a": {"b": 1, "c": [1]}, "d": 2}
