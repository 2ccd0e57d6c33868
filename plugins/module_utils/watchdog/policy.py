# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What the watchdog makes of what it sees: values in, values out, no clock, no network, no process.

A server is wedged when its process is there, yet for a bounded number of looks it neither answered nor moved. How many
looks that takes depends on what was seen, since there is a lawful reason for most silences: a model is loaded, a large
batch is computed. Patience is counted in looks and not in seconds: a machine that slept has not been silent.
"""

from __future__ import annotations

import math
from typing import NamedTuple

# What one look sees.
DOWN = "down"  # no process listens
GIVEN_UP = "given up"  # no process listens: the server ended too often, too soon, and is not started any more
LOADING = "loading"  # the server says that it loads its model
SLEEPING = "sleeping"  # the server says that it has unloaded its model, having had nothing to do
WAKING = "waking"  # alive, but all that touches the model waits: it is loaded again, or being unloaded
RESTING = "resting"  # up; nothing was asked that would keep it from unloading its model
ANSWERED = "answered"  # a token came
WORKING = "working"  # slots are at work; whether they move shows beside the look before
SILENT = "silent"  # connected, and no answer came in time
FAILING = "failing"  # it answers that it cannot compute
UNCLEAR = "unclear"  # anything else, from which nothing follows: a wrong key, a refused question

# What the watchdog takes the server's state to be, beside DOWN, GIVEN_UP, LOADING, SLEEPING and UNCLEAR.
ANSWERING = "answering"  # it answers, or works for somebody
DEAF = "deaf"  # it hears nobody, and its slots work on
DOUBTFUL = "doubtful"  # it should have answered, but not for long
RESTARTED = "restarted"  # wedged, and about to be ended so that its manager starts it anew
HELD = "held"  # wedged, and left alone for a while, having been restarted too often

HOUR = 3600.0
CERTAINTY = 1 - 1e-9  # of the whole doubt, whose shares need not add up to exactly 1
SLEEP_CHECK_SECONDS = 2.0  # llama-server looks every second whether it has been idle long enough (server-queue.cpp)


class Settings(NamedTuple):
    """How the watchdog looks and judges.

    ``interval``             seconds between two looks
    ``answer_seconds``       seconds to wait for each answer
    ``looks``                so many looks in a row without a sign of life, and the server is wedged
    ``load_seconds``         how long a server that has not been ready yet, or is waking up, may be silent
    ``stall_seconds``        how long slots that work may stand still: one batch of a long prompt is one step to them
    ``restarts_per_hour``    after so many within an hour the watchdog holds still
    ``idle_unload_seconds``  after how long without work the server unloads its model; None: never
    """

    interval: float = 60.0
    answer_seconds: float = 30.0
    looks: int = 3
    load_seconds: float = 600.0
    stall_seconds: float = 600.0
    restarts_per_hour: int = 3
    idle_unload_seconds: float | None = None

    def looks_in(self, seconds):
        """How many looks ``seconds`` last, but never fewer than any verdict needs."""
        return max(self.looks, math.ceil(seconds / self.interval))

    @property
    def looks_between_tokens(self):
        """1: every look asks for a token. Whatever is asked of a model counts as work for it, so one that is to be
        unloaded when idle is asked so rarely that it gets there: by the next time it sleeps, or somebody else used it.
        """
        if self.idle_unload_seconds is None:
            return 1
        return 1 + int((self.idle_unload_seconds + SLEEP_CHECK_SECONDS) // self.interval)


class Look(NamedTuple):
    """What was seen: the process that the service manager has (an identity of base/processes.py) or None, one of the
    words above, whether the server must have loaded its model to behave so, the work of its slots as (task, prompt
    tokens processed, tokens generated), a reason in words, and when a slot last told of work in the log, as text.
    """

    process: str | None
    seen: str
    loaded: bool = False
    work: tuple = ()
    reason: str = ""
    logged: str = ""


class Memory(NamedTuple):
    """What is remembered from look to look. Times are seconds since 1970."""

    state: str = ""
    since: float = 0.0  # when the state was reached
    reason: str = ""
    until: float | None = None  # when a server that is held may be restarted
    looked: float = 0.0  # when the last look was
    seen: str = ""
    process: str | None = None
    ready: bool = False  # whether this process has had its model loaded
    answered: bool = False  # whether this process has computed anything
    work: tuple = ()
    logged: str = ""  # when a slot last told of work in the log
    doubt: float = 0.0  # how much of the patience with a server that gives no sign of life is used up; 1 is all
    alive: float = 0.0  # when the last look without doubt was
    rested: int = 0  # looks since a token was asked for
    restarts: tuple = ()  # when the restarts of the last hour were


def token_is_due(memory, process, settings):
    """Whether the look at ``process`` should ask for a token."""
    return memory.doubt > 0 or process != memory.process or memory.rested + 1 >= settings.looks_between_tokens


def decide(memory, look, now, settings):
    """(the new :class:`Memory`, whether the process is to be ended now).

    :param memory: what the looks before left. :param look: the :class:`Look` of ``now``, in seconds since 1970.
    """
    if look.process and look.process != memory.process:
        memory = memory._replace(process=look.process, ready=False, answered=False, work=(), doubt=0.0)
    moved = any(_computed(work) and work not in memory.work for work in look.work)
    deaf = _is_deaf(memory, look)
    trouble = not deaf and _is_trouble(memory, look, moved)
    memory = memory._replace(
        looked=now,
        seen=look.seen,
        reason=look.reason,
        ready=memory.ready or look.loaded,
        answered=memory.answered or moved or look.seen == ANSWERED,
        work=look.work or memory.work,
        logged=look.logged or memory.logged,
        rested=memory.rested + 1 if look.seen == RESTING else 0,
        restarts=tuple(moment for moment in memory.restarts if now - HOUR < moment <= now),
    )
    doubt = memory.doubt + 1 / _patience(memory, look, settings) if trouble else 0.0
    if doubt > CERTAINTY and look.process is not None:
        until = _held_until(memory, now, settings)
        state = HELD if until else RESTARTED
    else:
        until, state = None, DEAF if deaf else _state(memory, look, trouble)
    memory = memory._replace(
        state=state,
        since=memory.since if state == memory.state else now,
        until=until,
        doubt=min(doubt, 1.0),
        alive=memory.alive if trouble else now,
        restarts=(*memory.restarts, now) if state == RESTARTED else memory.restarts,
    )
    return memory, state == RESTARTED


def _computed(work):
    _task, prompt_tokens, generated = work
    return prompt_tokens + generated > 0


def _is_deaf(memory, look):
    """Whether nothing at all came over HTTP, and yet a slot has told of work since the last look.

    Strangers who open as many connections as the server takes at a time make it so, whom a restart would serve: it ends
    every request that is at work. When nothing is at work any more, silence counts as ever.
    """
    return look.seen == SILENT and not look.loaded and look.logged not in ("", memory.logged)


def _is_trouble(memory, look, moved):
    """Whether a sign of life was due at this look and did not come."""
    if look.seen == WORKING:
        return not moved
    if look.seen == DOWN:  # of a process that is still there: it closed its port and does not end
        return look.process is not None and memory.ready
    if look.seen == FAILING:  # a restart helps only a server that once could
        return memory.answered
    return look.seen in (SILENT, WAKING)


def _patience(memory, look, settings):
    """How many looks of this kind are too many."""
    if look.seen == WAKING or not memory.ready:
        return settings.looks_in(settings.load_seconds)
    if look.seen == WORKING:
        return settings.looks_in(settings.stall_seconds)
    return settings.looks


def _held_until(memory, now, settings):
    """When the next restart is allowed; None: now.

    After each restart of the last hour the pause before the next is twice as long, and after the last one that the
    hour allows it lasts until the first of them is an hour ago.
    """
    if not memory.restarts:
        return None
    until = memory.restarts[-1] + settings.interval * settings.looks * 2 ** len(memory.restarts)
    if len(memory.restarts) >= settings.restarts_per_hour:
        until = max(until, memory.restarts[-settings.restarts_per_hour] + HOUR)
    return until if until > now else None


def _state(memory, look, trouble):
    """The state of a server that is not wedged."""
    if look.seen in (SLEEPING, LOADING, UNCLEAR, GIVEN_UP):
        return look.seen
    if look.process is not None and not memory.ready:
        return LOADING  # its port is not open yet, or does not answer yet
    if trouble:
        return DOUBTFUL
    return {DOWN: DOWN, FAILING: UNCLEAR}.get(look.seen, ANSWERING)
