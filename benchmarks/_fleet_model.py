# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""A fleet behind a gateway on paper: a formula for the number of Macs, and a simulation of what users then wait for.

A Mac computes up to ``slots`` requests at once. A request is first its prompt, then its answer; each takes some seconds
on a Mac that does nothing else, and more next to others: with k requests at once, 1 + slowdown × (k - 1) times as much.
A prompt keeps the GPU busy alone (slowdown 1). Tokens of several answers are computed together, at little more than the
time of one, as long as it is memory that limits them.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections import OrderedDict, deque
from typing import NamedTuple


class Mac(NamedTuple):
    """``prompt_rate`` and ``token_rate`` are tokens per second of one request alone."""

    prompt_rate: float
    token_rate: float
    slots: int
    token_slowdown: float
    prompt_slowdown: float = 1


class Use(NamedTuple):
    """What a user does, on average: a prompt has ``context`` tokens, of which ``new`` were not in the one before; the
    answer has ``answer`` tokens; the next prompt comes ``pause`` seconds after it.
    """

    context: float
    new: float
    answer: float
    pause: float


class Task(NamedTuple):
    """Seconds: ``pause`` before it; its prompt, cached and not; its answer."""

    pause: float
    cached: float
    uncached: float
    answer: float


class Done(NamedTuple):
    """``waited``, ``first`` and ``total`` are seconds from the request until it was begun, gave its first token, and
    was complete; ``hit``: its prompt was cached; ``host``: the index of its Mac.
    """

    user: int
    task: Task
    host: int
    hit: bool
    waited: float
    first: float
    total: float


def seconds_of_mac(mac, use):
    """How long one request keeps a Mac busy whose slots are all in use."""
    gain = mac.slots / (1 + mac.token_slowdown * (mac.slots - 1))
    return use.new / mac.prompt_rate + use.answer / (mac.token_rate * gain)


def macs_needed(mac, use, users, busy):
    """So many Macs that each is ``busy`` for at most that share of the time."""
    seconds = seconds_of_mac(mac, use)
    return math.ceil(users * seconds / (busy * (use.pause + mac.slots * seconds)))


def erlang_c(servers, load):
    """The share of requests that wait where so many ``servers`` have a ``load``: arrivals per second × seconds each."""
    blocked = 1.0
    for count in range(1, servers + 1):
        blocked = load * blocked / (count + load * blocked)
    return blocked / (1 - load / servers * (1 - blocked))


def tasks(mac, use, seed):
    """Endless tasks of one user: answers and pauses vary as widely as if each moment were as likely to be their end."""
    choice = random.Random(seed)
    while True:
        answer = choice.expovariate(1 / use.answer) / mac.token_rate
        pause = choice.expovariate(1 / use.pause)
        yield Task(pause, use.new / mac.prompt_rate, use.context / mac.prompt_rate, answer)


