# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT

import os
import shutil
import signal
import subprocess
import sys

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils import uninstall as uninstall_module
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.models.verification import VerificationRecord
from ansible_collections.macos_setup.llm.plugins.module_utils.ownership.block import BEGIN, END
from ansible_collections.macos_setup.llm.plugins.module_utils.ownership.manifest import Manifest, staging_of
from ansible_collections.macos_setup.llm.plugins.module_utils.ownership.marker import MANAGED_BY
from ansible_collections.macos_setup.llm.plugins.module_utils.uninstall import Uninstall
from support.modules import run_module
from support.paths import COLLECTIONS

pytestmark = pytest.mark.processes


class Installation:
    """A manifest, and what it names, below a directory that was empty before."""

    def __init__(self, directory):
        self.directory = directory
        self.home = directory / "opt" / "llm"
        self.manifest = Manifest(str(self.home / "manifest.json"))

    def note(self, **kinds):
        self.manifest.note({str(self.home / name.replace("__", "/")): kind for name, kind in kinds.items()})

    def write(self, name, content=""):
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return path

    def model(self, name="m.gguf", placed=True):
        path = self.write("models/" + name, "GGUF")
        record = VerificationRecord(str(path))
        self.manifest.note({str(path): "model", record.directory: "tree"})
        record.make_directory()
        record.write(placed=placed)
        return path

    def run(self, **options):
        done = Uninstall(self.manifest, **options)
        done.run()
        return done

    def everything(self):
        return sorted(str(path.relative_to(self.directory)) for path in self.directory.rglob("*"))


@pytest.fixture
def installation(tmp_path):
    return Installation(tmp_path)


@pytest.mark.parametrize("theirs", ["", "- model_id: theirs\n"])
def test_a_block_goes_and_the_rest_of_its_file_stays(installation, theirs):
    path = installation.directory / "models.yaml"
    path.write_text(theirs + f"{BEGIN}\n- model_id: ours\n{END}\n")
    path.chmod(0o600)
    installation.manifest.note({str(path): "block"})
    assert Uninstall(installation.manifest).is_needed()
    installation.run()
    assert (path.read_text() if path.exists() else "") == theirs
    assert not theirs or path.stat().st_mode & 0o777 == 0o600


def test_a_file_in_which_the_block_is_not_understood_is_left(installation):
    path = installation.directory / "models.yaml"
    path.write_text(f"{BEGIN}\n- model_id: ours\n")
    installation.manifest.note({str(path): "block"})
    assert str(path) in installation.run().left and BEGIN in path.read_text()


@pytest.fixture
def full(installation):
    installation.note(
        tree="tree",
        plain="file",
        launcher="marked",
        current="link",
        log="log",
        models="directory",
        sub__run="directory",
    )
    for name in ("tree/deep/x", "plain", "log", "log.1", "log.27", ".plain.abcd_123"):
        installation.write(name)
    installation.write("launcher", f"#!/bin/sh\n# {MANAGED_BY}\n")
    (installation.home / "sub" / "run").mkdir(parents=True)
    os.symlink("tree", installation.home / "current")
    installation.model()
    return installation


def test_everything_goes(full):
    done = full.run(purge_models=True)
    assert full.everything() == []
    assert (done.kept, done.left) == ([], {})
    again = Uninstall(full.manifest)
    assert not again.is_needed()


def test_a_look_changes_nothing_and_names_what_goes(full):
    before = full.everything()
    look = Uninstall(full.manifest, purge_models=True)
    assert full.everything() == before
    # The top of a tree stands for what is in it.
    named = {os.path.relpath(path, full.directory) for path in look.to_remove}
    assert named >= {path for path in before if "tree/" not in path}


def test_models_stay_with_what_is_needed_to_remove_them_later(full):
    done = full.run()
    assert done.kept == [str(full.home / "models" / "m.gguf")]
    assert full.everything() == [
        "opt",
        "opt/llm",
        "opt/llm/manifest.json",
        "opt/llm/manifest.json.lock",
        "opt/llm/models",
        "opt/llm/models/.llama_cpp",
        "opt/llm/models/.llama_cpp/m.gguf.json",
        "opt/llm/models/m.gguf",
    ]
    assert not Uninstall(full.manifest).is_needed()
    full.run(purge_models=True)
    assert full.everything() == []


