# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Reads the configuration file and reports all its errors at once.

``config/llm_config.schema.json`` (JSON Schema 2020-12) defines keys and defaults; nothing here knows a key by name.
Rules that a schema cannot express are in ``config/rules.py``.
"""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from urllib.parse import urlsplit

from ansible_collections.macos_setup.llm.plugins.module_utils.base import strict_json
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.base.strict_json import dotted, shortened, visible
from ansible_collections.macos_setup.llm.plugins.module_utils.base.text import did_you_mean

CONFIG_DIRECTORY = Path(__file__).resolve().parents[3] / "config"
SCHEMA_FILE = CONFIG_DIRECTORY / "llm_config.schema.json"

#: Limit of the file, and of the file merged with a host's variables: enough for a thousand models.
MOST_BYTES = 1024 * 1024

SECRET_NAME = re.compile(r"(api_?key|token|secret|password)s?$", re.IGNORECASE)
MASK = "(hidden)"
LONGEST_VALUE = 60

#: Limits of an error message: a file of another kind could contain any number of errors.
MOST_PROBLEMS = 50
LONGEST_PROBLEM = 1000

TYPE_WORDS = {
    "object": "an object",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}


#: Keywords that limit a size, and the unit of that size.
TOO_MUCH = {"maxLength": "characters", "maxItems": "entries", "maxProperties": "entries"}


class Problem:
    """One error in the configuration: a data path and a description.

    :param path: the keys and list indexes that lead there, ``("models", "tiny", "bytes")``.
    """

    def __init__(self, path, what):
        self.path = tuple(path)
        self.what = shortened(visible(what[: LONGEST_PROBLEM + 1]), LONGEST_PROBLEM)

    def __str__(self):
        return f"{dotted(self.path)}: {self.what}" if self.path else self.what

    def concerns(self, other):
        """Whether one of the two problems lies at or below the place of the other."""
        shorter = min(len(self.path), len(other.path))
        return self.path[:shorter] == other.path[:shorter]


class ConfigurationError(LlamaCppError):
    """All errors of a configuration, as :class:`Problem` objects in ``problems``."""

    def __init__(self, source, problems):
        self.problems = problems
        count = "1 error" if len(problems) == 1 else "%d errors" % len(problems)
        lines = [f"{source}: {count}; nothing was changed."]
        lines += [f"  {problem}" for problem in problems[:MOST_PROBLEMS]]
        if len(problems) > MOST_PROBLEMS:
            lines.append(f"  and {len(problems) - MOST_PROBLEMS} more")
        lines.append("Correct it and run the play again.")
        super().__init__("\n".join(lines))


def load_schema():
    """The schema of the configuration as a dict."""
    return json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))


def read(path):
    """The value of the JSON file ``path``, which may still have flaws that :func:`problems_of` finds.

    Raises ConfigurationError; a key given twice is an error.
    """
    try:
        with open(path, "rb") as stream:
            return strict_json.parse_syntax(stream.read(MOST_BYTES + 1), MOST_BYTES)
    except OSError as error:
        raise ConfigurationError(path, [Problem((), f"cannot be read: {error.strerror}")]) from None
    except strict_json.NotStrict as error:
        raise ConfigurationError(path, [Problem((), str(error))]) from None


def merge(base, changes):
    """A copy of ``base`` with the nested dict ``changes`` laid over it; lists and scalars are replaced."""
    if not isinstance(base, dict) or not isinstance(changes, dict):
        return copy.deepcopy(changes)
    merged = {key: copy.deepcopy(value) for key, value in base.items()}
    for key, value in changes.items():
        merged[key] = merge(merged[key], value) if key in merged else copy.deepcopy(value)
    return merged


def problems_of(config, schema):
    """Every :class:`Problem` of ``config`` against ``schema``, in the order of the data paths."""
    try:
        import jsonschema  # noqa: PLC0415 - the only import that may be missing where Ansible runs
    except ImportError:
        raise LlamaCppError(
            "The Python package jsonschema is missing where Ansible runs, so the configuration cannot be checked. "
            "Nothing was changed. Install it for Ansible's Python: python3 -m pip install jsonschema"
        ) from None
    # What cannot be computed with, or printed, is not shown to the schema.
    flaws = [Problem(path, what) for path, what in strict_json.flaws(config, most_bytes=MOST_BYTES)]
    if any(not flaw.path for flaw in flaws):
        return flaws
    config = without(config, flaws) if flaws else config
    validator = jsonschema.validators.extend(jsonschema.Draft202012Validator, _keywords())(schema)
    found = []
    for error in validator.iter_errors(config):
        found.extend(_explain(error, schema))
    found.extend(_planned(config, schema, schema, ()))
    return sorted([*flaws, *(one for one in found if not any(one.concerns(flaw) for flaw in flaws))], key=str)


def _keywords():
    """Keywords of a schema that are checked otherwise than jsonschema does, or that it does not know."""
    import jsonschema  # noqa: PLC0415 - as above

    unique = jsonschema.Draft202012Validator.VALIDATORS["uniqueItems"]

    def pattern(_validator, pattern, instance, _schema):
        """``$`` is the end (ECMA-262), not also a line break before it."""
        if isinstance(instance, str) and not re.search(anchored(pattern), instance):
            yield jsonschema.ValidationError(f"{instance!r} does not match {pattern!r}")

    def unique_items(validator, wanted, instance, schema):
        """Of a list that is too long anyway every two entries would be compared."""
        if isinstance(instance, list) and len(instance) <= schema.get("maxItems", len(instance)):
            yield from unique(validator, wanted, instance, schema)

    def address(_validator, _wanted, instance, schema):
        """Of what has the form of one."""
        formed = isinstance(instance, str) and re.search(anchored(schema["pattern"]), instance)
        if formed and not _is_readable(instance):
            yield jsonschema.ValidationError("its host or port cannot be read")

    return {"pattern": pattern, "uniqueItems": unique_items, "x-address": address}


def _is_readable(address):
    """Whether an address of a scheme that has hosts names one, by what can be one, and a port, if any, that is one."""
    try:
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https", "ssh", "git"):
            return True
        return bool(parts.hostname) and not parts.hostname.startswith("-") and parts.port != 0
    except ValueError:
        return False


def anchored(pattern):
    """A regular expression of a schema for Python, whose ``$`` also stands before a line break at the end."""
    words = r"\\.|\[(?:\\.|[^\]\\])*\]|\$"
    return re.sub(words, lambda word: r"\Z" if word[0] == "$" else word[0], pattern, flags=re.DOTALL)


def without(config, problems):
    """A copy of ``config`` without the places that have problems: what is left can be looked at further."""
    rest = copy.deepcopy(config)
    for problem in problems:
        parent = rest
        try:
            for part in problem.path[:-1]:
                parent = parent[part]
            del parent[problem.path[-1]]
        except (KeyError, IndexError, TypeError):
            continue  # a missing key, or a place inside one that is gone already
    return rest


def filled_in(config, schema):
    """A copy of a valid ``config`` in which every default of the schema stands, and each value in its one form:

    a digest in lower case, and a number without a fraction as the whole number that JSON Schema takes it for.
    """
    return _filled_in(config, schema, schema)


def _filled_in(value, schema, root):
    schema = _resolved(schema, root)
    if isinstance(value, list) and isinstance(schema.get("items"), dict):
        return [_filled_in(item, schema["items"], root) for item in value]
    if "x-digest" in schema:
        return value.rpartition(":")[2].lower()
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, dict):
        return copy.deepcopy(value)
    known = schema.get("properties", {})
    other = schema.get("additionalProperties")
    filled = {}
    for key, subschema in known.items():
        if key in value:
            filled[key] = _filled_in(value[key], subschema, root)
        elif "default" in subschema:
            filled[key] = _filled_in(subschema["default"], subschema, root)
    for key in value:
        if key not in known:
            filled[key] = _filled_in(value[key], other, root) if isinstance(other, dict) else copy.deepcopy(value[key])
    return filled


def _resolved(schema, root):
    """``schema`` with its local references resolved; keys next to a reference take precedence."""
    if "$ref" not in schema:
        return schema
    target = root
    for part in schema["$ref"].lstrip("#/").split("/"):
        target = target[part]
    return _resolved({**target, **{key: value for key, value in schema.items() if key != "$ref"}}, root)


def _planned(value, schema, root, path):
    """Parts of the contract that this release does not have yet: refused rather than ignored."""
    schema = _resolved(schema, root)
    planned = schema.get("x-planned")
    if planned is True:
        return [Problem(path, "this release does not support the key yet; remove it")]
    if isinstance(planned, list) and value in planned:
        allowed = [choice for choice in schema["enum"] if choice not in planned]
        what = f"{shown(value)} is not supported by this release yet; expected: {listed(allowed)}"
        return [Problem(path, what)]
    if not isinstance(value, dict):
        return []
    known, other, found = schema.get("properties", {}), schema.get("additionalProperties"), []
    for key, item in value.items():
        subschema = known.get(key, other)
        if isinstance(subschema, dict):
            found.extend(_planned(item, subschema, root, (*path, key)))
    return found


def _explain(error, root):
    path = tuple(error.absolute_path)
    schema = error.schema
    if error.validator == "additionalProperties":
        known = sorted(schema.get("properties", {}))
        return [_unknown_key((*path, key), known) for key in error.instance if key not in known]
    if error.validator == "required":
        missing = [key for key in error.validator_value if key not in error.instance]
        return [Problem((*path, key), "the key is missing") for key in missing]
    if error.validator in ("minProperties", "minItems", "minLength") and not error.instance:
        return [Problem(path, "it is empty; expected: at least one entry")]
    name = "propertyNames" in error.absolute_schema_path
    if error.validator in TOO_MUCH:
        size = f"{len(error.instance)} {TOO_MUCH[error.validator]}"
        what = f"it has {size}; expected: at most {error.validator_value}"
    elif name:
        what = "this name is not allowed; expected: {}".format(schema.get("x-wanted", "another"))
    elif error.validator == "x-address":  # not repeated: a password may be why it cannot be read
        what = f"{error.message}; expected: {wanted(schema)}"
    else:
        value = shown(error.instance, secret=schema.get("x-secret") or is_secret(path))
        what = f"{value} is {_kind(error)}; expected: {wanted(schema)}"
        if error.validator == "enum":
            what += did_you_mean(error.instance, error.validator_value)
    return [Problem((*path, error.instance) if name else path, what)]


def _kind(error):
    if error.validator == "type":
        return TYPE_WORDS[_json_type(error.instance)]
    if error.validator in ("minimum", "maximum"):
        return "out of range"
    if error.validator == "uniqueItems":
        return "a list with repeated entries"
    return "not allowed"


def _unknown_key(path, known):
    return Problem(
        path, "unknown key{} Allowed: {}".format(did_you_mean(path[-1], known) or ".", ", ".join(known) or "none")
    )


def wanted(schema):
    """What a schema accepts, in words."""
    if "x-wanted" in schema:
        return schema["x-wanted"]
    if "enum" in schema:
        return listed(schema["enum"])
    types = schema.get("type", "another value")
    words = " or ".join(TYPE_WORDS.get(name, name) for name in ([types] if isinstance(types, str) else types))
    if "minimum" in schema and "maximum" in schema:
        words += " from {} to {}".format(schema["minimum"], schema["maximum"])
    elif "minimum" in schema:
        words += " of at least {}".format(schema["minimum"])
    elif schema.get("uniqueItems"):
        words += " without repeated entries"
    elif schema.get("minLength"):
        words += " that is not empty"
    return words


def listed(choices):
    """Choices as text: ``"a", "b" or "c"``."""
    quoted = [f'"{choice}"' for choice in choices]
    return quoted[0] if len(quoted) == 1 else "{} or {}".format(", ".join(quoted[:-1]), quoted[-1])


def shown(value, secret=False):
    """A value as it may be printed: secrets hidden, passwords and queries cut from addresses, long text shortened."""
    if secret:
        return MASK
    text = json.dumps(_without_secrets(value), ensure_ascii=False)
    return shortened(visible(text[: LONGEST_VALUE + 1]), LONGEST_VALUE)


def _without_secrets(value):
    if isinstance(value, dict):
        return {key: MASK if is_secret((key,)) else _without_secrets(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_secrets(item) for item in value]
    if isinstance(value, str):
        return re.sub(r"(://|^(?=[^\s/@:]+:))[^\s?]*@", r"\1", re.sub(r"(://[^?\s]*)\?\S*", r"\1?…", value))
    return value


def is_secret(path):
    return any(isinstance(part, str) and SECRET_NAME.search(part) for part in path)


def _json_type(value):
    for kind, types in (("boolean", bool), ("string", str), ("integer", int), ("number", float), ("array", list)):
        if isinstance(value, types):
            return kind
    return "null" if value is None else "object"
