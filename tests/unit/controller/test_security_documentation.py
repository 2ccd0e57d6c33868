# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""docs/security.md tells of every task that becomes root, and of no other."""

import re

import yaml
from support.paths import REPOSITORY

DOCUMENT = (REPOSITORY / "docs" / "security.md").read_text(encoding="utf-8")
NESTED = ("block", "rescue", "always")


def tasks_of(tasks):
    for task in tasks:
        yield task
        for key in NESTED:
            yield from tasks_of(task.get(key, []))


def becoming_root():
    for path in sorted((REPOSITORY / "roles").rglob("tasks/**/*.yml")):
        for task in tasks_of(yaml.safe_load(path.read_text(encoding="utf-8"))):
            if "become" in task:
                yield task


def test_every_task_that_becomes_root_is_listed():
    listed = [name.replace("\\|", "|") for name in re.findall(r"^\| `(.+?)` \| ", DOCUMENT, re.MULTILINE)]
    found = [task["name"] for task in becoming_root()]
    assert sorted(listed) == sorted(found) and len(found) >= 10


def test_whom_it_becomes_is_said():
    """Otherwise it is the user whom the play has chosen."""
    assert [task["name"] for task in becoming_root() if "become_user" not in task] == []


def test_no_play_becomes_anybody():
    """Whoever runs it says as whom."""
    for path in (REPOSITORY / "playbooks").glob("*.yml"):
        assert all("become" not in play for play in yaml.safe_load(path.read_text(encoding="utf-8")))


def test_root_removes_no_file_by_its_name_alone():
    """A module of ours does, after a look at its mark."""
    assert [task["name"] for task in becoming_root() if task.get("ansible.builtin.file")] == []
