# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""A conversation in other forms."""

from __future__ import annotations

import json

from .content import text_of

HEADINGS = {"system": "System prompt", "user": "User", "assistant": "Assistant", "tool": "Tool result"}


def markdown(conversation):
    """The conversation as a document for people."""
    header = conversation.header
    facts = [f"{name}: {header[name]}" for name in ("created", "model", "source") if header.get(name)]
    parts = [f"# {conversation.title or conversation.id}", " · ".join([conversation.id, *facts])]
    if conversation.system:
        parts += ["## System prompt", conversation.system]
    for message in conversation.messages:
        model = message.get("model")
        parts.append(f"## {HEADINGS.get(message['role'], message['role'])}" + (f" ({model})" if model else ""))
        if message.get("reasoning"):
            parts += ["### Reasoning", message["reasoning"], "### Answer"]
        parts += [text_of(message.get("content")), *(f"```json\n{json.dumps(call)}\n```" for call in _calls(message))]
    return "\n\n".join(part.strip("\n") for part in parts if part) + "\n"


def document(conversation):
    """The conversation as one JSON object: the header with all messages."""
    return {**conversation.header, "id": conversation.id, "messages": conversation.messages}


def json_lines(conversation):
    """The lines of the conversation's file."""
    header, *messages = [conversation.header, *conversation.messages]
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in (header, *messages))


def _calls(message):
    return [call.get("function", call) for call in message.get("tool_calls") or ()]


#: The forms by their names; each function returns text or what becomes JSON.
FORMATS = {"markdown": markdown, "json": document, "jsonl": json_lines}
