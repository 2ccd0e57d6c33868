# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Many requests at once, each over a connection of its own, and when the tokens of their answers came."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import time
from typing import NamedTuple

SENT = re.compile(rb'"sent":([\d.]+)')
HOST = re.compile(rb"x-host: *(\S+)", re.IGNORECASE)
SPREAD_SECONDS = 0.5


class Target(NamedTuple):
    """Where requests go: ``address`` and ``port``, ``key``, which they show, and ``tls``, the context of an encrypted
    connection.
    """

    address: str
    port: int
    key: str
    tls: ssl.SSLContext | None = None


class Answer(NamedTuple):
    """``first`` and ``total`` are seconds since the request began; ``late`` is how long each token was on its way."""

    status: int
    host: str
    first: float
    total: float
    late: list
    body: bytes


def timed(size, *, first_seconds=0, token_seconds=0, max_tokens=1, stream=False):
    """A request of about ``size`` bytes to a host of _timed_host.py."""
    times = {"first_seconds": first_seconds, "token_seconds": token_seconds, "max_tokens": max_tokens}
    return {"messages": [{"role": "user", "content": "x" * size}], "model": "tiny", "stream": stream, **times}


async def ask(target, body, conversation="", path="/v1/chat/completions"):
    """The :class:`Answer` of ``target`` to the request ``body``, an object or its bytes."""
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {target.address}\r\nAuthorization: Bearer {target.key}\r\n"
        f"X-LLM-Conversation: {conversation}\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n"
        "Connection: close\r\n\r\n"
    )
    began = time.monotonic()
    reader, writer = await asyncio.open_connection(target.address, target.port, ssl=target.tls)
    try:
        writer.write(head.encode() + text)
        found, received = b"", time.monotonic()
        while b"\r\n\r\n" not in found:
            piece = await reader.read(65536)
            received = time.monotonic()
            if not piece:
                raise ConnectionError(f"{target.address}:{target.port} closed the connection: {found!r}")
            found += piece
        head, _, rest = found.partition(b"\r\n\r\n")
        first, late, pieces = None, [], []
        while True:
            if rest:
                first = first or received - began
                late += [received - float(sent) for sent in SENT.findall(rest)]
                pieces.append(rest)
            rest = await reader.read(65536)
            received = time.monotonic()
            if not rest:
                break
    finally:
        writer.close()
    host = HOST.search(head)
    status = int(head.split(None, 2)[1])
    return Answer(status, host and host[1].decode(), first, received - began, late, b"".join(pieces))


async def closed_loop(clients, seconds, request):
    """The answers that so many ``clients`` get in so many ``seconds``, each to one ``request(client)`` after the other.

    They do not begin at the same moment: requests that come all at once wait for each other.
    """
    end = time.monotonic() + seconds
    answers = []

    async def ask_on(client):
        await asyncio.sleep(SPREAD_SECONDS * client / clients)
        while time.monotonic() < end:
            answer = await request(client)
            if time.monotonic() < end:
                answers.append(answer)

    await asyncio.gather(*map(ask_on, range(clients)))
    return answers


def percentile(values, share):
    """The value below which the ``share`` of the ``values`` is."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]
