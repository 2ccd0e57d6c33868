# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Markdown as models write it: only that is markup which can be left out without loss."""

from __future__ import annotations

import re

from markdown_it import MarkdownIt
from markdown_it.rules_inline.emphasis import tokenize as commonmark_emphasis
from markdown_it.tree import SyntaxTreeNode

#: What is an answer's text and would be changed or left out: tags, definitions of links, ``&lt;``, the dashes that
#: make the paragraph above them a heading; of links the title, and how an address is written.
NOT_MARKUP = ("html_block", "html_inline", "reference", "lheading", "entity", "autolink", "image", "link")

#: The only characters that are allowed to become something else: emphasis, bullets, frames.
CONSUMED = frozenset("*_`~#>+-|:[]")

LINK = re.compile(r"\[([^\[\]\n]+)\]\(((?:[a-z][a-z0-9+.-]*:|[/#.]|www\.)[^()\s]*)\)", re.IGNORECASE)
PUNCTUATION = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
FIRST_WIDE = "\u2e80"  # CJK and other scripts that have no spaces between words


def emphasis(state, silent):
    """``*`` emphasises, but not within a word, as in ``2*3*4``; ``_`` never does: it is part of names."""
    marker = state.src[state.pos]
    if silent or marker != "*":
        return False
    end = state.pos
    while end < state.posMax and state.src[end] == marker:
        end += 1
    if _in_word(state.src[state.pos - 1 : state.pos]) and _in_word(state.src[end : end + 1]):
        state.pending += state.src[state.pos : end]
        state.pos = end
        return True
    return commonmark_emphasis(state, silent)


def _in_word(char):
    return char.isalnum() and char < FIRST_WIDE


def escape(state, silent):
    """A backslash and what it protects both stay: ``\\(`` begins a formula."""
    pair = state.src[state.pos : state.pos + 2]
    if len(pair) < 2 or pair[0] != "\\" or pair[1] not in PUNCTUATION:
        return False
    if not silent:
        state.pending += pair
    state.pos += 2
    return True


def link(state, silent):
    """``[text](address)``; the address as it is written, and only if it is one: ``f[0](x)`` is none."""
    found = LINK.match(state.src, state.pos, state.posMax)
    if not found:
        return False
    if not silent:
        end = state.posMax
        state.push("link_open", "a", 1).attrs = {"href": found[2]}
        state.pos, state.posMax = found.span(1)
        state.md.inline.tokenize(state)
        state.posMax = end
        state.push("link_close", "a", -1)
    state.pos = found.end()
    return True


PARSER = MarkdownIt("commonmark").enable(["strikethrough", "table"]).disable(list(NOT_MARKUP))
PARSER.inline.ruler.at("emphasis", emphasis)
PARSER.inline.ruler.at("escape", escape)
PARSER.inline.ruler.after("emphasis", "plain_link", link)


def parse(text):
    """The tree of ``text``, or None if anything of it would not be shown."""
    tree = SyntaxTreeNode(PARSER.parse(text))
    return tree if loses_nothing(text, "".join(_shown(tree))) else None


def _shown(node):
    """All text of a tree, in order."""
    if node.type == "list_item":
        yield node.info + (node.markup if node.info else "")
    if node.type in ("text", "code_inline", "fence", "code_block"):
        yield node.info + node.content
    for child in node.children:
        yield from _shown(child)
    if node.type == "link":
        yield f"({node.attrs['href']})"


def loses_nothing(source, shown):
    """Whether ``shown`` is ``source`` without white space and without characters that became something else."""
    rest = iter("".join(shown.split()))
    wanted = next(rest, "")
    for char in "".join(source.replace("\\|", "|").split()):
        if char == wanted:
            wanted = next(rest, "")
        elif char not in CONSUMED:
            return False
    return not wanted
