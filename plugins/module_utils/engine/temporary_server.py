# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""A llama-server of our own for a few seconds: no other settings reach it, and nothing of it stays."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import signal
import subprocess
import tempfile

from ..base.commands import quote_end
from ..base.errors import LlamaCppError
from ..base.log_tail import tail
from ..base.wait import wait_until
from ..llama.client import LlamaServer
from ..llama.errors import NotRunning, ServerError
from ..llama.log_causes import diagnose

SHOWN_LINES = 10
VERSION_SECONDS = 60
TERM_SECONDS = 5  # with a request in flight llama-server may not end on SIGTERM at all

#: llama-server logs its addresses once it is ready (tools/server/server.cpp).
LISTENING = re.compile(r"listening on http://127\.0\.0\.1:(\d+)")

#: Waits for the end of its standard input, which comes when the process that holds the other end is gone.
GUARD = 'read -r _; kill -s KILL -- "-$1"; rm -rf -- "$2"'

START_FAILURES = {
    errno.ENOENT: "Nothing of that name is there, or the loader it asks for is not.",
    errno.EACCES: "It is not executable for this user.",
    errno.ENOEXEC: "It is no program for this system and processor.",
    86: "It was built for another processor.",  # EBADARCH of macOS, sys/errno.h
}
SIGNALS = {
    signal.SIGILL: "it was compiled for a processor with other instructions: build it on this machine",
    signal.SIGKILL: "the system does that when memory runs out, and macOS to a program that was overwritten in place",
    signal.SIGABRT: "on a Mac also when a library that it needs is missing",
}


def check_runs(binary):
    """Raise LlamaCppError, with the reason, when the program ``binary`` does not run on this host at all."""
    try:
        done = subprocess.run(
            [binary, "--version"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=VERSION_SECONDS,
            check=False,
        )
    except OSError as error:
        raise _not_startable(binary, error) from error
    except subprocess.TimeoutExpired as error:
        raise LlamaCppError(f"{binary} --version did not end within {VERSION_SECONDS} s.") from error
    if done.returncode:
        output = quote_end(done.stdout.decode("utf-8", "replace"), SHOWN_LINES)
        raise LlamaCppError(f"{binary} --version {_ending(done.returncode)}.\n{output}".rstrip())


def _not_startable(binary, error):
    reason = START_FAILURES.get(error.errno, "")
    return LlamaCppError(f"{binary} cannot be started: {error.strerror}. {reason}".rstrip())


def _ending(code):
    """How a process ended, from its return code as ``subprocess`` gives it."""
    if code >= 0:
        return f"ended with exit status {code}"
    meaning = SIGNALS.get(-code)
    return f"was ended by {signal.Signals(-code).name}" + (f" ({meaning})" if meaning else "")


class TemporaryServer:
    """Context manager that lends the :class:`LlamaServer` of a llama-server started for the block.

    The server chooses its port itself, so there is none to lose to another program. It has a private HOME and
    XDG_CONFIG_HOME (a stray llama.cpp/config.ini would change it) and none of our LLAMA_* variables. It ends with the
    block, and soon after this process if that is killed.

    :param binary: path of llama-server.
    :param model: path of the GGUF file.
    :param arguments: further arguments of llama-server, as a list of text.
    :param environment: further environment variables, as a dict.
    :param timeout: seconds to wait until the model is loaded, and later for the next bytes of an answer.
    :raises LlamaCppError: when it cannot start, ends, or is not ready in time; also when it fails during the block.
        The cause, as far as the log tells it, and the last lines of the log are in the text.
    """

    def __init__(self, binary, model, arguments=(), environment=None, timeout=60):
        self._command = [binary, "--model", model, "--host", "127.0.0.1", "--port", "0", *arguments]
        self._environment = environment or {}
        self._timeout = timeout
        self._process = None
        self._guard = None
        self._directory = None

    def __enter__(self):
        self._directory = tempfile.mkdtemp(prefix="llama-server.")
        try:
            self._start()
            return self._wait()
        except BaseException:
            self._clean_up()
            raise

    def __exit__(self, kind, failure, traceback):
        try:
            if isinstance(failure, ServerError):
                raise LlamaCppError(f"{failure}\n{self._evidence()}") from failure
        finally:
            self._clean_up()

    @property
    def _log(self):
        return os.path.join(self._directory, "server.log")

    def _start(self):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("LLAMA_")}
        environment.update(HOME=self._directory, XDG_CONFIG_HOME=self._directory, **self._environment)
        try:
            with open(self._log, "wb") as log:
                self._process = subprocess.Popen(
                    self._command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=environment,
                    start_new_session=True,
                )
        except OSError as error:
            raise _not_startable(self._command[0], error) from error
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", GUARD, "sh", str(self._process.pid), self._directory],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _wait(self):
        """The client of the server, once that is ready."""
        server = wait_until(self._ready_server, self._timeout, poll=0.02)
        if not server:
            raise LlamaCppError(f"{self._command[0]} was not ready after {self._timeout:g} s.\n{self._evidence()}")
        return server

    def _ready_server(self):
        if self._process.poll() is not None:
            ending = _ending(self._process.returncode)
            raise LlamaCppError(f"{self._command[0]} {ending} before it was ready.\n{self._evidence()}")
        address = LISTENING.search(tail(self._log))
        if not address:
            return None
        server = LlamaServer(f"http://127.0.0.1:{address[1]}", timeout=self._timeout)
        with contextlib.suppress(NotRunning):  # it is ending: the next look finds out how
            return server if server.health() == "ready" else None
        return None

    def _evidence(self):
        """Cause, remedy and last lines, from the log."""
        log = tail(self._log)
        cause = diagnose(log.splitlines())
        found = f"Cause: {cause.cause}. {cause.remedy}\n" if cause else ""
        return found + (f"Its last lines:\n{quote_end(log, SHOWN_LINES)}" if log.strip() else "It logged nothing.")

    def _clean_up(self):
        if self._process:
            self._end_process()
        if self._guard:
            self._guard.kill()
            self._guard.stdin.close()
            self._guard.wait()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _end_process(self):
        for number, seconds in ((signal.SIGTERM, TERM_SECONDS), (signal.SIGKILL, None)):
            if self._process.poll() is not None:  # its id may be another's by now
                return
            with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: EPERM for a group of zombies
                os.killpg(self._process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
