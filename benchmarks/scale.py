# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""How many Macs so many users need: the tables of docs/scale.md, which also names the sources of the rates.

The simulation (_fleet_model.py) is checked first: against the formula of Erlang, and against a real gateway in front of
hosts that take as long as its own.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time

from support.haproxy import HAPROXY

from benchmarks._fleet_model import Mac, Simulation, Task, Use, erlang_c, macs_needed, tasks
from benchmarks._hosts import gateway_before, timed_hosts
from benchmarks._load import ask, percentile, timed
from benchmarks._rows import Row, at_most, between

MACS = {
    "M4 mini": Mac(prompt_rate=225, token_rate=20.9, slots=4, token_slowdown=0.5),
    "M1 Max": Mac(prompt_rate=500, token_rate=46.2, slots=4, token_slowdown=0.3),
    "M2 Ultra": Mac(prompt_rate=1024, token_rate=76.3, slots=4, token_slowdown=0.13),
}
USES = {
    "chat": Use(context=2000, new=150, answer=300, pause=60),
    "agent": Use(context=20000, new=1000, answer=300, pause=10),
}
USERS = (10, 30, 100, 300)
BUSY = 0.5
KEPT_TOKENS = 8 * 2**30 / (128 * 1024)  # llama-server's --cache-ram, and what a token of an 8B model takes of it
REQUESTS, COLD = 8000, 2000  # the first ones, whose prompts no host has cached, are left out

HOSTS, SLOTS, SECONDS = 3, 2, 40
PAUSE, PROMPT, ANSWER = 0.3, 0.1, 0.2


def measure():
    return [by_erlang(), *by_a_gateway(), moving_at_once(), *[row for use in USES for row in fleets(use)]]


def by_erlang():
    """One Mac, so many users that one more request does not change how soon the next one comes, and no slowdown."""
    users, slots, answer, load = 1000, 4, 1.0, 3.0
    mac = Mac(prompt_rate=1, token_rate=1, slots=slots, token_slowdown=0)
    use = Use(context=0, new=0, answer=answer, pause=users * answer / load)
    done = Simulation(mac, 1, [tasks(mac, use, seed) for seed in range(users)]).run(40000)
    simulated, formula = share_that_waits(done), erlang_c(slots, load)
    title = "scale: share of requests that wait, simulated / Erlang C"
    return Row(title, simulated / formula, between(0.9, 1.1), f"{simulated:.3f} / {formula:.3f}")


def by_a_gateway():
    if HAPROXY is None:
        return [Row("scale: mean wait, a real gateway / simulated", None, between(0.8, 1.25), "There is no HAProxy.")]
    return [compared(users) for users in (2 * HOSTS * SLOTS, 3 * HOSTS * SLOTS)]


def compared(users):
    """The same users, with the same tasks, in reality and simulated."""
    waited, hosts = asyncio.run(waits(users))
    mac = Mac(prompt_rate=1, token_rate=1, slots=SLOTS, token_slowdown=0, prompt_slowdown=0)
    done = Simulation(mac, HOSTS, [short_tasks(user) for user in range(users)]).run(len(waited))
    simulated, moved = statistics.mean(one.waited for one in done), moves((one.user, one.host) for one in done)
    real = statistics.mean(waited)
    note = f"{1000 * real:.0f} / {1000 * simulated:.0f} ms; moved {moves(hosts):.2f} / {moved:.2f} of {len(waited)}"
    title = f"scale: mean wait of {users} users at {HOSTS} hosts, a real gateway / simulated"
    return Row(title, real / simulated, between(0.8, 1.25), note)


def short_tasks(seed):
    choice = random.Random(seed)
    while True:
        yield Task(choice.expovariate(1 / PAUSE), PROMPT, PROMPT, choice.expovariate(1 / ANSWER))


async def waits(users):
    """(seconds that each request waited at a real gateway, (user, host) of each), in the order of their ends."""
    waited, hosts, end = [], [], time.monotonic() + SECONDS

    async def user(number):
        for task in short_tasks(number):
            await asyncio.sleep(task.pause)
            if time.monotonic() > end:
                return
            body = timed(0, first_seconds=task.cached, token_seconds=task.answer, max_tokens=2)
            answer = await ask(gateway.target, body, f"user {number}")
            assert answer.status == 200, answer
            waited.append(answer.total - task.cached - task.answer)
            hosts.append((number, answer.host))

    with timed_hosts(HOSTS, SLOTS) as targets, gateway_before(targets, SLOTS) as gateway:
        await asyncio.gather(*map(user, range(users)))
    return waited, hosts


def moves(hosts):
    """The share of requests that went to another host than the one before of the same user."""
    last, count, moved = {}, 0, 0
    for user, host in hosts:
        moved += last.get(user, host) != host
        last[user] = host
        count += 1
    return moved / count


def moving_at_once():
    """What it is good for that a conversation waits for its host."""
    mac, users = MACS["M2 Ultra"], 100
    count = macs_needed(mac, USES["agent"], users, 0.6)
    waiting = statistics.mean(one.first for one in simulated("agent", mac, count, users))
    moving = statistics.mean(one.first for one in simulated("agent", mac, count, users, waiting=0))
    title = f"scale: {users} users (agent), {count} x M2 Ultra: mean time to the first token, waiting / moving at once"
    return Row(title, waiting / moving, at_most(1), f"{waiting:.1f} / {moving:.1f} s")


def simulated(use, mac, count, users, waiting=None):
    kept = mac.slots + KEPT_TOKENS // USES[use].context
    everyone = [tasks(mac, USES[use], seed) for seed in range(users)]
    return Simulation(mac, count, everyone, kept, waiting).run(REQUESTS)[COLD:]


def fleets(use):
    """For each Mac and number of users: what the Macs of the formula do."""
    for name, mac in MACS.items():
        for users in USERS:
            count = macs_needed(mac, USES[use], users, BUSY)
            done = simulated(use, mac, count, users)
            first = percentile([one.first for one in done], 0.95)
            rate = statistics.median(mac.token_rate * one.task.answer / (one.total - one.first) for one in done)
            cached = statistics.mean(one.hit for one in done)
            note = f"first token within {first:.1f} s for 95 %; then {rate:.0f} tokens/s; prompts cached {cached:.2f}"
            title = f"scale: {users} users ({use}), {count} x {name}: share of requests that wait"
            yield Row(title, share_that_waits(done), at_most(0.15), note)


def share_that_waits(done):
    return statistics.mean(one.waited > 1e-6 for one in done)
