# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What the owner has in the places of the collection is named, all of it at once."""

import os

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.ownership import taken
from ansible_collections.macos_setup.llm.plugins.module_utils.ownership.marker import MANAGED_BY


def make(path, what):
    path.parent.mkdir(parents=True, exist_ok=True)
    if what == "directory":
        path.mkdir()
    elif what == "file":
        path.write_text("years of work")
    elif what == "ours":
        path.write_text(MANAGED_BY)
    elif what == "link":
        (path.parent / "elsewhere").mkdir()
        path.symlink_to(path.parent / "elsewhere")


# Whether it is refused: where it is not noted, and where it is.
CASES = [
    *((kind, "nothing", False, False) for kind in ("directory", "tree", "file", "marked", "link", "log", "service")),
    ("directory", "directory", False, False),
    ("directory", "link", False, False),  # to another disk
    ("directory", "file", True, True),
    ("tree", "directory", True, False),
    ("tree", "link", True, True),
    ("tree", "file", True, True),
    ("link", "link", True, False),
    ("link", "directory", True, True),
    ("file", "file", True, False),
    ("file", "link", True, True),
    ("file", "directory", True, True),
    ("log", "file", True, False),
    ("log", "link", True, False),
    ("marked", "ours", False, False),
    ("marked", "file", True, False),
    ("service", "ours", False, False),
    ("service", "file", True, False),
    ("model", "file", False, False),
]


@pytest.mark.parametrize(("kind", "what", "not_noted", "noted"), CASES)
def test_what_is_taken(tmp_path, kind, what, not_noted, noted):
    path = tmp_path / "place"
    make(path, what)
    found = [bool(taken.taken({str(path): kind}, lambda _path, is_noted=known: is_noted)) for known in (False, True)]
    assert found == [not_noted, noted]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a directory of somebody else")
def test_a_tree_of_somebody_else_is_taken_though_one_of_ours_was_noted_there(tmp_path):
    (tmp_path / "llama-cpp-0").mkdir()
    os.chown(tmp_path / "llama-cpp-0", 65534, 65534)
    (why,) = taken.taken({str(tmp_path / "llama-cpp-0"): "tree"}, lambda path: True).values()
    assert "belongs to" in why


def test_all_are_named_with_the_remedy(tmp_path):
    for name in ("src", "venv"):
        make(tmp_path / name, "directory")
    claims = {str(tmp_path / name): "tree" for name in ("venv", "src", "build")}
    with pytest.raises(LlamaCppError) as refused:
        taken.refuse(claims, lambda path: False, "/opt/llm/manifest.json")
    message = str(refused.value)
    assert message.index(f"  {tmp_path}/src is a directory") < message.index(f"  {tmp_path}/venv is a directory")
    assert "in 2 of its places" in message and "build" not in message and f"mv '{tmp_path}/src'" in message
