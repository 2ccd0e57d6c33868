# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""A directory of models in which other users write, too: nothing of theirs is followed, overwritten or believed."""

import hashlib
import json
import os
import stat

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.models.source import WebSource
from ansible_collections.macos_setup.llm.plugins.module_utils.models.verification import VerificationRecord
from ansible_collections.macos_setup.llm.plugins.module_utils.net.download import Download
from ansible_collections.macos_setup.llm.plugins.module_utils.net.http import Web
from support.fault_server import FaultServer
from support.model_factory import model_bytes
from support.models import install

MODEL, OTHER = model_bytes(50_000, seed=1), model_bytes(50_000, seed=2)
SHA256 = hashlib.sha256(MODEL).hexdigest()
NOBODY = 65534
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of somebody else")


@pytest.fixture
def server():
    with FaultServer() as running:
        running.serve("/m.gguf", MODEL)
        yield running


@pytest.fixture
def models(tmp_path):
    directory = tmp_path / "models"
    directory.mkdir()
    directory.chmod(0o1777)
    (tmp_path / "victim").write_text("important")
    yield directory
    assert (tmp_path / "victim").read_text() == "important"


def have(server, models, **demands):
    source = WebSource(server.url("/m.gguf"), Web(timeout=5))
    return install(models / "m.gguf", source, **demands)


def test_a_link_under_the_name_of_the_part_is_refused(server, models):
    (models / "m.gguf.part").symlink_to(models.parent / "victim")
    with pytest.raises(LlamaCppError, match=r"m\.gguf\.part is a link"):
        have(server, models)
    assert sorted(os.listdir(models)) == [".llama_cpp", "m.gguf.part"] and server.requests == []


def test_a_link_under_the_name_of_the_note_is_not_followed(server, models):
    note = {"url": server.url("/m.gguf"), "validator": None, "size": 1, "sha256": None}
    (models.parent / "note").write_text(json.dumps(note))
    (models / "m.gguf.part").write_bytes(b"x")
    (models / "m.gguf.part.json").symlink_to(models.parent / "note")
    Download(str(models / "m.gguf.part"), Web(timeout=5)).run([server.url("/m.gguf")])
    assert (models / "m.gguf.part").read_bytes() == MODEL
    assert json.loads((models.parent / "note").read_text()) == note


def test_a_link_under_the_name_of_the_lock_is_refused(server, models):
    (models / ".llama_cpp").mkdir()
    (models / ".llama_cpp" / "m.gguf.lock").symlink_to(models.parent / "victim")
    with pytest.raises(LlamaCppError, match=r"m\.gguf\.lock is a link"):
        have(server, models)


@AS_ROOT
def test_a_directory_of_records_of_another_user_is_refused(server, models):
    (models / ".llama_cpp").mkdir()
    os.chown(models / ".llama_cpp", NOBODY, NOBODY)
    with pytest.raises(LlamaCppError, match=r"belongs to .*llm_settings\.models_dir"):
        have(server, models)
    assert os.listdir(models) == [".llama_cpp"] and os.listdir(models / ".llama_cpp") == []


@AS_ROOT
@pytest.mark.parametrize("whose", [".llama_cpp", ".llama_cpp/m.gguf.json"])
def test_a_record_of_another_user_proves_nothing(models, whose):
    """Who may write beside the models could have his own file served as the pinned one."""
    path = models / "m.gguf"
    path.write_bytes(OTHER)
    record = VerificationRecord(str(path))
    record.make_directory()
    record.write(sha256=SHA256, placed=True)
    assert VerificationRecord(str(path)).holds()
    os.chown(models / whose, NOBODY, NOBODY)
    assert not VerificationRecord(str(path)).holds() and not VerificationRecord(str(path)).is_ours()


def test_an_open_directory_of_records_is_closed_and_a_new_one_is_not_open(server, models):
    before = os.umask(0)
    try:
        (models / ".llama_cpp").mkdir()
        have(server, models)
        VerificationRecord(str(models / "below" / "m.gguf")).make_directory()
    finally:
        os.umask(before)
    made = [models / ".llama_cpp", models / "below", models / "below" / ".llama_cpp", models / "m.gguf"]
    assert [stat.S_IMODE(path.stat().st_mode) for path in made] == [0o755, 0o755, 0o755, 0o644]
