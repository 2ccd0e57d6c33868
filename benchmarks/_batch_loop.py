# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The least that sends the requests of a batch, so many at a time: python _batch_loop.py PORT INPUT OUTPUT PARALLEL

No key, no retry, no order, nothing is checked but that an answer is JSON. One connection for each request at a time.
"""

import asyncio
import json
import sys


async def post(streams, path, body):
    """The text that is answered over the connection in ``streams``, which is made where there is none."""
    if not streams:
        streams.extend(await asyncio.open_connection("127.0.0.1", int(sys.argv[1])))
    reader, writer = streams
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    writer.write(head.encode() + b"\r\n\r\n" + body)
    lines = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
    assert b" 200 " in lines[0], lines
    length = next(int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length:"))
    text = await reader.readexactly(length)
    if b"connection: close" in lines:
        writer.close()
        streams.clear()
    return text


async def work(lines, output):
    streams = []
    for line in lines:
        request = json.loads(line)
        answer = json.loads(await post(streams, request["url"], json.dumps(request["body"]).encode()))
        output.write(json.dumps({"custom_id": request["custom_id"], "response": answer}) + "\n")


async def main(source, target, parallel):
    with open(source, encoding="utf-8") as lines, open(target, "w", encoding="utf-8") as output:
        await asyncio.gather(*(work(lines, output) for _ in range(parallel)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[2], sys.argv[3], int(sys.argv[4])))
