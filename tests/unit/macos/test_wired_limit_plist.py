# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The job that lets the GPU use more memory from boot on."""

import plistlib

import jinja2
import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.macos import hardware
from ansible_collections.macos_setup.llm.plugins.module_utils.macos.plist import problems
from ansible_collections.macos_setup.llm.plugins.module_utils.macos.settings import WIRED_LIMIT_PLIST as PATH
from support.service_plan import TEMPLATES


def render(wired_limit_mb=57344, managed_by="Managed by Ansible"):
    text = (TEMPLATES / "com.llama.wired-limit.plist.j2").read_text(encoding="utf-8")
    environment = jinja2.Environment(trim_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(text).render(wired_limit_mb=wired_limit_mb, managed_by=managed_by)


def test_it_sets_one_number_once():
    assert plistlib.loads(render().encode()) == {
        "Label": "com.llama.wired-limit",
        "ProgramArguments": [hardware.SYSCTL, f"{hardware.NAMES['wired_limit_mb']}=57344"],
        "RunAtLoad": True,
    }


def test_launchd_would_take_it():
    assert problems(render(), PATH, "system") == []


@pytest.mark.parametrize("managed_by", ["a -- b --- c ---> & <x>", "two\nlines", "]]> <!-- "])
def test_the_header_cannot_break_it(managed_by):
    assert problems(render(managed_by=managed_by), PATH, "system") == []


def test_only_a_number_gets_in():
    job = plistlib.loads(render("1 kern.securelevel=0").encode())
    assert job["ProgramArguments"][1] == f"{hardware.NAMES['wired_limit_mb']}=0"
