# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Defaults, argument specification, schema, tags and README of each role agree."""

import re
import runpy

import pytest
import yaml
from ansible_collections.macos_setup.llm.plugins.plugin_utils.config import load
from support.paths import REPOSITORY

ROLES = REPOSITORY / "roles"
ROLE = ROLES / "llama_cpp"
SETTINGS = load.load_schema()["properties"]["llm_settings"]["properties"]

each_role = pytest.mark.parametrize("role", sorted(path.name for path in ROLES.iterdir()))


def options(role):
    specification = yaml.safe_load((ROLES / role / "meta" / "argument_specs.yml").read_text())
    return specification["argument_specs"]["main"]["options"]


@each_role
def test_defaults_and_specification_agree_in_keys_and_values(role):
    defaults = yaml.safe_load((ROLES / role / "defaults" / "main.yml").read_text())
    assert {name: option["default"] for name, option in options(role).items() if "default" in option} == defaults


def test_every_setting_has_a_variable_and_no_default_of_its_own():
    overriding = {name for name, option in options("llama_cpp").items() if "default" not in option}
    assert overriding == {"llama_cpp_" + key for key in SETTINGS}


@each_role
def test_the_readme_is_up_to_date(role):
    render = runpy.run_path(str(REPOSITORY / "docs" / "render_role.py"))["render"]
    assert (ROLES / role / "README.md").read_text() == render(role)


def tasks_with_tags(file, inherited=(), outer=()):
    """(file, task, all tags of the task) of every task below ``file``, through blocks, imports and includes."""
    for task in yaml.safe_load(file.read_text()):
        yield from _with_tags(file, task, inherited, (*outer, file))


def _with_tags(file, task, inherited, outer):
    tags = [*inherited, *task.get("tags", ())]
    yield file, task, tags
    for inner in (*task.get("block", ()), *task.get("rescue", ()), *task.get("always", ())):
        yield from _with_tags(file, inner, tags, outer)
    include = task.get("ansible.builtin.include_tasks", {})
    name = task.get("ansible.builtin.import_tasks") or include.get("file")
    for inner in (path.resolve() for path in file.parent.glob(re.sub(r"\{\{.*?\}\}", "*", name))) if name else ():
        if inner not in outer:
            yield from tasks_with_tags(inner, include["apply"]["tags"] if include else tags, outer)


def test_each_tag_of_the_whole_means_all_of_it():
    """Also where the role is used without the tags that the playbook gives it."""
    for file, task, tags in tasks_with_tags(ROLE / "tasks" / "main.yml"):
        assert {"llm", "llama-cpp", "ai"} <= set(tags), (file.name, task["name"])


@each_role
def test_included_tasks_have_the_tags_of_what_includes_them(role):
    """An import hands its tags down, an include does not: a part that is asked for by its tag would come to nothing."""
    found = 0
    for file, task, tags in tasks_with_tags(ROLES / role / "tasks" / "main.yml"):
        if "ansible.builtin.include_tasks" in task:
            found += 1
            assert set(task["ansible.builtin.include_tasks"]["apply"]["tags"]) == set(tags), (file.name, task["name"])
    assert found > 1
