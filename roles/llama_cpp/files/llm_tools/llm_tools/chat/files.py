# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Text files in a prompt: ``@path`` within it, ``/read`` and ``/glob`` before it."""

from __future__ import annotations

import glob
import os
import re
import shlex

from ..errors import UsageError
from ..prompt import read_text

#: As many files as llama.cpp's own chat takes.
MOST_FILES = 100

#: ``@path`` or ``@"a path"`` at the beginning of a word; ``@@word`` is a plain ``@word``. A diff's lone ``@@`` is text.
AT = re.compile(r'(?<!\S)@(?:(@)(?=\S)|"([^"\n]+)"|([^\s@"]\S*))')
PUNCTUATION = ".,;:!?)]}'\""


def fenced(path):
    """The text of the file ``path`` as a code block below its name. Raises UsageError when it cannot be read."""
    text = read_text(os.path.expanduser(path))
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    language = os.path.splitext(path)[1][1:]
    return f"{path}:\n{fence}{language}\n{text}\n{fence}"


def with_files(text):
    """(the files that ``text`` names with an @, fenced; ``text`` without the @). Raises UsageError for one that
    cannot be read."""
    files = {}

    def name_of(found):
        plain, quoted, word = found.groups()
        if plain:
            return "@"
        path, rest = (quoted, "") if quoted else _path_in(word)
        if not os.path.exists(os.path.expanduser(path)):
            raise UsageError(f'there is no file "{path}". For a plain @ at the beginning of a word, write @@.')
        files.setdefault(path, fenced(path))
        return path + rest

    text = AT.sub(name_of, text)
    return list(files.values()), text


def _path_in(word):
    """The path at the beginning of ``word``, and the punctuation behind it."""
    bare = word.rstrip(PUNCTUATION)
    if bare and not os.path.exists(os.path.expanduser(word)):
        return bare, word[len(bare) :]
    return word, ""


def path_of(argument):
    """The path that was typed, or dropped onto the window, which puts backslashes or quotes around blanks."""
    if os.path.exists(os.path.expanduser(argument)):
        return argument
    try:
        words = shlex.split(argument)
    except ValueError:
        return argument
    return words[0] if len(words) == 1 else argument


def matching(pattern):
    """The files that ``pattern`` means, sorted. Raises UsageError where there are none, or too many."""
    names = sorted(filter(os.path.isfile, glob.iglob(os.path.expanduser(pattern), recursive=True)))
    if not names:
        raise UsageError(f'no file matches "{pattern}".')
    if len(names) > MOST_FILES:
        raise UsageError(f'{len(names)} files match "{pattern}"; at most {MOST_FILES} can be added at once.')
    return names
