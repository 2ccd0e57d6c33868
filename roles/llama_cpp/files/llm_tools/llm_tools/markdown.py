# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The little of Markdown that must be understood while an answer is still coming: where its blocks end."""

from __future__ import annotations

import re

FENCE = re.compile(r" {0,3}(?P<marker>`{3,}|~{3,})(?P<info>.*)")


class CodeFence:
    """Tells, line by line, whether a text is inside a fenced code block (CommonMark 0.31, section 4.5)."""

    def __init__(self):
        self.marker = None

    def feed(self, line):
        """ "opens" or "closes" when ``line`` begins or ends a code block, else None."""
        found = FENCE.match(line)
        if self.marker is None:
            if found and not (found["marker"][0] == "`" and "`" in found["info"]):
                self.marker = found["marker"]
                return "opens"
        elif found and found["marker"].startswith(self.marker) and not found["info"].strip():
            self.marker = None
            return "closes"
        return None


def first_code_block(text):
    """The content of the first fenced code block, or None when there is none that is complete."""
    fence, code = CodeFence(), []
    for line in text.splitlines(keepends=True):
        event = fence.feed(line)
        if event == "closes":
            return "".join(code)
        if fence.marker and not event:
            code.append(line)
    return None


def finished_blocks(text):
    """``text`` cut in two behind the last blank line outside a code block: what is finished, and the rest."""
    fence, position, end = CodeFence(), 0, 0
    for line in text.splitlines(keepends=True):
        fence.feed(line)
        position += len(line)
        if fence.marker is None and not line.strip() and line.endswith("\n"):
            end = position
    return text[:end], text[end:]
