# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Where the blocks of a Markdown text begin and end, and what its first code block holds."""

import pytest
from llm_tools.markdown import Blocks, Part, first_code_block

BLOCK, BLANK, OPENS, CODE, CLOSES, INDENTED = Part


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("```\none\n```\n", "one\n"),
        ("Here:\n\n```python\none\n\ntwo\n```\nand\n```\nthree\n```", "one\n\ntwo\n"),
        ("~~~sh\n```\nnot the end\n```\n~~~", "```\nnot the end\n```\n"),
        ("````\n```\ninner\n```\n````", "```\ninner\n```\n"),
        ("  ```\n  one\n    two\n three\n  ```", "one\n  two\nthree\n"),
        ("1. Do:\n\n   ```sh\n   ls\n     -l\n   ```\n", "ls\n  -l\n"),
        ("1. Do:\n    - this:\n      ```make\n      all:\n      \tcc\n      ```\n", "all:\n\tcc\n"),
        ("- ```\n  one\n  ```", "one\n"),
        ("1. Do:\n   ```sh\nls\n   ```\n", "ls\n"),
        ("- a\n\n  ```\n\tone\n  ```", "  one\n"),
        ("```\n```", ""),
        ("```\none\n```` \t\n", "one\n"),
        ("```\none\r\n```\r\n", "one\r\n"),
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
    "parts",
    [
        [(BLOCK, "one\ntwo\n"), (BLANK, "\n"), (BLOCK, "three")],
        [(BLOCK, "# Title\n"), (BLOCK, "text\n"), (BLOCK, "## Title\n"), (BLANK, "\n")],
        [(BLOCK, "text:\n"), (BLOCK, "- one\n  more\n"), (BLOCK, "  * two\n"), (BLOCK, "3) three\n")],
        [(BLOCK, "text\n"), (BLOCK, "---\n"), (BLOCK, "text\n"), (BLOCK, "* * *\n")],
        [(BLOCK, "It was in\n1985. That is no list.\n")],
        [(BLOCK, "1. one\n"), (BLOCK, "7. seven\n")],
        [(BLOCK, "text\n"), (OPENS, "```py\n"), (CODE, "# code\n"), (CODE, "\n"), (CLOSES, "```\n"), (BLOCK, "text")],
        [(INDENTED, "    code\n"), (INDENTED, "      more\n"), (BLOCK, "text\n    more text\n")],
        [(BLOCK, "- one\n"), (BLANK, "\n"), (BLOCK, "  text in the item\n"), (BLANK, "\n"), (INDENTED, "      code\n")],
        [(BLOCK, "- one\n"), (BLANK, "\n"), (BLOCK, "text\n"), (BLANK, "\n"), (INDENTED, "    - code\n")],
        [(BLOCK, "| a |\n|---|\n| 1 |\n"), (BLANK, "\n"), (BLOCK, "> quote\n> - item\n")],
    ],
)
def test_parts(parts):
    """The text is the sum of its parts, in whatever pieces it comes."""
    text = "".join(source for _, source in parts)
    for size in (1, 2, 3, len(text)):
        blocks, found = Blocks(), []
        for start in range(0, len(text), size):
            found += blocks.feed(text[start : start + size])
        assert found + blocks.finish() == parts


@pytest.mark.parametrize(
    ("text", "unfinished"),
    [
        ("one", "one"),
        ("one\ntwo", "one\ntwo"),
        ("4", "4"),
        ("one\n\n", ""),
        ("- one\n- two", "- two"),
        # What may turn out to be another block than the one above it, or a fence, is not shown yet.
        ("one\n2", "one\n"),
        ("one\n#", "one\n"),
        ("one\n``", "one\n"),
        ("one\n``` `x` ", "one\n``` `x` "),
        ("```py", ""),
        ("- ~~~", ""),
        ("`ls` ", "`ls` "),
        ("```\ncode", ""),
        ("    code", ""),
    ],
)
def test_unfinished_is_certain_to_stay_in_its_block(text, unfinished):
    blocks = Blocks()
    blocks.feed(text)
    assert blocks.unfinished == unfinished
