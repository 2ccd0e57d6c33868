# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Defaults, argument specification, schema, tags and README of the role agree."""

import re
import runpy

import yaml
from ansible_collections.macos_setup.llm.plugins.plugin_utils.config import load
from support.paths import REPOSITORY

ROLE = REPOSITORY / "roles" / "llama_cpp"
DEFAULTS = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())
OPTIONS = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
SETTINGS = load.load_schema()["properties"]["llm_settings"]["properties"]


def test_defaults_and_specification_agree_in_keys_and_values():
    assert {name: option["default"] for name, option in OPTIONS.items() if "default" in option} == DEFAULTS


def test_every_setting_has_a_variable_and_no_default_of_its_own():
    overriding = {name for name, option in OPTIONS.items() if "default" not in option}
    assert overriding == {"llama_cpp_" + key for key in SETTINGS}


def test_the_readme_is_up_to_date():
    render = runpy.run_path(str(REPOSITORY / "docs" / "render_role.py"))["render"]
    assert (ROLE / "README.md").read_text() == render()


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


def test_included_tasks_have_the_tags_of_what_includes_them():
    """An import hands its tags down, an include does not: a part that is asked for by its tag would come to nothing."""
    found = 0
    for file, task, tags in tasks_with_tags(ROLE / "tasks" / "main.yml"):
        if "ansible.builtin.include_tasks" in task:
            found += 1
            assert set(task["ansible.builtin.include_tasks"]["apply"]["tags"]) == set(tags), (file.name, task["name"])
    assert found > 10
