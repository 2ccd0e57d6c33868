# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Hosts that compute nothing: each answer takes the time that its request names.

    python _timed_host.py SLOTS ADDRESS:PORT…

A request waits for one of the SLOTS of its host, then ``first_seconds`` until the first token, and ``token_seconds``
until each further one of ``max_tokens``. It is a stream if it asks for one; each piece tells when it was sent.
"""

import asyncio
import functools
import json
import re
import sys
import time

LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
HEAD = b"HTTP/1.1 200 OK\r\nConnection: close\r\nX-Host: %s\r\n"
STREAM = b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
WHOLE = b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"


async def answer(reader, writer, name, slots):
    try:
        head = HEAD % name
        length = LENGTH.search(asked := await reader.readuntil(b"\r\n\r\n"))
        if asked.startswith(b"GET"):
            writer.write(head + WHOLE % (2, b"{}"))
        else:
            body = json.loads(await reader.readexactly(int(length[1])))
            async with slots:
                await generate(writer, head, body)
        await writer.drain()
    except (ConnectionError, asyncio.IncompleteReadError):
        pass  # the client has left
    finally:
        writer.close()


async def generate(writer, head, body):
    due = time.monotonic() + body["first_seconds"]
    tokens = body["max_tokens"]
    if not body.get("stream"):
        await asyncio.sleep(body["first_seconds"] + (tokens - 1) * body["token_seconds"])
        text = json.dumps({"choices": [], "usage": {"prompt_tokens": 8, "completion_tokens": tokens}}).encode()
        writer.write(head + WHOLE % (len(text), text))
        return
    for index in range(tokens):
        await asyncio.sleep(due - time.monotonic())
        due += body["token_seconds"]
        piece = b'data: {"choices":[{"delta":{"content":"token"}}],"sent":%.6f}\n\n' % time.monotonic()
        writer.write((b"" if index else head + STREAM) + b"%x\r\n%b\r\n" % (len(piece), piece))
    writer.write(b"0\r\n\r\n")


async def main(slots, addresses):
    servers = []
    for address in addresses:
        host, _, port = address.partition(":")
        handle = functools.partial(answer, name=address.encode(), slots=asyncio.Semaphore(slots))
        servers.append(await asyncio.start_server(handle, host, int(port), limit=2**23, backlog=1024))
    print("ready", flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2:]))
