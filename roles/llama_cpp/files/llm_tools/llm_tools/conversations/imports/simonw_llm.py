# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The log of simonw/llm, an SQLite database.

Version 0.36 keeps threads of messages, whose parts refer to fragments and attachments; older versions kept a row with
prompt and answer for each response. A database may have both, and a thread that continues old responses repeats the
last of them. Read as of version 0.36 (llm/migrations.py, llm/logs.py).
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import sqlite3
import sys
import urllib.parse

from ...core.base.errors import LlamaCppError
from ...errors import UsageError
from ...user_files import MACOS
from ..content import media
from ..conversation import seconds_of, utc

PROGRAM = "simonw-llm"
FACTS = ("model", "datetime_utc", "input_tokens", "output_tokens")
TURN_COLUMNS = ("tip_message_hash", *FACTS)
RESPONSE_COLUMNS = ("id", "conversation_id", "prompt", "system", "response", "reasoning", *FACTS)


def default_path(environ):
    """Where simonw/llm keeps its log."""
    elsewhere = environ.get("XDG_CONFIG_HOME") or "~/.config"
    base = os.path.expanduser(MACOS if sys.platform == "darwin" else elsewhere)
    return os.path.join(environ.get("LLM_USER_PATH") or os.path.join(base, "io.datasette.llm"), "logs.db")


