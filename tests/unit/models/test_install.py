# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What is done about one model file, whatever is in its place already."""

import hashlib
import os

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.models.source import WebSource
from ansible_collections.macos_setup.llm.plugins.module_utils.net.http import Web
from support.fault_server import Fault, FaultServer
from support.model_factory import KEYS, STRING, header, hostile_files, model_bytes, tensor
from support.models import install, link, remove

SIZE = 50_000
MODEL = model_bytes(SIZE, seed=1)
OTHER = model_bytes(SIZE, seed=2)
SHA256, OTHER_SHA256 = (hashlib.sha256(content).hexdigest() for content in (MODEL, OTHER))


@pytest.fixture
def server():
    with FaultServer() as running:
        running.serve("/m.gguf", MODEL)
        running.serve("/other.gguf", OTHER)
        yield running


@pytest.fixture
def path(tmp_path):
    return tmp_path / "models & more" / "m.gguf"


def source(server, name="/m.gguf", **options):
    return WebSource(server.url(name), Web(timeout=5), **options)


def have(server, path, name="/m.gguf", **wanted):
    return install(path, source(server, name), **wanted)


def place(path, content):
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)


def everything_below(path):
    return {str(found.relative_to(path)): found.lstat().st_mtime_ns for found in path.rglob("*")}


# ---- from the web


@pytest.mark.parametrize("sha256", [None, SHA256], ids=["unknown hash", "known hash"])
def test_fetched_once_and_then_trusted_without_a_look_at_net_or_data(server, path, tmp_path, sha256):
    first = have(server, path, sha256=sha256)
    assert (first["changed"], first["bytes"], first["sha256"], first["transferred"]) == (True, SIZE, SHA256, SIZE)
    assert (first["architecture"], first["context_length"], first["verified"]) == ("llama", 128, True)
    assert path.read_bytes() == MODEL
    assert sorted(os.listdir(path.parent)) == [".llama_cpp", "m.gguf"]

    requests, before = len(server.requests), everything_below(tmp_path)
    second = have(server, path, sha256=sha256)
    assert (second["changed"], second["transferred"], second["verified"]) == (False, 0, True)
    assert {**second, "changed": True, "transferred": SIZE, "diff": first["diff"]} == first
    assert len(server.requests) == requests
    assert everything_below(tmp_path) == before


@pytest.mark.parametrize("what", ["a web page", "last byte missing", "negative tensor count"])
def test_what_is_no_sound_model_never_gets_the_name(server, path, what):
    server.serve("/m.gguf", hostile_files()[what])
    with pytest.raises(LlamaCppError, match="thrown away"):
        have(server, path)
    assert os.listdir(path.parent) == [".llama_cpp"]


def test_what_served_before_stays_until_the_new_file_is_right(server, path):
    have(server, path, sha256=SHA256)
    server.serve("/m.gguf", OTHER[:-1])
    with pytest.raises(LlamaCppError):
        have(server, path, sha256=OTHER_SHA256)
    assert path.read_bytes() == MODEL
    result = have(server, path, "/other.gguf", sha256=OTHER_SHA256)
    assert (result["changed"], path.read_bytes()) == (True, OTHER)
    assert result["diff"]["before"]["sha256"] == SHA256
    assert result["diff"]["after"]["sha256"] == OTHER_SHA256


def test_another_address_without_a_hash_is_another_file(server, path):
    have(server, path)
    assert have(server, path, "/other.gguf")["changed"]
    assert path.read_bytes() == OTHER


def test_another_address_with_the_same_hash_is_the_same_file(server, path):
    have(server, path)
    assert not have(server, path, "/gone.gguf", sha256=SHA256)["changed"]


def test_a_wrong_size_is_refused(server, path):
    with pytest.raises(LlamaCppError, match="49999"):
        have(server, path, bytes=SIZE - 1)
    assert not path.exists()


def test_a_model_without_a_hash_can_be_refused(server, path, tmp_path):
    for check_only in (True, False):
        with pytest.raises(LlamaCppError, match=r"models\.tiny\.sha256"):
            have(server, path, require_checksum=True, check_only=check_only)
    assert os.listdir(tmp_path) == []
    assert have(server, path, require_checksum=True, sha256=SHA256)["changed"]


def test_mirrors_come_first_and_are_verified_all_the_same(server, path):
    server.serve("/mirror/m.gguf", OTHER)
    mirrors = [server.url("/gone.gguf"), server.url("/mirror/")]
    result = install(path, source(server, mirrors=mirrors), sha256=SHA256)
    assert path.read_bytes() == MODEL
    assert result["origin"] == server.url("/m.gguf")
    assert [request.path for request in server.requests] == ["/gone.gguf", "/mirror/m.gguf", "/m.gguf"]


def test_mirrors_without_a_hash_are_refused(server, path):
    with pytest.raises(LlamaCppError, match="sha256"):
        install(path, source(server, mirrors=[server.url("/")]))
    assert server.requests == []


