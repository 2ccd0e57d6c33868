# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What programs made in a tree of ours is told from what its owner put there."""

import json
import os

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.ownership import trees

OURS = "# Copyright: contributors to macos_setup.llm\n"
RELEASE = "b1-0123456789ab"
STAMP = json.dumps({"programs": ["llama-server"]})
SITE = "lib/python3.9/site-packages"

#: By name of the tree: files that belong there, with their content; and such as are the owner's.
TREES = {
    "lib": (
        {"a.py": OURS, "p/__init__.py": "", "p/b.py": OURS, "p/__pycache__/b.pyc": ""},
        ["mine.py", "p/mine.txt", "data/a.csv"],
    ),
    "runner": ({"__main__.py": OURS, "core/x.py": OURS}, ["core/mine.py"]),
    "releases": (
        {f"{RELEASE}/bin/llama-server": "", f"{RELEASE}/stamp.json": STAMP, f".{RELEASE}.x/bin/llama-server": ""},
        ["v1/notes.txt", f"{RELEASE}/bin/mine", "mine.txt"],
    ),
    RELEASE: ({"bin/llama-server": "", "stamp.json": STAMP}, ["bin/mine"]),
    "build": ({f"{RELEASE}/CMakeCache.txt": "", "lock": "1"}, ["CMakeCache.txt", "mine/x.o"]),
    "src": ({f"{RELEASE}/main.cpp": "", "download/x.tar.gz": "", ".unpacking.ab/x": ""}, ["main.cpp"]),
    "ccache": (
        {f"0/1/{'0a' * 19}": "", f"0/1/{'0a' * 19}R": "", "0/1/stats": "", "ccache.conf": "", "tmp/y": ""},
        ["mine.txt", "notes/a", "0/1/mine"],
    ),
    "run": (
        {
            **{"supervisor.sock": "", "supervisor.sock.12": "", "llama-server.json": "", ".watchdog.json.ab_12345": ""},
            **{"admin.sock": "", "master.sock.12.tmp": "", "peers.sock.12.bak": ""},
        },
        ["x", "notes/diary.txt"],
    ),
    "llama-cpp-0123456789abcdef": ({"supervisor.sock": ""}, ["mine"]),
    "home": ({".cache/x/y": "", "Library/Caches/z": ""}, ["diary.txt", ".mine"]),
    ".llama_cpp": (
        {"m.gguf.json": '{"size": 1, "mtime_ns": 2, "inode": 3}', "m.gguf.lock": "1", ".m.gguf.json.abcdefgh": ""},
        ["notes.txt", "notes.json"],
    ),
    "venv": ({"pyvenv.cfg": "", "bin/python": "", f"{SITE}/x.py": "", f"{SITE}/__pycache__/x.pyc": ""}, ["bin/mine"]),
    "build-tools": ({"pyvenv.cfg": "", "bin/cmake": ""}, ["notes/a", f"{SITE}/mine.py"]),
}


def write(directory, files):
    for name, content in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(content)


def left_in(directory):
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if not path.is_dir())


def grown(directory, name):
    """The tree ``name``, complete, and what its owner put into it since."""
    tree = directory / name
    ours, theirs = TREES[name]
    write(tree, ours)
    if name in ("venv", "build-tools"):
        trees.note_files(str(tree))
        write(tree, {trees.COMPLETE: "digest"})
    write(tree, dict.fromkeys(theirs, "years of work"))
    return tree, theirs


@pytest.mark.parametrize("name", TREES)
def test_what_is_the_owners_stays_and_all_else_goes(tmp_path, name):
    tree, theirs = grown(tmp_path, name)
    trees.clear(str(tree))
    assert left_in(tree) == sorted(theirs)


@pytest.mark.parametrize("name", TREES)
def test_a_tree_with_nothing_else_goes_as_a_whole(tmp_path, name):
    write(tmp_path / name, TREES[name][0])
    (tmp_path / name / ".DS_Store").write_text("")
    assert trees.foreign(str(tmp_path / name)) == []
    trees.clear(str(tmp_path / name))
    assert not (tmp_path / name).exists()


def test_what_is_wholly_foreign_is_named_by_its_top(tmp_path):
    write(tmp_path / "lib", {"a.py": OURS, "data/a.csv": "", "data/b/c.csv": ""})
    assert trees.foreign(str(tmp_path / "lib")) == [str(tmp_path / "lib" / "data")]


def test_what_tells_whose_the_rest_is_goes_last(tmp_path):
    """Killed in between, the next one still knows what the owner's is."""
    tree, _theirs = grown(tmp_path, "venv")
    names = [os.path.basename(path) for path in trees.removable(str(tree), trees.foreign(str(tree)))]
    assert names[-2:] == [trees.FILES, trees.COMPLETE]


def test_an_environment_of_an_earlier_version_is_told_by_what_its_packages_list(tmp_path):
    record = f"{SITE}/x-1.0.dist-info/RECORD"
    rows = "x.py,sha256=1,2\n../../../bin/x,,\nx-1.0.dist-info/RECORD,,\n"
    ours = {
        "pyvenv.cfg": "",
        "bin/python3.9": "",
        "bin/activate.fish": "",
        "bin/x": "",
        f"{SITE}/x.py": "",
        record: rows,
    }
    write(tmp_path / "venv", {**ours, trees.COMPLETE: "digest", "bin/mine": "", f"{SITE}/mine.py": ""})
    trees.clear(str(tmp_path / "venv"))
    assert left_in(tmp_path / "venv") == ["bin/mine", f"{SITE}/mine.py"]


def test_what_would_be_lost_is_named_before_it_is_made_anew(tmp_path):
    tree, _theirs = grown(tmp_path, "venv")
    with pytest.raises(LlamaCppError, match=str(tree / "bin" / "mine")):
        trees.require_ours(str(tree), "The environment")
    (tree / "bin" / "mine").unlink()
    trees.require_ours(str(tree), "The environment")
    (tmp_path / "link").symlink_to(tree)
    with pytest.raises(LlamaCppError, match="is a link"):
        trees.require_ours(str(tmp_path / "link"), "The environment")
    trees.require_ours(str(tmp_path / "nothing"), "The environment")
    trees.clear(str(tmp_path / "link"))
    assert tree.exists()
