# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What llama-server is started with when several models are configured, and what a model needs beside its own file."""

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from support.planning import LINUX, MAC, MODEL, option, resolve

OTHER = {"url": "https://models.example/other.gguf"}


def several(server=None, settings=None, host=LINUX, **models):
    models = models or {"tiny": MODEL, "other": OTHER}
    settings = {"default_model": next(iter(models)), **(settings or {})}
    return resolve({"models": models, "llm_settings": settings, "server": server or {}}, host)["server"]


def test_one_model_has_no_router():
    found = resolve()["server"]
    assert found["presets"] is None
    assert found["key_files"] == {}
    assert "--models-preset" not in found["arguments"]


def test_several_models_have_one_and_never_a_model_of_its_own():
    found = several()
    arguments = found["arguments"]
    assert (
        option(arguments, "--models-preset") == found["presets"]["file"] == "/home/sam/llm-workspace/service/models.ini"
    )
    assert option(arguments, "--models-max") == "4"
    assert option(arguments, "--host") == "127.0.0.1" and "--offline" in arguments and "--no-ui" in arguments
    assert not {"--model", "--alias", "--api-key-file", "--api-key"} & set(arguments)
    sections = found["presets"]["sections"]
    assert sections["tiny"]["model"].endswith("/models/tiny.gguf")
    assert sections["other"]["model"].endswith("/models/other.gguf")
    assert sections["tiny"]["load-on-startup"] == "true" and "load-on-startup" not in sections["other"]


def test_a_client_that_stands_still_is_dropped_but_no_router_drops_a_long_answer():
    assert option(resolve()["server"]["arguments"], "--timeout") == "60"
    chosen = resolve({"server": {"arguments": {"timeout": 600}}})["server"]["arguments"]
    assert option(chosen, "--timeout") == "600" and chosen.count("--timeout") == 1
    found = several()
    assert "--timeout" not in found["arguments"] and "timeout" not in found["presets"]["sections"]["*"]


def test_the_keys_reach_the_models_through_the_environment():
    assert several()["key_files"] == {"LLAMA_API_KEY": "/home/sam/llm-workspace/service/api-key"}
    assert several({"api_key": "none"})["key_files"] == {}


def test_what_is_said_of_all_models_gives_way_to_what_is_said_of_one():
    server = {"arguments": {"threads": 2, "threads-http": 9, "jinja": False}, "parallel": 3, "idle_unload_seconds": 60}
    own = {**OTHER, "arguments": {"threads": 4, "jinja": True, "verbose": True}, "context_size": 512}
    found = several({**server, "max_loaded_models": 1}, tiny=MODEL, other={**own, "aliases": ["o", "oo"]})
    sections = found["presets"]["sections"]
    shared = {"parallel": "3", "sleep-idle-seconds": "60", "threads": "2", "no-jinja": "true", "stop-timeout": "5"}
    assert sections["*"] == shared
    assert sections["other"]["threads"] == "4" and sections["other"]["jinja"] == "true"
    assert sections["other"]["ctx-size"] == "512" and sections["other"]["alias"] == "o,oo"
    # The command line would win over every section.
    assert "--threads" not in found["arguments"] and "--no-jinja" not in found["arguments"]
    assert option(found["arguments"], "--threads-http") == "9"
    assert option(found["arguments"], "--models-max") == "1"
    for wanted in ("--threads", "--no-jinja", "--jinja", "--threads-http", "--models-preset", "--verbose"):
        assert wanted in found["options"]  # what the installed binary is asked for
    assert "--load-on-startup" not in found["options"]  # known in the file only


def test_a_mac_without_metal_says_so_to_every_model():
    found = several(settings={"metal_acceleration": False}, host=MAC)
    assert found["presets"]["sections"]["*"]["device"] == "none"


@pytest.mark.parametrize(
    ("settings", "model", "named"),
    [
        ({"models_dir": "/srv/LLM #1"}, OTHER, "models.tiny"),
        ({}, {**OTHER, "filename": "a;b.gguf"}, "models.other"),
        ({}, {**OTHER, "arguments": {"samplers": "top_k;temperature"}}, '"samplers"'),
        ({}, {**OTHER, "arguments": {"chat-template": "line\nline"}}, '"chat-template"'),
        ({}, {**OTHER, "arguments": {"reverse-prompt": " x"}}, '"reverse-prompt"'),
        ({}, {**OTHER, "arguments": {"reverse-prompt": "x\t"}}, '"reverse-prompt"'),
    ],
)
def test_what_the_file_cannot_say_is_refused(settings, model, named):
    with pytest.raises(LlamaCppError, match=r"Nothing was changed") as caught:
        several(settings=settings, tiny=MODEL, other=model)
    assert named in str(caught.value)


