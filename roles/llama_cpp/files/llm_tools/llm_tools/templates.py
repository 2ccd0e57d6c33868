# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Templates: named prompts with variables.

``NAME.txt`` in the directory of templates is a prompt with ``$name`` or ``${name}`` for a variable, ``$$`` for a dollar
sign and ``$input`` for what was typed or piped in, which otherwise follows the prompt. Before the prompt there may be
options of the request, each in a line (a line that begins with a space continues the one before it), up to ``---``::

    system: You translate into $language.
    temperature: 0.2
    ---
    Translate: $input
"""

from __future__ import annotations

import json
import os
import re
import string
from typing import NamedTuple

from .core.base.errors import in_words
from .core.base.files import read_file
from .core.base.text import did_you_mean
from .errors import UsageError

SUFFIX = ".txt"
INPUT = "input"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
OPTION = re.compile(r"([a-z][a-z0-9_]*):(?: +(.*?))? *")


class Template(NamedTuple):
    """A template as it is written.

    ``prompt_line`` and ``system_line`` are the numbers of their first lines.
    """

    path: str
    prompt: str
    prompt_line: int
    system: str = None
    system_line: int = 1
    options: dict = {}  # noqa: RUF012 - never changed


def names(directory):
    """The names of the templates in ``directory``, sorted."""
    try:
        files = os.listdir(directory)
    except FileNotFoundError:
        return []
    return sorted(name[: -len(SUFFIX)] for name in files if name.endswith(SUFFIX) and NAME.fullmatch(name))


def path_of(directory, name):
    """The file of the template ``name``. Raises UsageError for a name that no template can have."""
    if not NAME.fullmatch(name):
        raise UsageError(
            f'"{name}" is no name of a template; allowed are letters, digits, dots, dashes and underscores.'
        )
    return os.path.join(directory, name + SUFFIX)


def load(directory, name):
    """The template ``name``. Raises UsageError if there is none, or it cannot be used."""
    path = path_of(directory, name)
    try:
        text = read_file(path).decode("utf-8")
    except FileNotFoundError:
        known = names(directory)
        hint = did_you_mean(name, known) or (f"; templates: {', '.join(known)}." if known else ".")
        raise UsageError(f'there is no template "{name}"{hint} To make it: llm templates edit {name}') from None
    except OSError as error:
        raise UsageError(in_words(error, "cannot be read", path)) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: it is not UTF-8 text (byte {error.start}).") from None
    return parse(path, text)


def parse(path, text):
    """The template with this ``text``. Raises UsageError, with the line, for an option that is given twice."""
    lines = text.replace("\r\n", "\n").split("\n")
    options, places, end = _options(path, lines)
    prompt = "\n".join(lines[end:]).rstrip("\n")
    system = options.pop("system", None)
    options = {key: _value(value) for key, value in options.items()}
    return Template(path, prompt, end + 1, system, places.get("system", 1), options)


def render(template, values, given):
    """(prompt, system prompt or None, options of the request), with ``values`` in the place of the variables.

    :param values: texts by the names of variables.
    :param given: what was typed or piped in; "" for nothing.
    Raises UsageError, with the line, for a variable that has no value, and for a value that no variable takes.
    """
    known = {**values, INPUT: given}
    texts = [(template.prompt, template.prompt_line), (template.system or "", template.system_line)]
    used = {name for text, _ in texts for name in _variables(text)}
    unused = [name for name in values if name not in used]
    if unused:
        hint = did_you_mean(unused[0], used - {INPUT}) or "."
        raise UsageError(f"{template.path}: there is no variable ${unused[0]}{hint}")
    prompt, system = (_filled(template.path, line, text, known) for text, line in texts)
    if INPUT not in used:
        prompt = "\n\n".join(part for part in (prompt, given) if part.strip())
    return prompt, None if template.system is None else system, template.options


def _options(path, lines):
    """(texts of the options by name, numbers of their lines, how many lines come before the prompt)."""
    start = 1 if lines[0].rstrip() == "---" else 0
    texts, places = {}, {}
    name = None
    for number, line in enumerate(lines[start:], start + 1):
        found = OPTION.fullmatch(line)
        if line.rstrip() == "---":
            return texts, places, number
        if line.startswith((" ", "\t")) and name:
            texts[name] += "\n" + line.strip()
        elif found:
            name = found[1]
            if name in texts:
                raise UsageError(f"{path}:{number}: the option {name} is given twice.")
            texts[name], places[name] = found[2] or "", number
        elif line.strip():
            break
    return {}, {}, 0  # what looked like options is the beginning of the prompt


def _value(text):
    """Numbers, true, false, null, lists and objects are written as in JSON; the rest is text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _variables(text):
    return [found["named"] or found["braced"] for found in string.Template.pattern.finditer(text) if _name_in(found)]


def _name_in(found):
    return found["named"] or found["braced"]


def _filled(path, first_line, text, values):
    def value_of(found):
        line = first_line + text.count("\n", 0, found.start())
        if found["escaped"]:
            return "$"
        name = _name_in(found)
        if name is None:
            raise UsageError(f"{path}:{line}: after a dollar sign, a name is missing. For a dollar sign, write $$.")
        if name not in values:
            raise UsageError(f"{path}:{line}: the variable ${name} has no value. Give it one: -p {name}=VALUE")
        return values[name]

    return string.Template.pattern.sub(value_of, text)
