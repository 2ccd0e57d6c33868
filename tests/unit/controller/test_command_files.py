# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What is installed with each command, and where the shells and man look for it by themselves."""

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.ownership.marker import bears_mark
from support.planning import resolve

COMPANIONS = (
    "bash-completion/completions/{}",
    "fish/vendor_completions.d/{}.fish",
    "zsh/site-functions/_{}",
    "man/man1/{}.1",
)


def files(**settings):
    """Path -> text of what is installed of the tools."""
    plan = resolve({"llm_settings": settings, "client": {"command": "my-llm"}})
    return {file["dest"]: file["content"] for file in plan["file_sets"]["tools"]["files"]}


@pytest.mark.parametrize(
    "bin_dir, share",
    [
        ("~/.local/bin", "/home/sam/.local/share"),
        ("~/bin", "/home/sam/.local/share"),
        ("/usr/local/bin", "/usr/local/share"),
        ("~/commands", "/home/sam/llm-workspace/tools/share"),
    ],
)
def test_every_command_has_a_script_for_each_shell_and_a_man_page(bin_dir, share):
    found = files(bin_dir=bin_dir)
    for name in ("my-llm", "llm-client", "llm-manager"):
        for place in COMPANIONS:
            assert bears_mark(found[f"{share}/{place.format(name)}"].encode())


def test_they_are_those_of_the_name_that_was_chosen():
    found = files()
    zsh = found["/home/sam/.local/share/zsh/site-functions/_my-llm"]
    assert zsh.startswith("#compdef my-llm\n")
    page = found["/home/sam/.local/share/man/man1/my-llm.1"]
    assert ".Nm my\\-llm\n" in page and "@PROGRAM@" not in page