def test_json_says_the_same_in_other_letters():
    own = {**OTHER, "arguments": {"chat-template-kwargs": '{"a": "x;y",\n "b": "#ü"}'}}
    sections = several(tiny=MODEL, other=own)["presets"]["sections"]
    assert sections["other"]["chat-template-kwargs"] == '{"a": "x\\u003by", "b": "\\u0023\\u00fc"}'


def test_the_files_of_all_models_are_what_the_server_depends_on():
    own = {**OTHER, "mmproj": {"path": "~/eye.gguf"}}
    assert [path.rpartition("/")[2] for path in several(tiny=MODEL, other=own)["inputs"]] == [
        "tiny.gguf",
        "other.gguf",
        "eye.gguf",
    ]


# -- what is beside a model -------------------------------------------------------------------------------------------


def test_companions_are_fetched_and_passed_on():
    model = {
        **MODEL,
        "mmproj": {"huggingface": {"repo": "a/b", "file": "eye.gguf"}, "sha256": "0" * 64},
        "draft_model": {"url": "https://models.example/draft.gguf", "bytes": 7},
        "lora": [
            {"path": "~/a,b.gguf"},
            {"path": "/srv/c.gguf", "filename": "polite.gguf", "scale": 0.5},
            {"path": "/srv/d.gguf", "scale": -1},
        ],
    }
    plan = resolve({"models": {"tiny": model}})
    by_name = {file["name"] + " " + file["dest"].rpartition("/")[2]: file for file in plan["files"]}
    eye = by_name["tiny (mmproj) eye.gguf"]
    assert eye["source"]["huggingface"] == {"repo": "a/b", "file": "eye.gguf", "revision": "main"}
    assert eye["sha256"] == "0" * 64
    assert by_name["tiny (draft_model) draft.gguf"]["bytes"] == 7
    assert by_name["tiny (lora) polite.gguf"]["source"] == {"path": "/srv/c.gguf"}
    arguments, models = plan["server"]["arguments"], plan["paths"]["models_dir"]
    assert option(arguments, "--mmproj") == f"{models}/eye.gguf"
    assert option(arguments, "--spec-draft-model") == f"{models}/draft.gguf"
    assert option(arguments, "--spec-type") == "draft-simple"
    assert option(arguments, "--lora") == f'"{models}/a,b.gguf"'
    assert option(arguments, "--lora-scaled") == f"{models}/polite.gguf:0.5,{models}/d.gguf:-1"


def test_a_colon_and_a_scale_do_not_go_together():
    model = {**MODEL, "lora": [{"path": "/srv/a:b.gguf", "scale": 2}]}
    with pytest.raises(LlamaCppError, match=r"models\.tiny\.lora.*a:b\.gguf"):
        resolve({"models": {"tiny": model}})


@pytest.mark.parametrize(("purpose", "wanted"), [("embedding", "--embeddings"), ("rerank", "--rerank"), ("chat", None)])
def test_the_purpose_is_told(purpose, wanted):
    plan = resolve({"models": {"tiny": {**MODEL, "purpose": purpose}}})
    assert {"--embeddings", "--rerank"} & set(plan["server"]["arguments"]) == ({wanted} if wanted else set())
    assert plan["model"]["purpose"] == purpose
    kinds = {"rerank": "reranker", "embedding": "embedder", "chat": "chat"}
    assert [file["kind"] for file in plan["files"]] == [kinds[purpose]]


@pytest.mark.parametrize(
    ("purpose", "argument"),
    [("embedding", {"pooling": "mean"}), ("chat", {"chat-template": "chatml"}), ("chat", {"chat-template-file": "/t"})],
)
def test_what_is_configured_is_not_demanded_of_the_file(purpose, argument):
    model = {**MODEL, "purpose": purpose}
    alone = {"models": {"tiny": {**model, "arguments": argument}}}
    shared = {"models": {"tiny": model}, "server": {"arguments": argument}}
    assert [file["kind"] for config in (alone, shared) for file in resolve(config)["files"]] == ["model"] * 2


def test_the_catalog_knows_what_its_models_are_for():
    plan = resolve({"models": {"vectors": {"catalog": "nomic-embed-text-v1.5"}}})
    assert plan["model"]["purpose"] == "embedding" and "--embeddings" in plan["server"]["arguments"]
    own = resolve({"models": {"vectors": {"catalog": "nomic-embed-text-v1.5", "purpose": "chat"}}})
    assert own["model"]["purpose"] == "chat"