@pytest.mark.parametrize("demands", [{}, {"sha256": SHA256, "bytes": SIZE}], ids=["unknown", "known"])
def test_check_only_tells_and_touches_nothing(server, path, tmp_path, demands):
    result = have(server, path, check_only=True, **demands)
    assert (result["changed"], result["verified"], result["sha256"]) == (True, False, demands.get("sha256"))
    assert result["diff"] == {
        "before": {},
        "after": {"dest": str(path), "bytes": demands.get("bytes"), "sha256": demands.get("sha256")},
    }
    assert "127.0.0.1" in result["msg"]
    assert (server.requests, os.listdir(tmp_path)) == ([], [])


# ---- something is there already


@pytest.mark.parametrize("sha256", [None, SHA256], ids=["unknown hash", "known hash"])
def test_a_file_of_the_owner_is_verified_once_and_used(server, path, sha256):
    place(path, MODEL)
    forecast = have(server, path, sha256=sha256, check_only=True)
    assert (forecast["changed"], forecast["verified"]) == (False, False)
    assert os.listdir(path.parent) == ["m.gguf"]
    for _ in range(2):
        result = have(server, path, sha256=sha256)
        assert (result["changed"], result["verified"], result["sha256"]) == (False, True, sha256)
    assert have(server, path, sha256=sha256, check_only=True)["verified"]
    assert server.requests == []


def test_a_hash_that_is_demanded_later_is_looked_at_once(server, path):
    place(path, MODEL)
    have(server, path)
    assert have(server, path, sha256=SHA256)["sha256"] == SHA256
    assert have(server, path, sha256=SHA256, check_only=True)["verified"]


def test_a_wrong_file_of_the_owner_is_named_and_left(server, path):
    place(path, OTHER)
    for _ in range(2):
        with pytest.raises(LlamaCppError) as caught:
            have(server, path, sha256=SHA256)
        assert SHA256 in str(caught.value)
        assert OTHER_SHA256 in str(caught.value)
    assert path.read_bytes() == OTHER
    assert server.requests == []


@pytest.mark.parametrize("content", [MODEL[:-1], b"<html>"], ids=["truncated", "a web page"])
@pytest.mark.parametrize("check_only", [False, True])
def test_an_unsound_file_of_the_owner_is_named_and_left(server, path, content, check_only):
    place(path, content)
    with pytest.raises(LlamaCppError, match="left as it is"):
        have(server, path, check_only=check_only)
    assert path.read_bytes() == content


def test_a_link_of_the_owner_is_used_and_a_dead_one_is_named(server, path, tmp_path):
    place(tmp_path / "elsewhere.gguf", MODEL)
    path.parent.mkdir()
    path.symlink_to(tmp_path / "elsewhere.gguf")
    assert not have(server, path, sha256=SHA256)["changed"]
    assert path.is_symlink()
    (tmp_path / "elsewhere.gguf").unlink()
    with pytest.raises(LlamaCppError, match="elsewhere"):
        have(server, path, sha256=SHA256)


def test_what_we_placed_and_somebody_replaced_is_the_owners(server, path):
    have(server, path, sha256=SHA256)
    place(path, OTHER)
    with pytest.raises(LlamaCppError, match=OTHER_SHA256):
        have(server, path, sha256=SHA256)
    assert path.read_bytes() == OTHER


def test_what_we_placed_stays_ours_when_it_comes_back_from_a_backup(server, path):
    have(server, path)
    path.unlink()
    path.write_bytes(MODEL)
    result = have(server, path)
    assert (result["changed"], result["sha256"]) == (False, SHA256)
    assert remove(path)["changed"]


def test_deep_verify_finds_and_heals_a_flipped_bit(server, path):
    have(server, path)
    status = path.stat()
    with path.open("r+b") as stream:
        stream.seek(-1, os.SEEK_END)
        stream.write(bytes([MODEL[-1] ^ 1]))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert not have(server, path)["changed"]  # an ordinary run reads no model data, so it cannot see this
    assert not have(server, path, deep_verify=True, check_only=True)["verified"]
    assert have(server, path, deep_verify=True)["changed"]
    assert path.read_bytes() == MODEL
    assert not have(server, path, deep_verify=True)["changed"]


# ---- a path on the host


@pytest.fixture
def local(tmp_path):
    place(tmp_path / "my own model.gguf", MODEL)
    return tmp_path / "my own model.gguf"


def test_a_local_file_is_linked_not_copied(path, local):
    forecast = link(path, local, check_only=True)
    assert (forecast["changed"], path.parent.exists()) == (True, False)
    result = link(path, local)
    assert (result["changed"], result["bytes"], result["architecture"]) == (True, SIZE, "llama")
    assert os.readlink(path) == str(local)
    assert not link(path, local)["changed"]
    assert link(path, local, check_only=True)["verified"]


def test_a_local_file_is_no_download_so_no_checksum_is_required(path, local):
    assert link(path, local, require_checksum=True)["changed"]


def test_a_local_file_in_its_place_is_only_checked(path):
    place(path, MODEL)
    assert not link(path, path, sha256=SHA256)["changed"]
    assert not path.is_symlink()
    with pytest.raises(LlamaCppError, match="not put there by this collection"):
        remove(path)


