# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What a request costs a gateway: processor time and memory, without those of its client and of its host.

docs/scale.md counts with these bounds.
"""

import asyncio
import sys
import tempfile
from pathlib import Path

from support.haproxy import HAPROXY
from support.scripted_server import self_signed

from benchmarks._hosts import gateway_before, timed_hosts
from benchmarks._load import ask, timed
from benchmarks._rows import Row, at_most

REQUESTS, TOGETHER, OPEN, SLOTS = 1500, 8, 100, 128
SMALL, LARGE = 2_000, 300_000
TOKENS = 200
LOOKED_AT, IDLE_SECONDS = 200, 5


def measure():
    if HAPROXY is None or sys.platform != "linux":
        return [Row("gateway: cost", None, at_most(0), "This needs HAProxy, and /proc, which tells what it uses.")]
    return asyncio.run(rows())


async def rows():
    with timed_hosts(1, SLOTS) as hosts, gateway_before(hosts, SLOTS) as gateway:
        small = await cpu_milliseconds(gateway, REQUESTS, timed(SMALL))
        large = await cpu_milliseconds(gateway, REQUESTS // 5, timed(LARGE))
        stream = timed(SMALL, max_tokens=TOKENS, token_seconds=0.005, stream=True)
        streamed = await cpu_milliseconds(gateway, REQUESTS // 10, stream)
    with tempfile.TemporaryDirectory() as directory:
        certificate = self_signed(Path(directory))
        with timed_hosts(1, SLOTS) as hosts, gateway_before(hosts, SLOTS, certificate) as gateway:
            encrypted = await cpu_milliseconds(gateway, REQUESTS // 3, timed(SMALL))
    token = 1000 * (streamed - small) / TOKENS
    return [
        Row("gateway: CPU ms for a request of 2 kB", small, at_most(2), f"{REQUESTS} requests"),
        Row("gateway: CPU ms for a request of 2 kB over TLS", encrypted, at_most(4), "a handshake for each"),
        Row("gateway: CPU ms for a request of 300 kB", large, at_most(10), f"{REQUESTS // 5} requests"),
        Row("gateway: CPU µs for a token of a stream", token, at_most(100), f"{REQUESTS // 10} streams"),
        await checks(),
        await memory("is answered", SMALL, OPEN),
        await memory("waits", SMALL, 1),
        await memory("waits", LARGE, 1),
    ]


async def cpu_milliseconds(gateway, requests, body):
    """Of each of so many ``requests``, a few at a time."""
    numbers = iter(range(requests))

    async def client():
        for _ in numbers:
            answer = await ask(gateway.target, body)
            assert answer.status == 200, answer

    before = gateway.cpu_seconds()
    await asyncio.gather(*(client() for _ in range(TOGETHER)))
    return 1000 * (gateway.cpu_seconds() - before) / requests


async def checks():
    """Of the looks at hosts that nothing is asked of."""
    with timed_hosts(1, SLOTS) as hosts, gateway_before(hosts * LOOKED_AT, SLOTS, check_interval=1) as gateway:
        before = gateway.cpu_seconds()
        await asyncio.sleep(IDLE_SECONDS)
        each = (gateway.cpu_seconds() - before) / (LOOKED_AT * IDLE_SECONDS)
    return Row("gateway: CPU ms for a check of a host", 1000 * each, at_most(1), f"{LOOKED_AT} hosts, each second")


async def memory(what, size, slots):
    """Of each of the OPEN requests that it has at once, at the most. Those without a slot wait, with their bodies."""
    body = timed(size, first_seconds=3 * slots / OPEN, max_tokens=20, token_seconds=0.002, stream=True)
    with timed_hosts(1, SLOTS) as hosts, gateway_before(hosts, slots, queue=OPEN) as gateway:
        before, _ = gateway.memory()
        answers = await asyncio.gather(*(ask(gateway.target, body) for _ in range(OPEN)))
        assert {answer.status for answer in answers} == {200}
        after, most = gateway.memory()
    kept = f"{(after - before) / OPEN / 1000:.0f} kB kept afterwards; {OPEN} at once"
    title = f"gateway: kB of memory for a request of {size // 1000} kB that {what}"
    return Row(title, (most - before) / OPEN / 1000, at_most(100 + 2 * size / 1000), kept)