def read(path, problem):
    """Yield every conversation of the database ``path``. Raises UsageError if it is not such a database."""
    if not os.path.isfile(path):
        raise UsageError(f"there is no file {path}. Name the database: llm conversations import {PROGRAM} PATH")
    with contextlib.closing(sqlite3.connect(f"file:{urllib.parse.quote(path)}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        try:
            log = Log(connection)
            if not log.tables & {"threads", "responses"}:
                raise UsageError(f"{path} is not a log of simonw/llm: it has neither threads nor responses.")
            yield from _conversations(log, problem)
        except sqlite3.Error as error:
            raise LlamaCppError(f"{path} cannot be read as a log of simonw/llm: {error}.") from error


def _conversations(log, problem):
    threads = {row["id"]: row for row in log.rows("threads")}
    names = {row["id"]: row["name"] for row in log.rows("conversations")}
    for key, responses in itertools.groupby(log.responses(), lambda row: row["conversation_id"] or row["id"]):
        yield from _conversation(log, key, names.get(key), list(responses), threads.pop(key, None), problem)
    for key, thread in threads.items():
        yield from _conversation(log, key, thread["name"], [], thread, problem)


def _conversation(log, key, title, responses, thread, problem):
    try:
        earlier = [message for row in responses for message in log.messages_of_response(row)]
        messages = _joined(_once(earlier), log.messages_of_thread(thread) if thread else [])
    except (LookupError, TypeError, ValueError) as error:
        problem(f"conversation {key} is damaged: {type(error).__name__}: {error}.")
    else:
        yield from _imported(key, title, messages)


def _imported(key, title, messages):
    """The conversation as the arguments of ``add``, or nothing when it has no message but the system prompt."""
    system = None
    if messages and messages[0]["role"] == "system":
        system, *messages = messages
    if not messages:
        return
    dates = [message["created"] for message in messages if message.get("created")] or [utc(0)]
    models = [message["model"] for message in messages if message.get("model")]
    yield {
        "source": f"{PROGRAM}:{key}",
        "title": title,
        "model": models[-1] if models else None,
        "system": system and _text(system),
        "created": seconds_of(dates[0]),
        "messages": [{**message, "created": message.get("created") or dates[0]} for message in messages],
    }


def _once(messages):
    """``messages`` without a system prompt that only repeats the one before it."""
    system, found = None, []
    for message in messages:
        if message["role"] != "system" or message["content"] != system:
            found.append(message)
        if message["role"] == "system":
            system = message["content"]
    return found


def _joined(earlier, later):
    """``later`` behind ``earlier``, without the messages at its beginning that are the last ones of ``earlier``."""
    if later and later[0]["role"] == "system" and earlier:
        later = later[1:]
    same = [_essence(message) for message in earlier], [_essence(message) for message in later]
    for count in range(min(len(earlier), len(later)), 0, -1):
        if same[0][-count:] == same[1][:count]:
            return earlier + later[count:]
    return earlier + later


def _essence(message):
    return message["role"], message.get("content")


def _text(message):
    content = message["content"]
    return content if isinstance(content, str) else "\n".join(part.get("text", "") for part in content)


class Log:
    """The database; tables and columns that older versions did not have are empty."""

    def __init__(self, connection):
        self._connection = connection
        self.tables = {row["name"] for row in self._query("select name from sqlite_master where type = 'table'")}

    def rows(self, table, condition="", values=(), columns=("*",)):
        """The rows of ``table`` as dicts, none if there is no such table."""
        if table in self.tables:
            for row in self._query(f"select {', '.join(columns)} from {table} {condition}", values):
                yield dict(row)

    def responses(self):
        """The responses of older versions, those of one conversation together and in their order."""
        there = {row["name"] for row in self._query("select name from pragma_table_info('responses')")}
        columns = [name for name in RESPONSE_COLUMNS if name in there]
        return self.rows("responses", "order by coalesce(conversation_id, id), id", columns=columns)

    def messages_of_response(self, row):
        """What a response of an older version was asked and answered."""
        facts = {"created": _created(row.get("datetime_utc")), "model": row.get("model")}
        system = self._with_fragments("system_fragments", row["id"], row.get("system"))
        if system:
            yield {"role": "system", "content": system, **facts}
        for result in self.rows("tool_results", "where response_id = ? order by id", [row["id"]]):
            yield {"role": "tool", "content": result["output"], "tool_call_id": result["tool_call_id"], **facts}
        attachments = self.rows(
            "prompt_attachments", 'where response_id = ? order by "order"', [row["id"]], ("attachment_id",)
        )
        parts = [self._attachment(found["attachment_id"]) for found in attachments]
        prompt = self._with_fragments("prompt_fragments", row["id"], row.get("prompt"))
        if prompt or parts:
            yield {"role": "user", "content": _content(prompt, parts), "created": facts["created"]}
        calls = [
            _call(found["tool_call_id"], found["name"], json.loads(found["arguments"] or "{}"))
            for found in self.rows("tool_calls", "where response_id = ? order by id", [row["id"]])
        ]
        usage = _usage(row)
        more = {"reasoning": row.get("reasoning"), "tool_calls": calls or None, "usage": usage}
        yield {"role": "assistant", "content": row.get("response") or "", **more, **facts}

    def messages_of_thread(self, thread):
        """The messages of a thread, the first one first."""
        rows = self.rows("turns", "where thread_id = ?", [thread["id"]], TURN_COLUMNS)
        turns = {row["tip_message_hash"]: row for row in rows}
        found, place, created = [], thread["tip_message_hash"], None
        while place:
            row = next(self.rows("messages", "where hash = ?", [place]), None)
            if row is None:
                raise LookupError(f"the message {place} is missing")
            turn = turns.get(place)
            created = _created(turn["datetime_utc"]) if turn else created  # a question is as old as its answer
            facts = {"model": turn["model"], "usage": _usage(turn)} if turn else {}
            messages = self._messages_of_parts(row)
            found += [{**message, **facts, "created": created} for message in reversed(messages)]
            place = row["parent_hash"]
        return found[::-1]

    def _messages_of_parts(self, message):
        """One message, or one for each result where the parts are results of tools."""
        texts, reasoning, parts, calls, results = [], [], [], [], []
        for part in self.rows("parts", "where message_hash = ? order by position", [message["hash"]]):
            payload = json.loads(part["payload"] or "{}")
            if part["type"] == "text":
                texts.append(self._part_text(part, payload))
            elif part["type"] == "reasoning":
                reasoning.append(self._part_text(part, payload))
            elif part["type"] == "attachment":
                parts.append(self._attachment(payload.get("attachment", {}).get("id")))
            elif part["type"] == "tool_call":
                calls.append(_call(payload.get("tool_call_id"), payload["name"], payload["arguments"]))
            elif part["type"] == "tool_result":
                identifier = payload.get("tool_call_id")
                results.append({"role": "tool", "content": payload["output"], "tool_call_id": identifier})
            else:
                parts.append(_note(part["type"]))
        if results:
            return results
        more = {"reasoning": "".join(reasoning) or None, "tool_calls": calls or None}
        return [{"role": message["role"], "content": _content("".join(texts), parts), **more}]

    def _part_text(self, part, payload):
        """A text of which pieces may be fragments."""
        if part["text"] is not None:
            return part["text"]
        pieces = payload.get("text_ref", [])
        return "".join(
            piece["literal"] if "literal" in piece else self._fragment(piece["fragment"]) for piece in pieces
        )

    def _with_fragments(self, table, response_id, text):
        """The fragments of an older prompt, then its text."""
        used = self.rows(table, 'where response_id = ? order by "order"', [response_id])
        fragments = [self._fragment(row["fragment_id"]) for row in used]
        return "\n".join([*fragments, *([text] if text else [])])

    def _fragment(self, number):
        row = next(self.rows("fragments", "where id = ?", [number]), None)
        return row["content"] if row else _note("fragment that is not in the log")["text"]

    def _attachment(self, name):
        """An attachment as a part; data that is only in the database is noted, but not copied."""
        columns = ("type", "path", "url", "length(content) as size")
        row = next(self.rows("attachments", "where id = ?", [name], columns), None) or {}
        kind, place = row.get("type") or "attachment", row.get("path") or row.get("url")
        if kind.startswith("image/") and row.get("path"):
            return media("image_url", row["path"], name, media_type=kind)
        if kind.startswith("image/") and row.get("url"):
            return {"type": "image_url", "image_url": {"url": row["url"]}}
        return _note(f"{kind}: {place or str(row.get('size') or 0) + ' bytes, not imported'}")

    def _query(self, statement, values=()):
        return self._connection.execute(statement, values)


def _content(text, parts):
    return [*([{"type": "text", "text": text}] if text else []), *parts] if parts else text


def _note(what):
    return {"type": "text", "text": f"[{what}]"}


def _call(identifier, name, arguments):
    function = {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)}
    return {"id": identifier, "type": "function", "function": function}


def _usage(row):
    """Token counts in the words of a response of the server."""
    names = {"input_tokens": "prompt_tokens", "output_tokens": "completion_tokens"}
    return {ours: row[theirs] for theirs, ours in names.items() if row.get(theirs) is not None} or None


def _created(text):
    try:
        return utc(seconds_of(text or ""))
    except ValueError:
        return None
