# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Runs llama-server for a service manager: writes its log, ends it properly, and holds still when it cannot start.

docs/decisions/0010-a-runner-between-manager-and-server.md says why there is a program in between. The process group
is the runner's own; in it are the server with what it starts, what runs beside it, and a guard. The guard waits for the
end of a pipe that only the runner holds, and then kills the group, itself included: no server outlives a runner that
was killed.

Exit status: 0 after a deliberate stop (SIGTERM, SIGINT) and when holding still, so that no manager starts it again;
otherwise the server's own, or 128 + the number of the signal that ended it; 2 for a configuration that cannot be used.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import resource
import selectors
import signal
import subprocess
import sys
import time

from ..base import processes
from ..base.errors import LlamaCppError, in_words, tell_briefly
from ..base.files import open_own
from ..base.log_lines import LineStamper, own_line
from ..base.rotating_log import RotatingLog
from ..base.wait import wait_until
from ..llama.api_keys import as_variable, read_api_keys
from ..llama.log_causes import diagnose
from ..macos.privacy import advice, guarded_place, why_unreadable
from ..ownership.private_files import refuse_exposed
from . import prerequisites
from .config import read_config
from .crash_loop import RunState, ending

READ_BYTES = 64 * 1024
PIPE_READS = 16  # 1 MiB, the most that a pipe holds (pipe(7); macOS: 64 KiB)
REMEMBERED_CHARACTERS = 32 * 1024  # of what the server said last, where the reason for its end is looked for

#: From the second SIGTERM, on which llama-server ends at once unless it is wedged, to SIGKILL.
KILL_SECONDS = 3

#: From the end of the server until what it started is killed too. Together with ``stop_seconds`` and KILL_SECONDS this
#: has to be less than the service manager's patience.
LEFT_SECONDS = 3

#: Connections and other files that the server may have open. More than llama-server serves at a time (1,024 and a few):
#: below that it would turn in circles instead of letting them wait. Not without end: each that waits takes memory.
OPEN_FILES = 4096

GUARD = ["/bin/sh", "-c", "trap '' HUP INT TERM; read -r _; kill -s KILL 0"]

#: llama-server's options behind which a file with a secret stands.
SECRET_OPTIONS = ("--api-key-file", "--ssl-key-file")

#: The server's environment is what is configured and these. In particular no LLAMA_ARG_* changes it.
INHERITED = (
    *("PATH", "USER", "LOGNAME", "TMPDIR", "TZ", "LANG", "LC_ALL", "LC_CTYPE"),
    "LLAMA_CPP_SERVICE_FINGERPRINT",  # what it was started with, for those who inspect the process
    "SUPERVISOR_SERVER_URL",  # by which service/supervisor/program.py finds what outlived its supervisord
)


def main(arguments):
    """Run the server that ``--config FILE`` describes; returns the exit status."""
    parser = argparse.ArgumentParser(prog="service_runner", description="Run llama-server for a service manager.")
    parser.add_argument("--config", required=True, metavar="FILE", help="JSON file that says what to run and how")
    tell_briefly()
    try:
        config = read_config(parser.parse_args(arguments).config)
        lock = take_lock(config.state_file + ".lock", config.stop_seconds)
    except LlamaCppError as error:
        print(f"service_runner: {error}", file=sys.stderr)
        return 2
    with lock:
        return Runner(config).run()


def take_lock(path, patience):
    """The open lock file ``path``; the kernel drops the lock with the process.

    Nothing is written, so that a full disk is no hindrance. Raises LlamaCppError when another runner still has the
    lock after ``patience`` seconds.
    """

    def taken():
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    try:
        lock = os.fdopen(open_own(path, os.O_WRONLY | os.O_APPEND, 0o600), "ab")
    except OSError as error:
        raise LlamaCppError(f"{in_words(error, 'cannot be opened', path)} Nothing was started.") from None
    if not wait_until(taken, patience):
        lock.close()
        raise LlamaCppError(f"another runner holds {path}, so nothing was started. See: llm-manager status")
    return lock