def test_a_wrong_local_file_is_named_and_not_linked(path, local):
    with pytest.raises(LlamaCppError, match=SHA256):
        link(path, local, sha256=OTHER_SHA256)
    with pytest.raises(LlamaCppError, match="bytes"):
        link(path, local, bytes=1)
    local.write_bytes(MODEL[:-1])
    with pytest.raises(LlamaCppError, match="cut short"):
        link(path, local)
    with pytest.raises(LlamaCppError, match="nowhere"):
        link(path, "/nowhere/m.gguf")
    assert not path.exists()


def test_a_local_file_that_changed_is_checked_again(path, local):
    link(path, local, sha256=SHA256)
    local.write_bytes(OTHER)
    assert not link(path, local, sha256=SHA256, check_only=True)["verified"]
    with pytest.raises(LlamaCppError, match=OTHER_SHA256):
        link(path, local, sha256=SHA256)
    assert not link(path, local, sha256=OTHER_SHA256)["changed"]


def test_a_link_of_ours_is_moved_and_other_files_are_not_replaced(path, local, tmp_path):
    place(tmp_path / "second.gguf", OTHER)
    link(path, local)
    assert link(path, tmp_path / "second.gguf")["changed"]
    assert path.read_bytes() == OTHER
    path.unlink()
    place(path, OTHER)
    with pytest.raises(LlamaCppError, match="not put there by this collection"):
        link(path, local)
    assert not path.is_symlink()


def test_from_link_to_download_and_back(server, path, local):
    link(path, local)
    assert have(server, path, "/other.gguf")["changed"]
    assert (path.is_symlink(), path.read_bytes(), local.read_bytes()) == (False, OTHER, MODEL)
    assert link(path, local)["changed"]
    assert path.is_symlink()


# ---- absent


def test_what_we_placed_can_be_taken_away_again(server, path):
    have(server, path)
    forecast = remove(path, check_only=True)
    assert (forecast["changed"], path.exists()) == (True, True)
    result = remove(path)
    assert (result["changed"], result["diff"]["after"], result["bytes"]) == (True, {}, None)
    assert os.listdir(path.parent) == []
    assert not remove(path)["changed"]


def test_a_link_goes_and_the_file_behind_it_stays(path, local):
    link(path, local)
    remove(path)
    assert (path.is_symlink(), local.exists()) == (False, True)
    link(path, local)
    local.unlink()
    remove(path)
    assert not path.is_symlink()


def test_an_unfinished_download_goes_too(server, path):
    server.serve("/m.gguf", MODEL, faults=[Fault(close_after=1000), Fault(status=404)])
    with pytest.raises(LlamaCppError):
        have(server, path)
    assert (path.parent / "m.gguf.part").exists()
    assert remove(path)["changed"]
    assert os.listdir(path.parent) == []


@pytest.mark.parametrize("was_used", [False, True])
def test_what_the_owner_placed_stays(server, path, was_used):
    place(path, MODEL)
    if was_used:
        have(server, path, sha256=SHA256)
    with pytest.raises(LlamaCppError, match="rm '"):
        remove(path)
    assert path.exists()


@pytest.mark.parametrize(("kind", "keys", "count"), [("chat", KEYS[:1], 1), ("model", KEYS[:1], 0), ("chat", KEYS, 0)])
def test_a_base_model_for_chat_is_a_warning(path, tmp_path, kind, keys, count):
    target = tmp_path / "base.gguf"
    target.write_bytes(model_bytes(4096, keys=keys))
    path.parent.mkdir()
    warnings = link(path, target, kind=kind)["warnings"]
    assert len(warnings) == count and all("chat template" in warning for warning in warnings)


def licensed(path, *values):
    keys = [(key, STRING, value) for key, value in zip(("general.license", "general.license.name"), values)]
    path.write_bytes(model_bytes(4096, keys=(*KEYS, *keys)))


def test_the_licence_in_the_header_is_one_that_is_allowed(path, tmp_path):
    target = tmp_path / "own.gguf"
    path.parent.mkdir()
    for values in ((), ("gemma",), ("other", "lfm1.0")):
        licensed(target, *values)
        with pytest.raises(LlamaCppError, match=r"models\.tiny\.license"):
            link(path, target, licenses=["Apache-2.0"])
        assert not path.exists()
    for allowed, values in (("Apache-2.0", ("apache-2.0",)), ("LFM1.0", ("other", "lfm1.0"))):
        licensed(target, *values)
        assert link(path, target, licenses=[allowed])["verified"]
    with pytest.raises(LlamaCppError, match=r"models\.tiny\.license"):  # the policy was changed since
        link(path, target, licenses=["MIT"])


def test_tensor_types_that_only_a_newer_engine_knows_are_told(path, tmp_path):
    target = tmp_path / "new.gguf"
    target.write_bytes(header(tensors=[tensor("a", [64], kind=99)]))
    path.parent.mkdir()
    (warning,) = link(path, target)["warnings"]
    assert "99" in warning
    assert "engine.version" in warning
