# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Looks after a llama-server that its service manager believes to be well: ends it when it is wedged.

A service manager restarts what has ended. A server that is up and silent has not, so it is made to end: the process
group of the service gets SIGKILL, which a stopped process hears too, and the manager does the rest. That needs no
more than being the same user, under every manager and in every scope (docs/decisions/0011-the-watchdog-kills.md).
"""

from __future__ import annotations

import contextlib
import os
import signal
import time

from ..base import processes
from ..base.errors import LlamaCppError
from ..base.files import read_json, write_json_atomically
from ..base.log_lines import now as timestamp
from ..base.rotating_log import RotatingLog
from ..base.strict_json import LONGEST_SECONDS
from ..base.wait import wait_until
from .policy import GIVEN_UP, HELD, RESTARTED, UNCLEAR, Look, Memory, Settings, decide, token_is_due
from .probe import last_work_logged, look_at

END_SECONDS = 10  # from SIGKILL until the process is gone, unless the kernel holds it
LOG = {"max_bytes": 1_000_000, "keep": 1}  # a line per event: this lasts for years
SHORTEST_SECONDS = 0.01

MEANING = {
    "answering": "the server answers",
    "loading": "the server loads its model",
    "sleeping": "the server sleeps, having had nothing to do",
    "given up": "the service has given up starting its server, and is left alone; to start it: llm-manager start",
    "down": "nobody listens; to start the server is its service manager's part",
    "unclear": "it cannot be told whether the server is well, so nothing is done",
    "deaf": "the server hears nobody, as when too many connections are open, but its slots work on; it is left alone",
    "doubtful": "the server gives no sign of life",
    "restarted": "the server was wedged",
    "held": "the server is wedged, and was restarted so often that it is left alone",
}


class Watchdog:
    """Looks at one server, and remembers what it saw.

    :param connect: returns the :class:`LlamaServer` to look at; called for every look, so that a new API
        key is read. What it raises as LlamaCppError is only reported.
    :param open_service: returns the service; called for every look, since a login may have brought an agent to another
        domain of launchd. Only its ``status()`` is used.
    :param settings: a :class:`watchdog_decision.Settings`.
    :param state_file: what it remembers, as JSON; it goes on from there when it is started anew.
    :param log: one line for each event, behind the time; the events are a change of state and a restart.
    :param model: the model to ask, where a server has several.
    :param purposes: what each model is for (``chat``, ``embedding``, ``rerank``), by name.
    :param server_log: the server's log, in which slots tell of their work when the server can be asked nothing.
    :param why_given_up: returns why the service does not start its server any more, or None while it does.
    """

    def __init__(
        self,
        connect,
        open_service,
        settings,
        state_file,
        log,
        model=None,
        purposes=None,
        server_log=None,
        why_given_up=lambda: None,
    ):
        self._connect = connect
        self._open_service = open_service
        self._settings = settings
        self._state_file = state_file
        self._log = RotatingLog(log, **LOG)
        self._model, self._purposes = model, purposes or {}
        self._server_log = server_log
        self._why_given_up = why_given_up
        self.memory = remembered(state_file)

    def look(self):
        """Look once and do what follows from it; returns the :class:`watchdog_decision.Memory`."""
        before = self.memory
        process = self._process()
        self.memory, restart = decide(before, self._look_at(process), time.time(), self._settings)
        outcome = self._end(process) if restart else ""
        if restart or self.memory.state != before.state:
            self._log.write(f"{timestamp()} {event(self.memory, self._settings, outcome)}\n")
        with contextlib.suppress(OSError):  # a full disk is no reason to leave the server alone
            write_json_atomically(self._state_file, self.memory._asdict())
        return self.memory

    def _process(self):
        """The identity of the process that the manager has for the service, or None."""
        try:
            pid = self._open_service().status()["pid"]
        except LlamaCppError:
            return None
        return processes.identity(pid) if pid else None

    def _look_at(self, process):
        given_up = self._why_given_up()
        if given_up:
            return Look(None, GIVEN_UP, reason=given_up)
        ask = token_is_due(self.memory, process, self._settings)
        sleeps = self._settings.idle_unload_seconds is not None
        try:
            server = self._connect()
            look = look_at(server, process, model=self._model, purposes=self._purposes, ask=ask, sleeps=sleeps)
        except LlamaCppError as error:
            return Look(process, UNCLEAR, reason=str(error))
        return look._replace(logged=last_work_logged(self._server_log) if self._server_log else "")

    def _end(self, process):
        """Kill ``process``, and what it started, if the manager still has it; returns what came of it."""
        pid = int(process.split()[0])
        if self._process() != process:
            return f"process {pid} has ended meanwhile"
        problem = ""
        try:
            if os.getpgid(pid) == pid:
                os.killpg(pid, signal.SIGKILL)
            else:
                os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        except OSError as error:
            problem = f" ({error.strerror})"
        if wait_until(lambda: processes.identity(pid) != process, END_SECONDS):
            return f"process {pid} was killed, so that the service manager starts it anew"
        return f"process {pid} cannot be ended{problem}; restart this machine if it stays"


def remembered(state_file):
    """The :class:`watchdog_decision.Memory` in a state file; a fresh one when there is none that can be used."""
    found = read_json(state_file)
    try:
        memory = Memory(**{name: value for name, value in found.items() if name in Memory._fields})
        return memory._replace(
            work=tuple((task, prompt, generated) for task, prompt, generated in memory.work),
            restarts=tuple(map(float, memory.restarts)),
            until=None if memory.until is None else float(memory.until),
            rested=int(memory.rested),
            **{name: float(getattr(memory, name)) for name in ("since", "looked", "doubt", "alive")},
        )
    except (AttributeError, TypeError, ValueError):
        return Memory()


def settings_from(section):
    """The :class:`watchdog_decision.Settings` in the part ``watchdog`` of client.json; what is missing or null is as
    shipped. Raises LlamaCppError with the first value that cannot be used.
    """
    given = {name: section[name] for name in Settings._fields if section.get(name) is not None}
    for name, value in given.items():
        whole = isinstance(Settings._field_defaults[name], int)
        least = 1 if whole else SHORTEST_SECONDS
        if type(value) not in ((int,) if whole else (int, float)) or not least <= value <= LONGEST_SECONDS:
            kind = "whole number" if whole else "number"
            raise LlamaCppError(f"watchdog.{name}: {value!r} is no {kind} from {least} to {LONGEST_SECONDS}.")
    return Settings(**given)


def event(memory, settings, outcome=""):
    """The state in one line, without the time: ``state: what it means; why; what was done``."""
    words = [MEANING[memory.state], " ".join(memory.reason.split()).rstrip("."), outcome]
    if memory.state in (RESTARTED, HELD) and memory.alive:
        words[0] += f" (no sign of life since {_clock(memory.alive)})"
    if memory.state == RESTARTED:
        words.append(f"restart {len(memory.restarts)} of at most {settings.restarts_per_hour} within an hour")
    if memory.state == HELD:
        words.append(f"not before {_clock(memory.until)} is it restarted again; to restart it now: llm-manager restart")
    return f"{memory.state}: {'; '.join(word for word in words if word)}"


def _clock(moment):
    return time.strftime("%H:%M:%S", time.localtime(moment))
