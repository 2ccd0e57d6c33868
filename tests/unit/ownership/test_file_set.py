# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT

import os

import pytest
from support.modules import run_module
from support.staged import staged

pytestmark = pytest.mark.processes

MARK = "# Copyright: contributors to macos_setup.llm\n"
TEXTS = {"a.py": MARK + "A = 1\n", "package/b.py": MARK + "B = 'ü'\n"}


def tree(directory):
    return {
        os.path.relpath(os.path.join(parent, name), directory): open(
            os.path.join(parent, name), encoding="utf-8"
        ).read()
        for parent, _directories, names in os.walk(directory)
        for name in names
    }


def mode(path):
    return os.stat(path).st_mode & 0o7777


def run(check=False, **arguments):
    return run_module("file_set", arguments, check=check, diff=True)


def run_tree(dest, texts, check=False):
    return run(check, trees=[{"src": "/ignored", "dest": str(dest), **staged(texts)}])


# -- trees ------------------------------------------------------------------------------------------------------------


def test_a_tree_check_real_check_real(tmp_path):
    dest = tmp_path / "lib"
    assert run_tree(dest, TEXTS, check=True)["changed"] is True
    assert not dest.exists()
    assert run_tree(dest, TEXTS)["changed"] is True
    assert tree(dest) == TEXTS
    assert run_tree(dest, TEXTS, check=True)["changed"] is False
    assert run_tree(dest, TEXTS)["changed"] is False


def test_only_what_differs_in_a_tree_is_replaced_and_what_is_gone_removed(tmp_path):
    dest = tmp_path / "lib"
    run_tree(dest, TEXTS)
    inode = os.stat(dest / "a.py").st_ino
    result = run_tree(dest, {"a.py": TEXTS["a.py"], "c.py": "C\n"})
    assert result["paths"] == [str(dest / "c.py"), str(dest / "package" / "b.py")]
    assert tree(dest) == {"a.py": TEXTS["a.py"], "c.py": "C\n"}
    assert os.stat(dest / "a.py").st_ino == inode
    assert not (dest / "package").exists()


def test_python_caches_are_nobodys_business(tmp_path):
    dest = tmp_path / "lib"
    run_tree(dest, TEXTS)
    cache = dest / "__pycache__" / "a.pyc"
    cache.parent.mkdir()
    cache.write_bytes(b"\xff\x00")
    assert run_tree(dest, TEXTS)["changed"] is False
    assert cache.exists()


def test_the_diff_of_a_tree_is_the_list_of_files_that_differ(tmp_path):
    dest = tmp_path / "lib"
    run_tree(dest, TEXTS)
    (difference,) = run_tree(dest, {**TEXTS, "a.py": "A = 2\n"}, check=True)["diff"]
    before, after = (difference[side].splitlines() for side in ("before", "after"))
    assert [line.split()[0] for line in before] == [line.split()[0] for line in after] == ["a.py"]
    assert difference["before_header"] == str(dest) and before != after


def test_what_the_owner_put_into_a_tree_stays(tmp_path):
    dest = tmp_path / "lib"
    run_tree(dest, TEXTS)
    (dest / "package" / "mine.py").write_text("years of work")
    assert run_tree(dest, {"a.py": TEXTS["a.py"]})["paths"] == [str(dest / "package" / "b.py")]
    assert tree(dest) == {"a.py": TEXTS["a.py"], "package/mine.py": "years of work"}


@pytest.mark.parametrize("check", [True, False])
def test_what_a_link_in_the_place_of_a_tree_leads_to_is_not_touched(tmp_path, check):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.py").write_text(MARK)
    (tmp_path / "lib").symlink_to(tmp_path / "elsewhere")
    for arguments in (
        {"trees": [{"src": "/", "dest": str(tmp_path / "lib"), **staged(TEXTS)}]},
        directory(tmp_path / "lib"),
    ):
        result = run(check, **arguments)
        assert result["failed"] and f"{tmp_path / 'lib'} is a link" in result["msg"]
    assert tree(tmp_path / "elsewhere") == {"a.py": MARK} and mode(tmp_path / "elsewhere") != 0o700


def directory(path):
    return {"directories": [{"path": str(path), "mode": "0700", "kind": "tree"}]}


def test_a_directory_that_the_umask_would_leave_open_is_not(tmp_path):
    before = os.umask(0)
    try:
        run(
            directories=[{"path": str(tmp_path / "a" / "b")}],
            files=[{"dest": str(tmp_path / "c" / "d"), "content": "x"}],
        )
    finally:
        os.umask(before)
    assert [mode(tmp_path / name) for name in ("a", "a/b", "c", "c/d")] == [0o755, 0o755, 0o755, 0o644]


def test_a_place_that_is_taken_is_refused_with_a_manifest(tmp_path):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "mine.py").write_text("years of work")
    (tmp_path / "key").write_text("the owner's")
    arguments = {"manifest": str(tmp_path / "manifest.json"), "keys": [str(tmp_path / "key")]}
    trees = [{"src": "/ignored", "dest": str(tmp_path / "lib"), **staged(TEXTS)}]
    refused = run(trees=trees, **arguments)
    assert refused["failed"] and str(tmp_path / "lib") in refused["msg"] and str(tmp_path / "key") not in refused["msg"]
    assert sorted(os.listdir(tmp_path)) == ["key", "lib"] and os.listdir(tmp_path / "lib") == ["mine.py"]


# -- single files -----------------------------------------------------------------------------------------------------


def sent(tmp_path, content):
    """A file as the action plugin hands it over."""
    return {"dest": str(tmp_path / "bytes"), "src": "/there", **staged(content)}


