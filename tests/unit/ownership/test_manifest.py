# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT

import json
import os
import re
import subprocess
import sys

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.ownership import manifest as manifest_module
from ansible_collections.macos_setup.llm.plugins.module_utils.ownership.manifest import Manifest, staging_of
from ansible_collections.macos_setup.llm.plugins.module_utils.ownership.marker import MANAGED_BY
from support.paths import COLLECTIONS

pytestmark = pytest.mark.processes

DIRECTORY = {"kind": "directory"}


@pytest.fixture
def home(tmp_path):
    return tmp_path / "a" / "home"


@pytest.fixture
def manifest(home):
    return Manifest(str(home / "manifest.json"))


def test_the_first_note_makes_its_home_and_tells_of_it(manifest, home, tmp_path):
    manifest.note({})
    assert not home.parent.exists()
    manifest.note({str(home / "engine" / "current"): "link"})
    assert manifest.entries() == {
        str(home.parent): DIRECTORY,
        str(home): DIRECTORY,
        str(home / "engine"): DIRECTORY,
        str(home / "engine" / "current"): {"kind": "link"},
    }
    assert sorted(os.listdir(tmp_path)) == ["a"]


def test_the_home_appears_together_with_its_manifest(manifest, home, monkeypatch):
    """A process killed before the rename has made nothing under a final name, and the next one goes on from there."""

    class Killed(BaseException):
        pass

    def killed(*_arguments, **_options):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(manifest_module.os, "rename", killed)
        patched.setattr(manifest_module.shutil, "rmtree", killed)
        with pytest.raises(Killed):
            manifest.note({str(home / "x"): "file"})
    assert os.path.isdir(staging_of(str(home.parent))) and not home.parent.exists()
    manifest.note({str(home / "x"): "file"})
    assert str(home.parent) in manifest.entries()
    assert not os.path.exists(staging_of(str(home.parent)))


def test_a_directory_that_was_there_before_is_not_ours(manifest, home, tmp_path):
    owned = tmp_path / "bin"
    owned.mkdir()
    manifest.note({str(owned): "directory", str(owned / "llm"): "marked", str(home): "tree"})
    assert set(manifest.entries()) == {str(home.parent), str(home), str(owned / "llm")}


def test_what_stands_in_a_place_of_ours_is_refused_before_anything_is_made(manifest, home, tmp_path):
    (tmp_path / "there").write_text("mine")
    with pytest.raises(LlamaCppError, match=f"{tmp_path / 'there'} is a file that is not noted"):
        manifest.note({str(tmp_path / "there"): "file", str(tmp_path / "new"): "file"})
    assert not home.parent.exists() and (tmp_path / "there").read_text() == "mine"


def test_a_manifest_of_something_else_is_not_taken_for_ours(manifest, home):
    home.mkdir(parents=True)
    (home / "manifest.json").write_text('{"name": "a web page", "icons": []}')
    with pytest.raises(LlamaCppError, match="not a manifest of this collection"):
        manifest.note({str(home / "x"): "file"})
    assert "web page" in (home / "manifest.json").read_text()


@pytest.mark.parametrize("kind", ["link", "writable"])
def test_the_home_is_not_made_where_somebody_else_prepared_it(manifest, home, tmp_path, kind):
    staging = tmp_path / os.path.basename(staging_of(str(home.parent)))
    (tmp_path / "theirs").mkdir()
    if kind == "link":
        staging.symlink_to(tmp_path / "theirs")
    else:
        staging.mkdir()
        staging.chmod(0o777)
    with pytest.raises(LlamaCppError, match=re.escape(str(staging))):
        manifest.note({str(home / "x"): "file"})
    assert os.listdir(tmp_path / "theirs") == [] and staging.exists() and not home.parent.exists()


@pytest.mark.parametrize("kind", ["marked", "service", "model"])
def test_what_tells_by_itself_whose_it_is_is_noted_anyway(manifest, tmp_path, kind):
    (tmp_path / "there").write_text(MANAGED_BY)
    manifest.note({str(tmp_path / "there"): kind})
    assert manifest.entries()[str(tmp_path / "there")] == {"kind": kind}