def _set_limits():
    """Have every service manager give the server as many files, or as many as the system allows, and no core dumps.

    A dump is as large as its memory, at every crash, and holds the key and what people asked.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))


def _for_manager(status):
    """The exit status that tells a service manager of the end ``status`` of the server: never 0."""
    return status if status > 0 else 128 - status


class Runner:
    """One run of the server."""

    def __init__(self, config):
        self._config = config
        self._name = os.path.basename(config.argv[0])
        self._log = RotatingLog(config.log_file, **config.rotation)
        self._stamper = LineStamper()
        fast_exit = config.fast_exit
        self._state = RunState(config.state_file, fast_exit["seconds"], fast_exit["limit"], self._say)
        self._last_words = ""
        self._selector = selectors.DefaultSelector()
        self._signals = None
        self._timers = []  # pairs of a time and what to call then
        self._stopping = False
        self._child = None
        self._beside = None
        self._began = time.monotonic()

    def run(self):
        """From the start of the server to its end; returns the exit status for the manager."""
        if os.getpgrp() != os.getpid():
            os.setpgid(0, 0)
        self._listen_to_signals()
        _set_limits()
        guard = subprocess.Popen(GUARD, stdin=subprocess.PIPE, env={})
        try:
            self._end_predecessor()
            if not self._await_prerequisites():
                return self._give_way()
            status = self._serve()
            return self._conclude(status, time.monotonic() - self._began)
        finally:
            if self._child and self._child.poll() is None:  # only after a failure of the runner itself
                self._child.kill()
                self._child.wait()
            if self._beside:
                self._beside.kill()
                self._beside.wait()
            self._end_what_is_left(guard)
            guard.kill()
            guard.wait()
            self._log.close()

    # -- before -------------------------------------------------------------------------------------------------

    def _listen_to_signals(self):
        """Signals arrive as bytes in a pipe, beside the server's output; their handlers do nothing.

        SIGHUP is one of them because it would end runner and server; there is nothing to reopen or to read again.
        """
        self._signals, sender = os.pipe()
        for descriptor in (self._signals, sender):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(sender, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)
        self._selector.register(self._signals, selectors.EVENT_READ, self._heed_signals)

    def _end_predecessor(self):
        """End the server of an earlier run, should runner and guard both have been killed before they could."""
        left = self._state.predecessor
        if not left or not processes.alive(left["pid"]):
            return
        if left.get("identity"):
            still = processes.identity(left["pid"]) == left["identity"]
        else:  # noted by a runner of 0.1.0
            still = processes.find(lambda one: one.pid == left["pid"] and one.has_arguments(*left["argv"]))
        if still:
            self._say(f"process {left['pid']}, the server of an earlier run, is still there and is ended first")
            processes.end([left["pid"]], self._config.stop_seconds)

    def _await_prerequisites(self):
        """Wait for what the server needs of the network; False when the runner is to stop before it is there."""
        said = None
        while not self._stopping:
            why = prerequisites.missing(self._config)
            if why is None:
                return True
            if why != said:
                self._state.waiting(f"waiting for {why}")
                self._say(f"waiting for {why}")
                said = why
            self._attend_for(prerequisites.POLL_SECONDS)
        return False

    def _give_way(self):
        """End before the server was started, as asked; returns the exit status for the manager."""
        self._say("stopped while waiting, as asked")
        self._state.stopped()
        return 0

    # -- while it runs ------------------------------------------------------------------------------------------

    def _serve(self):
        """Start the server and attend to it until it has ended; returns its exit status, or minus a signal."""
        argv = self._config.argv
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        self._say(f"starting {argv[0]}")
        try:
            keys = self._keys()
            self._require_inputs()
        except LlamaCppError as error:
            self._last_words = own_line(str(error))
            self._say(str(error))
            return 1
        try:
            self._child = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                bufsize=0,
                # A worker that writes to a head that has gone would end by SIGPIPE, which this leaves ignored.
                restore_signals=not self._config.listens_on,
                env={**inherited, **self._config.environment, **keys},
            )
        except OSError as error:
            self._say(f"{argv[0]} cannot be started: {error.strerror}")
            return 127 if isinstance(error, FileNotFoundError) else 126
        self._began = time.monotonic()
        self._state.started(self._child.pid, argv)
        self._start_beside()
        self._call_after(self._config.fast_exit["seconds"], self._state.lasted)
        os.set_blocking(self._child.stdout.fileno(), False)
        self._selector.register(self._child.stdout, selectors.EVENT_READ, self._read)
        while self._child.poll() is None:
            self._attend()
        for _ in range(PIPE_READS):  # what the server left in the pipe; others may hold its other end still
            if not self._read():
                break
        self._write(self._stamper.close())
        return self._child.returncode

    def _keys(self):
        """The variables with the API keys. Raises LlamaCppError: without a usable key nothing is served.

        llama-server takes an empty key file for the wish to be open to all. What it reads itself stays out of its
        environment, which all that it starts would inherit.
        """
        argv = self._config.argv
        for option, path in zip(argv, argv[1:]):
            if option == "--api-key-file":
                read_api_keys(path)
        return {name: as_variable(read_api_keys(path)) for name, path in self._config.key_files.items()}

    def _start_beside(self):
        """Start what is to run beside the server; without it the server runs all the same."""
        if self._config.beside:
            command = [*self._config.beside, str(self._child.pid)]
            quiet = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
            try:
                self._beside = subprocess.Popen(command, env={}, **quiet)
            except OSError as error:
                self._say(f"{command[0]} cannot be started: {error.strerror}")

    def _secrets(self):
        """The files with a secret that the server is given, by its command line or in its environment."""
        argv = self._config.argv
        named = [path for option, path in zip(argv, argv[1:]) if option in SECRET_OPTIONS]
        return dict.fromkeys([*named, *self._config.key_files.values()])

    def _require_inputs(self):
        """Refuse secrets that are open to others, and read a byte of each file without which the server cannot serve.

        This is the place to try it, since launchd is the one who starts it.
        A model that may not be read keeps llama-server loading for ever, without a word. One that is missing does not.
        """
        for path in self._secrets():
            refuse_exposed(path, "the key file")
        for path in self._config.inputs:
            place = guarded_place(path)
            why = why_unreadable(path) if place or os.path.exists(path) else None
            if why:
                raise LlamaCppError(f"{path} cannot be read: {why}. {advice(path, place)}")

    def _attend(self):
        """Wait for output, a signal or the next timer, and see to it."""
        next_time = min((moment for moment, _call in self._timers), default=None)
        patience = None if next_time is None else max(0.0, next_time - time.monotonic())
        for key, _events in self._selector.select(patience):
            key.data()
        for timer in [timer for timer in self._timers if timer[0] <= time.monotonic()]:
            self._timers.remove(timer)
            timer[1]()

    def _call_after(self, seconds, call):
        self._timers.append((time.monotonic() + seconds, call))

    def _read(self):
        """Take what the server has printed; False when there is nothing."""
        output = self._child.stdout
        if output.closed:
            return False
        try:
            data = os.read(output.fileno(), READ_BYTES)
        except BlockingIOError:
            return False
        if not data:
            self._selector.unregister(output)
            output.close()
            return False
        self._write(self._stamper.feed(data))
        return True

    def _heed_signals(self):
        for number in os.read(self._signals, READ_BYTES):
            if number in (signal.SIGTERM, signal.SIGINT):
                self._stop()

    def _stop(self):
        """Ask the server to end. With a request in flight llama-server may not, until it is asked a second time."""
        if not self._stopping:
            self._stopping = True
            self._call_after(self._config.stop_seconds, self._terminate)
            self._call_after(self._config.stop_seconds + KILL_SECONDS, self._kill)
        self._terminate()

    def _terminate(self):
        if self._child:
            self._child.terminate()

    def _kill(self):
        self._say(f"{self._name} does not end on SIGTERM and is killed")
        self._child.kill()

    # -- after --------------------------------------------------------------------------------------------------

    def _conclude(self, status, seconds):
        self._say(f"{self._name} ended {ending(status)} after {seconds:.1f} s{', as asked' if self._stopping else ''}")
        if self._stopping or (status == 0 and not self._config.listens_on):
            self._state.stopped()
            return 0
        lost = prerequisites.missing(self._config) if self._config.workers else None
        if lost:
            self._say(f"lost {lost}")
            self._state.bereft(f"lost {lost}")
            return _for_manager(status)
        why = self._state.failed(status, seconds, self._reason)
        if why:
            self._say(f"holding still until it is started anew (llm-manager start): {why}")
            self._settle()
            return 0
        return _for_manager(status)

    def _end_what_is_left(self, guard):
        """End what the server started and left behind. A router's models end with it, but one that is loading does not
        notice before it has loaded.
        """
        own = os.getpgrp()
        left = processes.find(lambda process: process.group == own and process.pid != guard.pid)
        processes.end([process.pid for process in left], LEFT_SECONDS)

    def _reason(self):
        cause = diagnose(self._last_words.split("\n"))
        return f"{cause.cause}. {cause.remedy}" if cause else f"its last lines are in {self._config.log_file}"

    def _settle(self):
        """Stay until the manager does not take the end for a failed start, unless it wants it now."""
        self._attend_for(self._began + self._config.fast_exit["settle_seconds"] - time.monotonic())

    def _attend_for(self, seconds):
        """Do nothing but heed signals for so long, or until the runner is to stop."""
        until = time.monotonic() + seconds
        self._timers = [(until, lambda: None)]
        while not self._stopping and time.monotonic() < until:
            self._attend()

    # -- the log ------------------------------------------------------------------------------------------------

    def _write(self, text):
        if text:
            self._last_words = (self._last_words + text)[-REMEMBERED_CHARACTERS:]
            self._log.write(text)

    def _say(self, text):
        self._log.write(own_line(text))
