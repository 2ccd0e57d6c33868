# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""JSON that an answer must match, and tools that a model may call: read before the request, judged after it.

llama-server makes a grammar of a schema and leaves out what a grammar cannot say (grammars/README.md of llama.cpp
0c1e570), so an answer is judged here once more.
"""

from __future__ import annotations

from . import packages
from .core.base.errors import LlamaCppError, in_words
from .core.base.strict_json import NotStrict, parse
from .errors import UsageError

MOST_FAULTS = 5


def read(text, option="--schema"):
    """The JSON Schema in ``text``, which is JSON or the name of a file. Raises UsageError when it is none."""
    schema, source = _document(text, option, "{")
    judge = _judge()
    if judge:
        try:
            judge.validators.validator_for(schema).check_schema(schema)
        except judge.exceptions.SchemaError as error:
            raise UsageError(f"{source} is no JSON Schema: {error.json_path}: {error.message}.") from None
    return schema


def read_tools(text):
    """The tools in ``text`` (JSON or a file's name): a list in the form of OpenAI's chat completions."""
    tools, source = _document(text, "--tools", "[")
    names = [tool["function"]["name"] for tool in tools if _is_tool(tool)] if isinstance(tools, list) else []
    if not names or len(names) != len(tools):
        raise UsageError(
            f'{source} is no list of tools, each like {{"type": "function", "function": {{"name": "…", '
            '"description": "…", "parameters": {a JSON Schema}}}}.'
        )
    return tools


def response_format(schema):
    """The key ``response_format`` of a request for JSON that matches ``schema``."""
    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}


def check_answer(environment, text, schema):
    """Raise LlamaCppError when ``text`` is no JSON, or does not match ``schema``."""
    try:
        value = parse(text, any_text=True)
    except NotStrict as error:
        raise LlamaCppError(f"the answer is no JSON: {error}.") from None
    judge = _judge()
    if judge is None:
        environment.say("The answer was not checked: the Python package jsonschema is not installed.")
        return
    faults = sorted(
        judge.validators.validator_for(schema)(schema).iter_errors(value), key=lambda fault: fault.json_path
    )
    if faults:
        told = "; ".join(f"{fault.json_path}: {fault.message}" for fault in faults[:MOST_FAULTS])
        raise LlamaCppError(f"the answer does not match the schema: {told}.")


def _document(text, option, opening):
    """(value, source in words) of ``text``, which begins with ``opening`` unless it names a file."""
    source = option
    try:
        if not text.lstrip().startswith(opening):
            source = text
            with open(text, "rb") as stream:
                text = stream.read()
        return parse(text), source
    except OSError as error:
        raise UsageError(in_words(error, "cannot be read", source)) from error
    except NotStrict as error:
        raise UsageError(f"{source} is not JSON: {error}.") from error


def _is_tool(tool):
    function = tool.get("function") if isinstance(tool, dict) else None
    return isinstance(function, dict) and isinstance(function.get("name"), str)


def _judge():
    """The package jsonschema, or None where it is not installed: an answer is worth more than its check."""
    try:
        return packages.load("jsonschema")
    except ImportError:
        return None