def test_the_same_again_writes_nothing(manifest, home):
    claims = {str(home / "x"): "file", str(home / "y"): {"kind": "service", "manager": "launchd", "name": "l"}}
    manifest.note(claims)
    (home / "x").write_text("")
    before = {name: os.stat(home / name).st_mtime_ns for name in os.listdir(home)}
    manifest.note(claims)
    assert {name: os.stat(home / name).st_mtime_ns for name in os.listdir(home)} == before


def test_an_entry_can_change(manifest, home):
    path = str(home / "p.plist")
    manifest.note({path: {"kind": "service", "domain": "gui/501"}})
    manifest.note({path: {"kind": "service", "domain": "user/501"}})
    assert manifest.entries()[path]["domain"] == "user/501"


def test_what_lies_in_a_noted_tree_is_not_noted_again(manifest, home):
    manifest.note({str(home / "releases"): "tree"})
    manifest.note({str(home / "releases" / "b1"): "tree"})
    assert str(home / "releases" / "b1") not in manifest.entries()


def test_without_a_path_nothing_is_noted(tmp_path):
    Manifest(None).note({str(tmp_path / "x"): "file"})


def test_a_damaged_manifest_is_not_overwritten(manifest, home):
    home.mkdir(parents=True)
    (home / "manifest.json").write_text("{")
    with pytest.raises(LlamaCppError, match="is damaged"):
        manifest.note({str(home / "x"): "file"})
    assert (home / "manifest.json").read_text() == "{"


def test_a_home_that_cannot_be_made_is_told_of(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LlamaCppError, match="cannot be made"):
        Manifest(str(tmp_path / "file" / "home" / "manifest.json")).note({"/x": "marked"})


def test_notes_of_many_processes_are_all_kept(manifest, home):
    program = (
        "import sys; from ansible_collections.macos_setup.llm.plugins.module_utils.ownership.manifest import Manifest\n"
        "for n in range(20): Manifest(sys.argv[1]).note({'%s/%s-%d' % (sys.argv[2], sys.argv[3], n): 'file'})"
    )
    environment = {**os.environ, "PYTHONPATH": str(COLLECTIONS)}
    command = [sys.executable, "-c", program, manifest.path, str(home)]
    running = [subprocess.Popen([*command, name], env=environment) for name in "abcd"]
    assert [process.wait(60) for process in running] == [0] * 4
    assert len([path for path in manifest.entries() if "-" in os.path.basename(path)]) == 80
    assert json.loads((home / "manifest.json").read_text())["made"] == manifest.entries()


@pytest.mark.parametrize(
    ("path", "entry"),
    [
        ("/x/../etc", {"kind": "tree"}),
        ("/x//y", {"kind": "tree"}),
        ("/x/", {"kind": "tree"}),
        ("x", {"kind": "tree"}),
        ("", {"kind": "tree"}),
        ("/x", {"kind": "contents"}),
        ("/x", {"kind": ["tree"]}),
        ("/x", {}),
        ("/x", "tree"),
        ("/x", None),
    ],
)
def test_an_entry_that_means_nothing_here_is_refused_and_named(manifest, home, path, entry):
    """Before it is taken for a place below the working directory, or for one of the methods of Uninstall."""
    home.mkdir(parents=True)
    (home / "manifest.json").write_text(json.dumps({"made": {path: entry}}))
    with pytest.raises(LlamaCppError, match=f'{manifest.path} notes "{path}"'):
        manifest.note({str(home / "x"): "file"})


def test_a_manifest_without_its_place_is_one_of_an_earlier_version(manifest, home):
    home.mkdir(parents=True)
    (home / "manifest.json").write_text(json.dumps({"made": {str(home / "x"): {"kind": "file"}}}))
    manifest.note({str(home / "y"): "file"})
    assert set(manifest.entries()) == {str(home / "x"), str(home / "y")}
    assert json.loads((home / "manifest.json").read_text())["at"] == manifest.path
