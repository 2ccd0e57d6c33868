# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Where the blocks of a Markdown text end, and what its first code block holds."""

import runpy

import pytest
from support.commands import TOOLS

MARKDOWN = runpy.run_path(str(TOOLS / "llm_tools" / "markdown.py"))
first_code_block = MARKDOWN["first_code_block"]
finished_blocks = MARKDOWN["finished_blocks"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("```\none\n```\n", "one\n"),
        ("Here:\n\n```python\none\n\ntwo\n```\nand\n```\nthree\n```", "one\n\ntwo\n"),
        ("~~~sh\n```\nnot the end\n```\n~~~", "```\nnot the end\n```\n"),
        ("````\n```\ninner\n```\n````", "```\ninner\n```\n"),
        ("  ```\n  one\n  ```", "  one\n"),
        ("```\n```", ""),
        ("```\none\n```` \t\n", "one\n"),
        ("```\nnever ends\n", None),
        ("```\nnot an end: ```\n", None),
        ("```\none\n``` python\n", None),
        ("    ```\n    indented\n    ```\n", None),
        ("``` `inline` ```\n", None),
        ("no code", None),
        ("", None),
    ],
)
def test_first_code_block(text, code):
    assert first_code_block(text) == code


@pytest.mark.parametrize(
    ("finished", "rest"),
    [
        ("", ""),
        ("", "one"),
        ("", "one\ntwo\n"),
        ("one\n\n", ""),
        ("one\n\n", "two"),
        ("one\n\ntwo\n \n", "three\n"),
        ("one\n\n", "```\ncode\n\nmore\n"),
        ("```\ncode\n\nmore\n```\n\n", "two"),
    ],
)
def test_finished_blocks(finished, rest):
    assert finished_blocks(finished + rest) == (finished, rest)