def test_files_of_text_and_of_bytes(tmp_path):
    content = bytes(range(256))
    files = [
        {"dest": str(tmp_path / "new" / "text"), "content": "ü {{ x }}\n", "mode": "0600"},
        sent(tmp_path, content),
    ]
    assert run(check=True, files=files)["changed"] is True
    assert os.listdir(tmp_path) == []
    assert run(files=files)["changed"] is True
    assert (tmp_path / "new" / "text").read_text(encoding="utf-8") == "ü {{ x }}\n"
    assert (mode(tmp_path / "new" / "text"), mode(tmp_path / "bytes")) == (0o600, 0o644)
    assert (tmp_path / "bytes").read_bytes() == content
    assert run(files=files)["changed"] is False


@pytest.mark.parametrize("kind", ["files", "trees"])
def test_what_was_sent_and_changed_on_its_way_is_refused(tmp_path, kind):
    item = {"dest": str(tmp_path / "dest"), "src": "/there", **staged(TEXTS)}
    with open(item["staged"], "ab") as stream:
        stream.write(b" ")
    refused = run(**{"files": [{"dest": str(tmp_path / "text"), "content": "x"}], kind: [item]})
    assert refused["failed"] and item["staged"] in refused["msg"]
    assert os.listdir(tmp_path) == []


def test_another_mode_alone_is_a_change_that_keeps_the_file(tmp_path):
    path = tmp_path / "text"
    run(files=[{"dest": str(path), "content": "x", "mode": "0644"}])
    inode = os.stat(path).st_ino
    result = run(files=[{"dest": str(path), "content": "x", "mode": "0755"}])
    assert (result["changed"], mode(path), os.stat(path).st_ino) == (True, 0o755, inode)
    assert "0644" in result["diff"][0]["before"] and "0755" in result["diff"][0]["after"]


def test_what_its_interpreter_refuses_does_not_replace_what_is_there(tmp_path):
    path = tmp_path / "script"
    entry = {"dest": str(path), "content": "echo fine\n", "validate": ["/bin/sh", "-n"]}
    assert run(files=[entry])["changed"] is True
    result = run(files=[{**entry, "content": "if then (\n"}])
    assert result["failed"] and str(path) in result["msg"]
    assert path.read_text(encoding="utf-8") == "echo fine\n"
    assert os.listdir(tmp_path) == ["script"]


def test_a_directory_under_the_name_of_a_file_is_left_alone(tmp_path):
    (tmp_path / "taken").mkdir()
    result = run(directories=[{"path": str(tmp_path / "d")}], files=[{"dest": str(tmp_path / "taken"), "content": ""}])
    assert result["failed"] and str(tmp_path / "taken") in result["msg"]
    assert os.listdir(tmp_path) == ["taken"]


# -- directories ------------------------------------------------------------------------------------------------------


def test_directories_and_their_modes(tmp_path):
    wanted = [{"path": str(tmp_path / "a" / "b"), "mode": "0700"}, {"path": str(tmp_path / "c")}]
    assert run(check=True, directories=wanted)["changed"] is True
    assert os.listdir(tmp_path) == []
    result = run(directories=wanted)
    assert (result["changed"], mode(tmp_path / "a" / "b")) == (True, 0o700)
    (tmp_path / "c").chmod(0o2750)
    assert run(directories=wanted)["changed"] is False
    (tmp_path / "c").chmod(0o500)
    assert run(directories=wanted)["changed"] is True
    assert mode(tmp_path / "c") == 0o700


@pytest.mark.parametrize("check", [True, False])
def test_a_file_under_the_name_of_a_directory_is_left_alone(tmp_path, check):
    (tmp_path / "taken").write_text("mine", encoding="utf-8")
    result = run(check, directories=[{"path": str(tmp_path / "taken")}])
    assert result["failed"] and str(tmp_path / "taken") in result["msg"]
    assert (tmp_path / "taken").read_text(encoding="utf-8") == "mine"


# -- keys -------------------------------------------------------------------------------------------------------------


def test_a_key_is_made_once_and_never_told(tmp_path):
    path = tmp_path / "service" / "api-key"
    assert run(check=True, keys=[str(path)])["changed"] is True
    assert not path.exists()
    result = run(keys=[str(path)])
    key = path.read_text(encoding="utf-8").strip()
    assert (result["changed"], mode(path)) == (True, 0o600)
    assert len(key) >= 40 and key not in str(result)
    again = run(keys=[str(path)])
    assert again["changed"] is False and path.read_text(encoding="utf-8").strip() == key
    assert run(keys=[str(tmp_path / "other")])["changed"] is True
    assert (tmp_path / "other").read_text(encoding="utf-8").strip() != key


# -- the Python environment -------------------------------------------------------------------------------------------


def test_the_environment_of_a_stage_is_there_before_its_files(tmp_path):
    place, launcher = tmp_path / "venv", tmp_path / "launcher"
    wanted = {
        "environment": {"path": str(place), "requirements": ""},
        # The check of the file needs the environment.
        "files": [{"dest": str(launcher), "content": "pass\n", "validate": [str(place / "bin" / "python"), "-I"]}],
    }
    assert run(check=True, **wanted)["paths"] == [str(place), str(launcher)]
    assert os.listdir(tmp_path) == []
    assert run(**wanted)["paths"] == [str(place), str(launcher)]
    assert run(**wanted)["changed"] is False


def test_a_link_in_the_place_of_the_environment_is_left_alone(tmp_path):
    (tmp_path / "venv").symlink_to(tmp_path / "elsewhere")
    result = run(environment={"path": str(tmp_path / "venv"), "requirements": ""}, keys=[str(tmp_path / "key")])
    assert result["failed"] and str(tmp_path / "venv") in result["msg"]
    assert os.listdir(tmp_path) == ["venv"]
