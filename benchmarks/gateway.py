# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What a gateway adds and keeps: time to a token, throughput of three hosts, prompts that are cached.

What is about time alone is measured with hosts that compute nothing (_timed_host.py): three llama-servers and what asks
them share the processors of this machine. All are asked directly and through the gateway in turns. The network between
the machines is not part of it, and what else this machine does is: a busy Linux machine measures the added time with
`chrt -r 5 python -m benchmarks gateway`.
"""

import asyncio
import itertools
import json
import random
import secrets
import statistics

from support.haproxy import HAPROXY

from benchmarks._hosts import gateway_before, real_hosts, timed_hosts
from benchmarks._load import ask, closed_loop, percentile, timed
from benchmarks._rows import Row, at_least, at_most

STREAMS, ROUNDS, SECONDS = 50, 6, 2.5
LARGE_STREAMS = 25
HOSTS, SLOTS, CLIENTS = 3, 4, 8  # clients of each host: half of them wait
CONVERSATIONS, TURNS = 4, 6
SMALL, LARGE = 2_000, 300_000
LONG = [{"role": "user", "content": "Count from one to ten."}]


def measure():
    if HAPROXY is None:
        return [Row("gateway", None, at_most(0), "There is no HAProxy on this machine.")]
    return asyncio.run(rows())


async def rows():
    times = [*await added_latency(STREAMS, SMALL, 5), *await added_latency(LARGE_STREAMS, LARGE, 10)]
    return [*times, await timed_throughput(), await real_throughput(), await cached_prompts()]


async def added_latency(streams, size, limit):
    """Of the first token: from the request on. Of the others: from when the host sent it."""
    slots = 2 * streams  # so none waits for one that was just left
    first, late = [], []
    with timed_hosts(1, slots) as (host,), gateway_before([host], slots) as gateway:
        for _ in range(ROUNDS):
            direct, through = await latencies(host, streams, size), await latencies(gateway.target, streams, size)
            first.append((direct[0], through[0]))
            late.append((direct[1], through[1]))
    which = f"token, p99 of {streams} streams after {size // 1000} kB each"
    return [
        added(f"gateway: ms added to the first {which}", first, limit),
        added(f"gateway: ms added to each further {which}", late, limit),
    ]


async def latencies(target, streams, size):
    """(milliseconds to each first token, those that each other token was on its way)."""
    choice = random.Random(1)
    first, late = [], []

    async def request(client):
        body = timed(size, first_seconds=choice.uniform(0.1, 0.3), token_seconds=0.04, max_tokens=10, stream=True)
        return body, good(await ask(target, body, f"client {client}"))

    for body, answer in await closed_loop(streams, 2 * SECONDS, request):
        first.append(1000 * (answer.first - body["first_seconds"]))
        late += [1000 * seconds for seconds in answer.late[1:]]
    return first, late


def added(title, rounds, limit):
    """The difference of the 99th percentiles in the middle one of the ``rounds``: a few are of something else."""
    differences = sorted(percentile(through, 0.99) - percentile(direct, 0.99) for direct, through in rounds)
    direct, through = (list(itertools.chain(*times)) for times in zip(*rounds))
    median = percentile(through, 0.5) - percentile(direct, 0.5)
    note = f"rounds {', '.join(f'{one:.1f}' for one in differences)}; median {median:.2f} more; {len(through)} times"
    return Row(title, statistics.median(differences), at_most(limit), note)


async def timed_throughput():
    body = timed(SMALL, first_seconds=0.1, token_seconds=0.01, max_tokens=20)
    with timed_hosts(HOSTS, SLOTS) as hosts, gateway_before(hosts, SLOTS) as gateway:
        alone = [await rate(lambda _client, host=host: ask(host, body), CLIENTS) for host in hosts]
        through = await rate(lambda client: ask(gateway.target, body, f"client {client}"), HOSTS * CLIENTS)
    title = f"gateway: requests/s of {HOSTS} timed hosts / sum of each alone"
    return Row(title, through / sum(alone), at_least(0.9), f"{through:.1f} of {sum(alone):.1f}")


async def real_throughput():
    body = {"model": "tiny", "messages": LONG, "max_tokens": 160, "ignore_eos": True, "temperature": 0}
    with real_hosts(HOSTS, SLOTS) as hosts, gateway_before(hosts, SLOTS) as gateway:
        alone = [await rate(lambda _client, host=host: ask(host, body), CLIENTS) for host in hosts]
        direct, through = [], []
        for _ in range(ROUNDS):
            direct.append(await rate(lambda client: ask(hosts[client % HOSTS], body), HOSTS * CLIENTS))
            through.append(await rate(lambda client: ask(gateway.target, body, f"client {client}"), HOSTS * CLIENTS))
    title = f"gateway: requests/s of {HOSTS} llama-servers / of the same at once without it"
    note = f"{sum(through) / ROUNDS:.1f} of {sum(direct) / ROUNDS:.1f}; sum of each alone {sum(alone):.1f}"
    return Row(title, sum(through) / sum(direct), at_least(0.9), note)


async def cached_prompts():
    """Conversations of several turns at once, as many for each host as it has slots."""
    turns = itertools.count()
    with real_hosts(HOSTS, SLOTS) as hosts, gateway_before(hosts, SLOTS) as gateway:
        one = await share_cached(hosts[0], CONVERSATIONS, "{conversation}".format)
        kept = await share_cached(gateway.target, HOSTS * CONVERSATIONS, "{conversation}".format)
        lost = await share_cached(gateway.target, HOSTS * CONVERSATIONS, lambda **_: f"turn {next(turns)}")
    title = f"gateway: cached share of prompts, {HOSTS} hosts / one host"
    note = f"{kept:.2f} / {one:.2f}; {lost:.2f} if each turn is a conversation of its own"
    return Row(title, kept / one, at_least(0.9), note)


async def share_cached(target, conversations, name_of):
    """The share of all prompt tokens that came from the cache."""
    usages = itertools.chain(*await asyncio.gather(*(talk(target, name_of) for _ in range(conversations))))
    tokens = [(usage["prompt_tokens_details"]["cached_tokens"], usage["prompt_tokens"]) for usage in usages]
    return sum(cached for cached, _ in tokens) / sum(prompt for _, prompt in tokens)


async def talk(target, name_of):
    """What the turns of a conversation used that has nothing in common with any other.

    It is one of raw text: the template of the self-test model leaves all but the last message out.
    """
    conversation = secrets.token_hex(24)
    prompt, usages = conversation, []
    for _ in range(TURNS):
        body = {"model": "tiny", "prompt": prompt, "max_tokens": 8, "temperature": 0}
        answer = json.loads(good(await ask(target, body, name_of(conversation=conversation), "/v1/completions")).body)
        prompt += answer["choices"][0]["text"] + " Thank you!"
        usages.append(answer["usage"])
        await asyncio.sleep(random.uniform(0, 0.2))  # it is read; the order of conversations changes
    return usages


async def rate(request, clients):
    """Answers in a second, with so many clients that ask without a pause."""
    answers = await closed_loop(clients, SECONDS, request)
    return len([good(answer) for answer in answers]) / SECONDS


def good(answer):
    assert answer.status == 200, answer
    return answer
