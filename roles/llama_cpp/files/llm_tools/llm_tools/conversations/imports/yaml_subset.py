# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The part of YAML that serde_yaml writes: block mappings and sequences, scalars in one line, literal blocks.

Anything else, such as anchors, tags, flow collections and folded text, is refused with its line.
"""

from __future__ import annotations

import re

KEYWORDS = {"": None, "~": None, "null": None, "true": True, "false": False}
NUMBER = re.compile(r"(?P<whole>[-+]?[0-9]+)|[-+]?(?:[0-9]+\.[0-9]*|\.?[0-9]+)(?:[eE][-+]?[0-9]+)?")
LITERAL = re.compile(r"\|(?P<indent>[1-9])?(?P<chomp>[-+])?")
SINGLE = re.compile(r"'((?:[^']|'')*)'")
DOUBLE = re.compile(r'"((?:[^"\\]|\\.)*)"')
ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))")
ESCAPES = {
    **dict(zip("0abtnvfre", "\0\a\b\t\n\v\f\r\x1b")),
    **dict(zip(' "/\\N_LP', ' "/\\\x85\xa0\u2028\u2029')),
}
INDICATORS = (*"&*!|>%@`[]{},#'\"", "? ", "- ")


class NotUnderstood(ValueError):
    """Text that is refused; ``line`` is the number of its line."""

    def __init__(self, line, why):
        super().__init__(why)
        self.line = line


def parse(text):
    """The value of a document. Raises NotUnderstood."""
    odd = re.search("[\r\x85\u2028\u2029]", text)
    if odd:
        line = text.count("\n", 0, odd.start()) + 1
        raise NotUnderstood(line, "only line feeds are understood as ends of lines.")
    return _Document(text).value()


class _Document:
    def __init__(self, text):
        self._lines = re.sub(r"^\.\.\.\n\Z", "", text, flags=re.M).split("\n")  # the mark of the end, if there is one
        self._at = 1 if self._lines[0] == "---" else 0

    def value(self):
        value = self._block(0)
        if self._next():
            raise self._refused("this line does not belong to what is before it.")
        return value

    def _next(self):
        """The indentation and the text of the next line with content, or None at the end."""
        while self._at < len(self._lines):
            line = self._lines[self._at]
            text = line.lstrip(" ")
            if text.strip() and not text.startswith("#"):
                return len(line) - len(text), text
            self._at += 1
        return None

    def _block(self, least):
        """The mapping, sequence or scalar at the next line, which is indented by at least ``least``; else None."""
        found = self._next()
        if found is None or found[0] < least:
            return None
        indent, text = found
        if _is_item(text):
            return self._sequence(indent)
        if self._key(text):
            return self._mapping(indent)
        self._at += 1
        return self._scalar(text, indent)

    def _sequence(self, indent):
        values = []
        while (found := self._next()) and found[0] == indent and _is_item(found[1]):
            # What is behind the dash is a block that is indented by two more.
            self._lines[self._at] = " " * (indent + 2) + found[1][2:]
            text = found[1][2:].lstrip(" ")
            if text and not _is_item(text) and not self._key(text):
                self._at += 1
                values.append(self._scalar(text, indent))
            else:
                values.append(self._block(indent + 1))
        return values

    def _mapping(self, indent):
        values = {}
        while (found := self._next()) and found[0] == indent and not _is_item(found[1]):
            split = self._key(found[1])
            if not split:
                raise self._refused("a key is missing here.")
            key, text = split
            if key in values:
                raise self._refused(f'the key "{key}" is given twice.')
            self._at += 1
            if text:
                values[key] = self._scalar(text, indent)
            else:
                following = self._next()
                is_list = following and following[0] == indent and _is_item(following[1])
                values[key] = self._sequence(indent) if is_list else self._block(indent + 1)
        return values

    def _key(self, text):
        """The key at the beginning of ``text`` and what follows it, or None."""
        quoted = SINGLE.match(text) or DOUBLE.match(text)
        if quoted:
            rest = text[quoted.end() :]
            return (self._scalar(quoted[0], 0), rest[1:].strip(" ")) if re.match(":( |$)", rest) else None
        found = re.match(r"(.*?):(?: +(.*))?$", text)
        return (found[1], (found[2] or "").rstrip(" ")) if found and not text.startswith(INDICATORS) else None

    def _scalar(self, text, indent):
        """The value of ``text``; the lines of a literal block follow. The current line is the one behind ``text``."""
        literal = LITERAL.fullmatch(text)
        if literal:
            return self._literal(indent, literal)
        for pattern, meaning in ((SINGLE, _single), (DOUBLE, self._double)):
            quoted = pattern.fullmatch(text)
            if quoted:
                return meaning(quoted[1])
        if text in ("[]", "{}"):
            return [] if text == "[]" else {}
        if text.startswith(INDICATORS) or " #" in text or ": " in text or text.endswith(":"):
            self._at -= 1
            raise self._refused("this form of YAML is not understood.")
        number = NUMBER.fullmatch(text)
        if number:
            return int(text) if number["whole"] else float(text)
        return KEYWORDS.get(text, text)

    def _literal(self, indent, header):
        """The text of a literal block inside a node that is indented by ``indent``."""
        rest = self._lines[self._at :]
        first = next((line for line in rest if line.strip(" ")), "")
        depth = indent + int(header["indent"]) if header["indent"] else len(first) - len(first.lstrip(" "))
        taken = []
        while rest[len(taken) :] and depth > indent:
            line = rest[len(taken)]
            if line.strip(" ") and not line.startswith(" " * depth):
                break
            taken.append(line)
        self._at += len(taken)
        if self._at == len(self._lines) and taken and not taken[-1]:
            taken.pop()  # what is behind the last line feed is no line
        text = "".join(line[depth:] + "\n" for line in taken)
        if header["chomp"] == "+":
            return text
        stripped = text.rstrip("\n")
        return stripped if header["chomp"] == "-" or not stripped else stripped + "\n"

    def _double(self, text):
        def meant(found):
            digits = found[1] or found[2] or found[3]
            if digits:
                return chr(int(digits, 16))
            if found[4] not in ESCAPES:
                self._at -= 1
                raise self._refused(f"the escape \\{found[4]} is not understood.")
            return ESCAPES[found[4]]

        return ESCAPE.sub(meant, text)

    def _refused(self, why):
        return NotUnderstood(self._at + 1, why)


def _single(text):
    return text.replace("''", "'")


def _is_item(text):
    return text == "-" or text.startswith("- ")
