# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Server-sent events: the documents of a stream, as they come."""

from __future__ import annotations

from .http1 import BadAnswer


def sse_data(stream, most_bytes):
    """The ``data`` of each server-sent event in ``stream`` (a binary file), as text, as soon as it is complete.

    Follows https://html.spec.whatwg.org/multipage/server-sent-events.html: several ``data`` lines of one event are
    joined by a newline, lines starting with a colon are comments (llama-server sends them to keep a silent
    connection open), an event without its final blank line is dropped.
    An event of more than ``most_bytes`` raises BadAnswer.
    Lines are cut as bytes and decoded whole, so a character split between two packets stays one character.
    """
    data, size = [], 0
    for chunk in iter(lambda: stream.readline(most_bytes), b""):
        size += len(chunk)
        if size > most_bytes:
            raise BadAnswer("an event that does not end")
        for line in chunk.splitlines():
            field, _, value = line.decode("utf-8", "replace").partition(":")
            if field == "data":
                data.append(value.removeprefix(" "))
            elif not line:
                if data:
                    yield "\n".join(data)
                data, size = [], 0