class Simulation:
    """Users that each have a conversation, a gateway that decides as docs/gateway.md describes, and equal Macs.

    :param mac: each of the Macs.
    :param count: how many there are.
    :param users: for each user, an iterator of its tasks.
    :param kept: of how many conversations a Mac keeps the prompts.
    :param waiting: how many requests may wait for a Mac before its conversations move to another one.
    """

    def __init__(self, mac, count, users, kept=math.inf, waiting=None):
        self.mac, self._users, self._kept = mac, users, kept
        self._most = mac.slots + (mac.slots if waiting is None else waiting)
        self._hosts = [_Host(index, mac) for index in range(count)]
        self._home, self._queue, self._events = {}, deque(), []
        self._order = itertools.count()
        self.done = []

    def run(self, requests):
        """What became of the first so many requests that were answered, in the order of their ends."""
        for user in range(len(self._users)):
            self._think(0.0, user)
        while len(self.done) < requests:
            now, _, what, version = heapq.heappop(self._events)
            if isinstance(what, _Host):
                if version == what.version:
                    self._progress(now, what)
            else:
                self._arrive(now, what)
        return self.done

    def _at(self, time, what, version=0):
        heapq.heappush(self._events, (time, next(self._order), what, version))

    def _think(self, now, user):
        task = next(self._users[user])
        self._at(now + task.pause, _Request(user, task, now + task.pause))

    def _arrive(self, now, request):
        host = self._home.get(request.user)
        if host is None or host.load() >= self._most:
            # Where least is done; of several, the one that was chosen longest ago.
            host = min(self._hosts, key=lambda host: (host.load(), host.chosen))
        if host.load() >= self._most:
            self._queue.append(request)
            return
        host.chosen = next(self._order)
        self._send(request, host)
        if len(host.active) < self.mac.slots:
            self._begin(now, host, request)
        else:
            host.queue.append(request)

    def _send(self, request, host):
        before, self._home[request.user] = self._home.get(request.user), host
        if before not in (None, host):
            before.forget(request.user)  # its cache lacks what comes now

    def _begin(self, now, host, request):
        host.advance(now)
        request.begin(now, host.remember(request.user, self._kept))
        host.active.append(request)
        self._schedule(now, host)

    def _schedule(self, now, host):
        host.version += 1
        if host.active:
            self._at(now + host.next_change(), host, host.version)

    def _progress(self, now, host):
        host.advance(now)
        for request in [request for request in host.active if request.is_over(now)]:
            host.active.remove(request)
            self.done.append(request.outcome(now, host.index))
            self._think(now, request.user)
            self._fill(now, host)
        self._schedule(now, host)

    def _fill(self, now, host):
        """Give a free slot to what has waited longest, for this host or for any."""
        queues = [queue for queue in (host.queue, self._queue) if queue]
        if queues:
            request = min(queues, key=lambda queue: queue[0].came).popleft()
            self._send(request, host)
            self._begin(now, host, request)


class _Request:
    def __init__(self, user, task, came):
        self.user, self.task, self.came = user, task, came
        self.prompt = self.answer = 0.0
        self.hit, self.began, self.first = False, None, None

    def begin(self, now, hit):
        self.hit, self.began = hit, now
        self.prompt = self.task.cached if hit else self.task.uncached
        self.answer = self.task.answer

    def is_over(self, now):
        """Whether nothing of it is left to compute; notes when its prompt was done."""
        if self.prompt <= 1e-9 and self.first is None:
            self.first = now
        return self.prompt <= 1e-9 and self.answer <= 1e-9

    def outcome(self, now, host):
        times = (moment - self.came for moment in (self.began, self.first, now))
        return Done(self.user, self.task, host, self.hit, *times)


class _Host:
    def __init__(self, index, mac):
        self.index, self._mac = index, mac
        self.active, self.queue = [], deque()
        self._caches = OrderedDict()
        self.version, self.chosen = 0, -1
        self._computed_until = 0.0

    def load(self):
        return len(self.active) + len(self.queue)

    def remember(self, user, kept):
        """Whether the prompt of the user's conversation is cached; from now on it is, as long as it is of the last."""
        hit = user in self._caches
        self._caches[user] = True
        self._caches.move_to_end(user)
        if len(self._caches) > kept:
            self._caches.popitem(last=False)
        return hit

    def forget(self, user):
        self._caches.pop(user, None)

    def _slow(self):
        """How much longer a second of a prompt takes now, and one of an answer."""
        others = len(self.active) - 1
        return 1 + self._mac.prompt_slowdown * others, 1 + self._mac.token_slowdown * others

    def next_change(self):
        prompts, answers = self._slow()
        return min(one.prompt * prompts if one.prompt > 1e-9 else one.answer * answers for one in self.active)

    def advance(self, now):
        """Compute until ``now``."""
        passed, self._computed_until = now - self._computed_until, now
        prompts, answers = self._slow()
        for request in self.active:
            if request.prompt > 1e-9:
                request.prompt -= passed / prompts
            else:
                request.answer -= passed / answers
