# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Defaults, argument specification, schema and README of the role agree."""

import runpy

import yaml
from ansible_collections.macos_setup.llm.plugins.plugin_utils import configuration
from support.paths import REPOSITORY

ROLE = REPOSITORY / "roles" / "llama_cpp"
DEFAULTS = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())
OPTIONS = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
SETTINGS = configuration.load_schema()["properties"]["llm_settings"]["properties"]


def test_defaults_and_specification_agree_in_keys_and_values():
    assert {name: option["default"] for name, option in OPTIONS.items() if "default" in option} == DEFAULTS


def test_every_setting_has_a_variable_and_no_default_of_its_own():
    overriding = {name for name, option in OPTIONS.items() if "default" not in option}
    assert overriding == {"llama_cpp_" + key for key in SETTINGS}


def test_the_readme_is_up_to_date():
    render = runpy.run_path(str(REPOSITORY / "docs" / "render_role.py"))["render"]
    assert (ROLE / "README.md").read_text() == render()