def test_a_model_of_the_owner_stays_and_its_record_goes(installation):
    models = installation.directory / "models"
    models.mkdir()
    installation.home.parent.mkdir()
    installation.home.mkdir()
    (models / "own.gguf").write_text("GGUF")
    record = VerificationRecord(str(models / "own.gguf"))
    installation.manifest.note({str(models / "own.gguf"): "model", record.directory: "tree"})
    record.make_directory()
    record.write(placed=False)
    done = installation.run(purge_models=True)
    assert installation.everything() == ["models", "models/own.gguf", "opt", "opt/llm"]
    assert str(models / "own.gguf") in done.left


def test_a_model_that_was_changed_since_is_its_owners(installation):
    model = installation.model()
    model.write_text("GGUF and more")
    done = installation.run(purge_models=True)
    assert model.exists() and str(model) in done.left
    assert not (model.parent / ".llama_cpp").exists()


def test_an_unfinished_download_is_no_model(installation):
    installation.manifest.note({str(installation.home / "models" / "m.gguf"): "model"})
    for name in ("m.gguf.part", "m.gguf.part.json", "m.gguf.part.whl"):
        installation.write(f"models/{name}")
    installation.run()
    assert installation.everything() == []


def test_a_launcher_without_the_mark_is_left_and_named(installation):
    installation.note(bin__llm="marked")
    path = installation.write("bin/llm", "#!/bin/sh\n")
    done = installation.run()
    assert set(done.left) == {str(path)} and "mark" in done.left[str(path)]
    assert installation.everything() == ["opt", "opt/llm", "opt/llm/bin", "opt/llm/bin/llm"]
    assert not Uninstall(installation.manifest).is_needed()


@pytest.mark.parametrize("kind", ["file", "tree", "link", "marked", "directory"])
def test_something_else_in_the_place_stays(installation, kind):
    installation.note(thing=kind)
    thing = installation.home / "thing"
    installation.write("elsewhere/kept")
    if kind == "link":
        thing.write_text("")
    else:
        os.symlink(installation.home / "elsewhere", thing)
    installation.run()
    assert os.path.lexists(thing) and (installation.home / "elsewhere" / "kept").exists()


def test_a_file_that_nobody_noted_stays_and_is_named(full):
    full.write("sub/run/notes.txt")
    done = full.run(purge_models=True)
    assert full.everything() == ["opt", "opt/llm", "opt/llm/sub", "opt/llm/sub/run", "opt/llm/sub/run/notes.txt"]
    assert done.left == {str(full.home / "sub" / "run" / "notes.txt"): "was not made by this collection"}


def test_what_the_owner_put_below_a_tree_of_ours_stays_and_is_named(installation):
    installation.note(tools__lib="tree", service__run="tree")
    source = "# Copyright: contributors to macos_setup.llm\n"
    for name, content in {
        "tools/lib/llm.py": source,
        "tools/lib/sub/x.py": source,
        "service/run/watchdog.json": "",
    }.items():
        installation.write(name, content)
    mine = [installation.write(name) for name in ("tools/lib/mine.py", "tools/lib/sub/a.csv", "service/run/x/y")]
    done = installation.run()
    assert [name for name in installation.everything() if name.endswith((".py", ".csv", "y", ".json"))] == [
        "opt/llm/service/run/x/y",
        "opt/llm/tools/lib/mine.py",
        "opt/llm/tools/lib/sub/a.csv",
    ]
    assert sorted(done.left) == sorted([str(mine[2].parent), *map(str, mine[:2])])


def test_directories_that_were_there_before_stay(installation):
    installation.home.mkdir(parents=True)
    installation.note(bin__llm="marked")
    installation.write("bin/llm", MANAGED_BY)
    installation.run()
    assert installation.everything() == ["opt", "opt/llm"]


