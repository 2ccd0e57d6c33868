# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Random answers in Markdown, with all that is hard to show without loss, and whether a window shows one."""

import random
import unicodedata

WORDS = (
    "vector<int>", "<placeholder>", "&lt;", "&amp;copy;", "__init__", "snake_case_name", "2*3*4", "*args,", "**kwargs)",
    "\\(x_1\\)", "C:\\_x\\*.txt", "\\", "a`b", "``", "`code with <b>`", "`un", "*finished", "**bold**", "*it*",
    "[text](https://a.example/b_c?d=e&f=*g*)", "f[0](x)", "[1]", "[a][b]", "![alt](x.png)", "<https://a.example>",
    "漢字", "これは**重要**です。", "\U0001f469\u200d\U0001f469\u200d\U0001f467", "\u26a0\ufe0f",
    "\U0001f1e9\U0001f1ea", "\U0001f44d\U0001f3fd", "é", "naïve", "\u00a0x", "x\ty", "word", "other", "and", "so", "on",
    "supercalifragilistic" * 6, "1985.", "1.", "-", "+", "#", "#tag", "|", "a|b", "||", "=", "==", ">", "$", ":",
    "~~gone~~", "~", "_", "***", "***x***", "* *",
)  # fmt: skip
CODE = (
    "def f(x):", "    return x  # é", "\tif (a<b) { /* 漢字 */", "", "```not a fence", "'''open string", "x" * 150, "}",
    "*a* **b**", "<html>", "  - item", "# heading?", '"""', "-- \\n", "$ ls | wc",
)  # fmt: skip
LANGUAGES = ("", "python", "c++", "sh", "nosuch", "diff", "html")
CONSUMED = frozenset("*_`~#>+-|:[]")
FRAMES = str.maketrans("", "", "•▌─")


def answer(seed):
    """(the text, the code blocks of it as lists of lines)"""
    rng = random.Random(seed)
    code_blocks, blocks = [], []
    for _ in range(rng.randint(1, 8)):
        blocks.append(rng.choice(KINDS)(rng, code_blocks))
        blocks.append(rng.choice(("\n", "\n", "\n", "\n\n", "")))
    text = "".join(blocks)
    if rng.random() < 0.2:
        code_blocks.append([rng.choice(CODE[:3]) for _ in range(rng.randint(0, 3))])
        text += "\n```python\n" + "\n".join(code_blocks[-1])
    return text if rng.random() < 0.5 else text.rstrip("\n"), code_blocks


def pieces(text, seed):
    """``text`` cut anywhere."""
    rng = random.Random(seed)
    while text:
        length = rng.choice((1, 2, 3, 5, 8, 40, 400))
        yield text[:length]
        text = text[length:]


def words(rng, most=12):
    return " ".join(rng.choice(WORDS) for _ in range(rng.randint(1, most)))


def paragraph(rng, code_blocks):
    return "\n".join(words(rng, 30) for _ in range(rng.choice((1, 1, 2, 3, 12)))) + "\n"


def heading(rng, code_blocks):
    return "#" * rng.randint(1, 6) + " " + words(rng, 4) + "\n"


def a_list(rng, code_blocks):
    lines, indent = [], 0
    for number in range(rng.randint(1, 8)):
        indent = max(0, indent + rng.choice((-4, 0, 0, 0, 2, 3, 4))) if number else 0
        marker = rng.choice(("- ", "* ", f"{number + 1}. ", f"{number + 1}) "))
        lines.append(" " * indent + marker + words(rng) + "\n")
        if rng.random() < 0.2:
            lines.append(rng.choice(("", "\n")) + " " * (indent + len(marker)) + words(rng) + "\n")
        if rng.random() < 0.15:
            lines.append(fence(rng, code_blocks, indent + len(marker)))
        if rng.random() < 0.2:
            lines.append("\n")
    return "".join(lines)


def fence(rng, code_blocks, indent=0):
    marker, margin = rng.choice(("```", "````", "~~~~")), " " * indent
    code = [rng.choice(CODE) for _ in range(rng.randint(0, 9))]
    code_blocks.append(code)
    lines = [marker + rng.choice(LANGUAGES), *code, marker]
    return "".join((margin + line if line else "") + "\n" for line in lines)


def quote(rng, code_blocks):
    return "".join("> " + words(rng) + "\n" for _ in range(rng.randint(1, 5)))


def table(rng, code_blocks):
    columns = rng.randint(1, 5)
    cells = ("a", "b_c", "漢字", "`x`", "12", "**b**", "x\\|y", "<int>", "")
    rows = [["head"] * columns, [rng.choice(("---", ":--", "--:"))] * columns]
    rows += [
        [rng.choice(cells) for _ in range(columns + rng.choice((0, 0, 0, 0, 1)))] for _ in range(rng.randint(1, 9))
    ]
    return "".join("| " + " | ".join(row) + " |\n" for row in rows) + "\n"  # text right below would be a row of it


def rule(rng, code_blocks):
    return rng.choice(("---", "***", "- - -", "===")) + "\n"


def indented(rng, code_blocks):
    return "\n" + "".join(f"    {words(rng, 3)}\n" for _ in range(rng.randint(1, 3)))


KINDS = (paragraph, paragraph, heading, a_list, a_list, fence, fence, quote, table, rule, indented)


def first_difference(text, shown, all_of_it=True):
    """Where ``shown`` is not ``text`` in order and once, as far as no markup was left out; None when it is.

    :param all_of_it: False accepts that text is missing, but not that it is shown twice.
    """
    rest = [*_without_space(shown.translate(FRAMES))]
    rest.reverse()
    source = _without_space(text)
    for position, char in enumerate(source):
        if rest and rest[-1] == char:
            rest.pop()
        elif all_of_it and char not in CONSUMED and source[position : position + 2] != "\\|":
            return f"missing: {source[position : position + 40]!r}; shown instead: {''.join(rest[:-40:-1])!r}"
    return f"shown twice or changed: {''.join(rest[:-40:-1])!r}" if rest else None


def _without_space(text):
    """Joiners have no width: at the beginning of a row, there is nothing for a window to show them on."""
    text = text.replace("\N{ZERO WIDTH JOINER}", "").replace("\N{VARIATION SELECTOR-16}", "")
    return unicodedata.normalize("NFC", "".join(text.split()))
