# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The history of aichat: ``messages.md`` and its sessions.

``messages.md`` has an entry for each question outside a session, ``sessions/NAME.yaml`` a whole conversation; agents
have both in a directory of their own. Read as of version 0.30 (src/config/mod.rs: save_message; src/config/session.rs).
"""

from __future__ import annotations

import collections
import glob
import hashlib
import json
import os
import re
import sys

from ...core.base.errors import in_words
from ...core.base.files import open_file
from ...core.base.json_form import Needed, OneOf, misfit
from ...core.base.strict_json import dotted
from ...errors import UsageError
from ...user_files import MACOS
from ..conversation import PART, seconds_of, utc
from .yaml_subset import NotUnderstood, parse

PROGRAM = "aichat"

#: ``# CHAT: summary [2026-11-26T15:30:12+01:00] (role)``
HEADING = re.compile(r"# CHAT: (?P<title>.*) \[(?P<date>\d{4}-\d\d-\d\dT[\d:]+(?:Z|[+-]\d\d:\d\d))\](?: \(.*\))?")
SEPARATOR = "--------"

_RESULT = {"call": Needed({"name": Needed(str), "id": str})}
_CONTENT = OneOf((str, [PART], {"text": str, "tool_results": [_RESULT]}))
_MESSAGES = [{"role": Needed(str), "content": Needed(_CONTENT)}]
SESSION = {"model": Needed(str), "messages": _MESSAGES, "compressed_messages": _MESSAGES, "data_urls": dict}


def default_path(environ):
    """The configuration directory of aichat, which also holds its history."""
    base = os.path.expanduser(MACOS if sys.platform == "darwin" else "~/.config")
    return environ.get("AICHAT_CONFIG_DIR") or os.path.join(environ.get("XDG_CONFIG_HOME") or base, "aichat")


def read(path, problem):
    """Yield every conversation below the directory ``path``, or in the one file that it is."""
    found = [path] if os.path.isfile(path) else _files(path)
    if not found:
        raise UsageError(f"{path} contains no history of aichat: neither messages.md nor sessions/*.yaml.")
    for name in found:
        try:
            with open_file(name) as stream:
                text = stream.read().decode("utf-8")
            yield from (_session if name.endswith(".yaml") else _exchanges)(name, text, problem)
        except OSError as error:
            problem(in_words(error, "cannot be read", name))
        except UnicodeDecodeError as error:
            problem(f"{name}: it is not UTF-8 text (byte {error.start}).")
        except NotUnderstood as error:
            problem(f"{name}, line {error.line}: {error}")


def _files(directory):
    places = [directory, *glob.glob(os.path.join(glob.escape(directory), "agents", "*"))]
    patterns = ("messages.md", os.path.join("sessions", "*.yaml"), os.path.join("sessions", "_", "*.yaml"))
    wanted = [os.path.join(glob.escape(place), pattern) for place in places for pattern in patterns]
    return sorted(name for pattern in wanted for name in glob.glob(pattern))


def _exchanges(path, text, problem):
    """The entries of ``messages.md``, each a conversation of its own.

    The first line of dashes ends the question; the answer may hold such lines, too.
    """
    lines = text.split("\n")
    starts = [number for number, line in enumerate(lines) if HEADING.fullmatch(line) and _may_start(lines, number)]
    if "".join(lines[: starts[0]] if starts else lines).strip():
        problem(f"{path}, line 1: this is not an entry of aichat: it does not begin with # CHAT:")
    seen = collections.Counter()
    for start, end in zip(starts, [*starts[1:], len(lines)]):
        heading, entry = HEADING.fullmatch(lines[start]), "\n".join(lines[start + 1 : end]).rstrip("\n").split("\n")
        if entry.count(SEPARATOR) < 2 or entry[-1] != SEPARATOR:
            problem(f"{path}, line {start + 1}: the end of this entry is missing; it was not imported.")
            continue
        middle = entry.index(SEPARATOR)
        created = seconds_of(heading["date"])
        digest = hashlib.sha256("\n".join(lines[start : start + 1] + entry).encode()).hexdigest()[:16]
        seen[digest] += 1
        messages = [("user", entry[:middle]), ("assistant", entry[middle + 1 : -1])]
        yield {
            "source": f"{PROGRAM}:messages.md:{digest}:{seen[digest]}",
            "title": heading["title"],
            "created": created,
            "messages": [
                {"role": role, "content": "\n".join(part), "created": utc(created)} for role, part in messages
            ],
        }


def _may_start(lines, number):
    """Whether an entry may begin here: at the beginning, or behind the end of another one."""
    return number == 0 or lines[max(number - 2, 0) : number] == [SEPARATOR, ""] or not "".join(lines[:number]).strip()


def _session(path, text, problem):
    """A saved session; its file has no dates but that of its last change."""
    session = parse(text)
    wrong = misfit(session, SESSION)
    if wrong:
        problem(f"{path}: {dotted(wrong[0]) or 'it'}: expected: {wrong[1]}; it is not a session of aichat.")
        return
    changed = os.stat(path).st_mtime
    addresses = session.get("data_urls") or {}
    messages = [
        {**part, "created": utc(changed)}
        for message in [*(session.get("compressed_messages") or ()), *(session.get("messages") or ())]
        for part in _messages(message, addresses)
    ]
    system = None
    if messages and messages[0]["role"] == "system":
        system, *messages = messages
    if messages:
        # Of the content that never changes: a session keeps its name and its first message when it goes on.
        place = os.path.relpath(path, os.path.dirname(os.path.dirname(path)))
        first = hashlib.sha256(json.dumps(messages[0]["content"]).encode()).hexdigest()[:16]
        yield {
            "source": f"{PROGRAM}:{place}:{first}",
            "title": os.path.splitext(os.path.basename(path))[0],
            "model": session["model"],
            "system": system and system["content"],
            "created": changed,
            "messages": messages,
        }


def _messages(message, addresses):
    """A message of a session in the words of a request: a call of tools with its results is several."""
    content = message["content"]
    if isinstance(content, list):
        return [{"role": message["role"], "content": [_part(part, addresses) for part in content]}]
    if isinstance(content, str):
        return [{"role": message["role"], "content": content}]
    calls, results = [], []
    for number, result in enumerate(content.get("tool_results") or ()):
        call, output = result["call"], result.get("output")
        identifier = call.get("id") or f"call_{number}"
        function = {"name": call["name"], "arguments": json.dumps(call.get("arguments") or {}, ensure_ascii=False)}
        calls.append({"id": identifier, "type": "function", "function": function})
        text = output if isinstance(output, str) else json.dumps(output, ensure_ascii=False)
        results.append({"role": "tool", "content": text, "tool_call_id": identifier})
    return [{"role": "assistant", "content": content.get("text") or None, "tool_calls": calls}, *results]


def _part(part, addresses):
    """A part of a content, an image with the file that aichat read it from."""
    url = (part.get("image_url") or {}).get("url", "")
    address = addresses.get(hashlib.sha256(url.encode()).hexdigest())
    if address and "://" in address:
        return {"type": "image_url", "image_url": {"url": address}}
    return {**part, "path": address} if address else part