def test_without_a_manifest_there_is_nothing_to_do(installation):
    installation.write("precious")
    look = Uninstall(installation.manifest)
    assert not look.is_needed() and look.to_remove == []


KILLED_AT = """
import itertools, os, signal, sys
from ansible_collections.macos_setup.llm.plugins.module_utils.ownership.manifest import Manifest
from ansible_collections.macos_setup.llm.plugins.module_utils.uninstall import Uninstall
left = itertools.count(int(sys.argv[2]), -1)
def watched(call):
    def counted(*arguments, **options):
        if next(left) <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*arguments, **options)
    return counted
os.unlink, os.rmdir, os.rename, os.open = map(watched, (os.unlink, os.rmdir, os.rename, os.open))
Uninstall(Manifest(sys.argv[1]), purge_models=True).run()
"""


@pytest.mark.parametrize("steps", range(1, 34, 2))
def test_killed_after_any_step_the_next_run_completes_it(full, steps):
    command = [sys.executable, "-c", KILLED_AT, full.manifest.path, str(steps)]
    environment = {**os.environ, "PYTHONPATH": str(COLLECTIONS)}
    code = subprocess.run(command, env=environment, capture_output=True, check=False, timeout=60).returncode
    assert code in (-signal.SIGKILL, 0)
    assert code == 0 or full.everything()
    if full.everything():
        full.run(purge_models=True)
    assert full.everything() == []


def test_a_first_directory_that_was_never_finished_goes(installation):
    staging = staging_of(str(installation.home.parent))
    os.makedirs(os.path.join(staging, "llm"))
    installation.run()
    assert installation.everything() == []


def test_what_cannot_be_removed_is_told_and_stays_in_the_manifest(full, monkeypatch):
    def refused(path, **_options):
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patched:
        patched.setattr(uninstall_module.shutil, "rmtree", refused)
        with pytest.raises(LlamaCppError, match="cannot be removed: Permission denied"):
            full.run(purge_models=True)
    assert str(full.home / "tree") in full.manifest.entries()
    full.run(purge_models=True)
    assert full.everything() == []


def test_the_module_check_real_check_real(full):
    arguments = {"manifest": full.manifest.path, "purge_models": True}
    answers = [run_module("uninstall", arguments, check=check, diff=True) for check in (True, False, True, False)]
    assert [answer["changed"] for answer in answers] == [True, True, False, False]
    assert answers[0]["removed"] == answers[1]["removed"] and answers[0]["diff"] == answers[1]["diff"]
    assert answers[0]["diff"]["after"] == "" and str(full.home / "plain") in answers[0]["diff"]["before"]
    assert full.everything() == []


def test_what_only_has_a_name_like_ours_stays_and_is_named(installation):
    """Its owner's directories, and words that tempfile could have made up."""
    installation.note(client="file", log="log")
    model = installation.model()
    for name in ("client", "log", ".client.original"):
        installation.write(name)
    mine = [installation.write(name + "/kept").parent for name in (".client.notes_01", "log.3", "models/m.gguf.part")]
    done = installation.run(purge_models=True)
    kept = [*mine, installation.home / ".client.original"]
    assert not model.exists() and all(path.exists() for path in kept) and set(done.left) == set(map(str, kept))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of somebody else")
def test_a_part_of_somebody_else_beside_shared_models_stays(installation):
    model = installation.model()
    theirs = installation.write("models/m.gguf.part")
    os.chown(theirs, 65534, 65534)
    done = installation.run(purge_models=True)
    assert not model.exists() and theirs.exists() and "belongs to" in done.left[str(theirs)]


def test_a_copy_of_an_installation_removes_nothing_of_the_first(full, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(full.home, copy, symlinks=True)
    before = full.everything()
    with pytest.raises(LlamaCppError, match=f"{copy}/manifest.json is of the installation in {full.home}"):
        Uninstall(Manifest(str(copy / "manifest.json")))
    assert full.everything() == before
    (tmp_path / "link").symlink_to(full.home)
    assert Uninstall(Manifest(str(tmp_path / "link" / "manifest.json"))).is_needed()