def test_the_client_asks_a_model_that_can_answer():
    models = {"vectors": {**OTHER, "purpose": "embedding"}, "tiny": MODEL}
    plan = resolve({"models": models, "llm_settings": {"default_model": "vectors"}})
    assert (plan["model"]["name"], plan["client"]["default_model"]) == ("vectors", "tiny")
    chosen = resolve({"models": models, "llm_settings": {"default_model": "tiny"}, "client": {"default_model": "tiny"}})
    assert chosen["client"]["default_model"] == "tiny"


# -- a model in several files -----------------------------------------------------------------------------------------

SPLIT = {"url": "https://models.example/dir/big-00001-of-00003.gguf?download=true"}


def test_all_files_of_a_set_are_what_the_server_depends_on():
    parts = [{"bytes": size, "sha256": str(size) * 64} for size in (1, 2, 3)]
    plan = resolve({"models": {"big": {**SPLIT, "parts": parts}}, "policy": {"require_checksums": True}})
    (file,) = plan["files"]
    assert file["shards"] == parts and file["sha256"] is None
    assert [path.rpartition("/")[2] for path in plan["server"]["inputs"]] == [
        f"big-0000{number}-of-00003.gguf" for number in (1, 2, 3)
    ]
    assert option(plan["server"]["arguments"], "--model").endswith("/big-00001-of-00003.gguf")


@pytest.mark.parametrize(
    ("model", "where", "what"),
    [
        ({"path": "/srv/big-00002-of-00003.gguf"}, "models.big", "shard 2 of 3"),
        ({**SPLIT, "filename": "big.gguf"}, "models.big.filename", "differ"),
        ({**MODEL, "filename": "big-00001-of-00002.gguf"}, "models.big.filename", "differ"),
        ({**SPLIT, "sha256": "0" * 64}, "models.big.sha256", "the key parts"),
        ({**SPLIT, "bytes": 1}, "models.big.bytes", "the key parts"),
        ({**SPLIT, "parts": [{}, {}]}, "models.big.parts", "expected: 3"),
        ({**MODEL, "parts": [{}, {}]}, "models.big.parts", "expected: 1"),
    ],
)
def test_a_set_that_does_not_hang_together_is_refused(model, where, what):
    with pytest.raises(LlamaCppError) as caught:
        resolve({"models": {"big": model}})
    assert any(line.strip().startswith(f"{where}: ") and what in line for line in str(caught.value).splitlines())


def test_a_set_without_all_its_checksums_is_refused_where_they_are_asked_for():
    for model in (SPLIT, {**SPLIT, "parts": [{"sha256": "0" * 64}, {}, {"sha256": "0" * 64}]}):
        with pytest.raises(LlamaCppError, match=r"models\.big\.sha256: no SHA-256 is known"):
            resolve({"models": {"big": model}, "policy": {"require_checksums": True}})


# -- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("models", "where"),
    [
        ({"a": MODEL, "b": {**OTHER, "aliases": ["a"]}}, "models.b.aliases[0]"),
        ({"a": {**MODEL, "aliases": ["x", "y"]}, "b": {**OTHER, "aliases": ["z", "y"]}}, "models.b.aliases[1]"),
        ({"a": {**MODEL, "lora": [{"path": "/x/tiny.gguf"}]}}, "models.a.lora[0]"),
        ({"a": {**MODEL, "mmproj": {"path": "/x/p.gguf", "url": "https://x/p.gguf"}}}, "models.a.mmproj"),
        ({"a": {**MODEL, "draft_model": {}}}, "models.a.draft_model"),
        ({"a": {**MODEL, "arguments": {"mmproj": "/x"}}}, "models.a.arguments.mmproj"),
    ],
)
def test_what_would_be_two_things_is_refused(models, where):
    with pytest.raises(LlamaCppError) as caught:
        resolve({"models": models, "llm_settings": {"default_model": "a"}})
    assert f"  {where}: " in str(caught.value)


def test_two_models_may_share_what_is_beside_them():
    beside = {"draft_model": {"path": "/srv/draft.gguf"}, "lora": [{"path": "/srv/l.gguf", "scale": 2}]}
    models = {"a": {**MODEL, **beside}, "b": {**OTHER, "draft_model": {"path": "/srv/draft.gguf", "type": "draft-mtp"}}}
    plan = resolve({"models": models, "llm_settings": {"default_model": "a"}})
    assert [file["kind"] for file in plan["files"]] == ["chat", "model", "adapter", "chat"]
    names = {file["dest"].rpartition("/")[2]: file["name"] for file in plan["files"]}
    assert names["draft.gguf"] == "a (draft_model), b (draft_model)" and len(names) == 4
