# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""One program under one supervisord: the service where there is no launchd.

supervisord is started with an environment of its own, never with that of the user who runs the play: llama-server takes
settings from LLAMA_ARG_* variables. Its children carry SUPERVISOR_SERVER_URL (supervisor/process.py), by which a
server that outlived a killed supervisord is found again and ended before a new one starts.
"""

from __future__ import annotations

import os
import pwd
import re
import shlex
import signal
import subprocess

from ...base import commands, log_tail, processes
from ...base.definition import Definition
from ...base.errors import LlamaCppError
from ...base.files import make_directories, require_private
from ...base.wait import stays, wait_until
from ..manager import ServiceManager
from . import rpc
from .config import SupervisorConfig

GRACE_SECONDS = 10  # what supervisord itself may take on top of what its program takes
UP = ("STARTING", "RUNNING")
DOWN = ("STOPPED", "EXITED", "FATAL", "UNKNOWN")
# "exited: llama-server (exit status 1; not expected)", "stopped: … (terminated by SIGKILL)": supervisor/process.py
_EXIT = r"(?:exited|stopped): %s \((?:exit status (\d+)|terminated by SIG(\w+))"


class Supervisor(ServiceManager):
    """The service ``program`` as told by the supervisord.conf ``definition``.

    :param supervisord: path of the supervisord program; needed to start, not to look.
    :param settle: seconds that a started program must keep its pid; None: as long as the configuration's
        ``startsecs`` says.
    :param report: called with a few words at each stage of a change.
    """

    def __init__(self, program, definition, supervisord=None, settle=None, report=lambda stage: None):
        self.name = program
        self.definition = Definition(definition)
        self._supervisord = supervisord
        self._settle = settle
        self._report = report

    def check_definition(self, content):
        SupervisorConfig(content, self.definition.path, self.name)

    def status(self):
        config = self._config(required=False)
        info = self._info(config) if config else None
        state = info["statename"] if info else ("no supervisord" if config else "absent")
        running = state in UP and info["pid"] > 0
        return {
            "installed": config is not None,
            "running": running,
            "pid": info["pid"] if running else None,
            "state": state,
            "last_exit": self._last_exit(config) if config else None,
        }

    def active(self):
        """Whether anything of this service runs or is about to."""
        config = self._config(required=False)
        if config is None:
            return bool(self._daemons())
        info = self._info(config)
        return bool(info and info["statename"] not in DOWN) or bool(self._strays(config, info))

    def drifted(self):
        """Whether supervisord runs something else than the file says, or a second server runs beside it.

        Asks supervisord to read its file again, which changes nothing that runs.
        """
        config = self._config()
        if not self._ready(config):
            return False
        try:
            changes = rpc.call(config.socket, "reloadConfig")[0]
        except rpc.Fault as fault:
            raise LlamaCppError("supervisord cannot read %s: %s" % (self.definition.path, fault.faultString)) from None
        return any(changes) or bool(self._strays(config, self._info(config)))

    def deviations(self):
        """There are none: supervisord has no memory besides its file and its programs."""
        return []

    def correct(self):
        """There is nothing to be put right."""

    def start(self):
        """Start what is not running, supervisord included, and prove that it stays; a running program is left alone."""
        config = self._config()
        if not self._ready(config):
            self.clear()
            self._launch(config)
        info = self._info(config)
        self._end(self._strays(config, info), config)
        if info is None:
            raise LlamaCppError(
                "supervisord runs but does not know the program %s, which %s names. Start it anew with the file: "
                "stop the service, then start it." % (self.name, self.definition.path)
            )
        if info["statename"] not in UP:
            self._report("starting")
            self._stop_program(config)
            self._try(config, "startProcess", self.name, False)
        self.prove()

    def prove(self):
        """Wait until the program is up and keeps its pid; raises LlamaCppError with its last words otherwise."""
        config = self._config()
        self._report("waiting until it stays up")
        enough = "RUNNING" if self._settle is None else UP
        seen = {}

        def decided():
            seen.update(self._info(config) or {"statename": "no supervisord", "pid": 0})
            return seen["statename"] in enough or seen["statename"] not in UP

        wait_until(decided, config.start_seconds + GRACE_SECONDS)
        pid = seen["pid"] if seen["statename"] in enough else 0
        if not pid or not stays(lambda: self._pid(config) == pid, self._settle or 0):
            raise LlamaCppError(self._failure(config))

    def stop(self):
        """Stop the program; supervisord stays, and the program stays stopped until somebody starts it."""
        config = self._config()
        self._report("stopping")
        self._stop_program(config)
        self._end(self._strays(config, None), config)

    def restart(self):
        """Start anew with what the file says now, supervisord included."""
        self._config()
        self.clear()
        self.start()

    def clear(self):
        """End everything of this service: the program, supervisord, and what an earlier one left behind."""
        config = self._config(required=False)
        self._report("stopping")
        daemons = set(self._daemons())
        if config is None:
            processes.end(daemons, GRACE_SECONDS)
            return
        try:
            daemons.add(rpc.call(config.socket, "getPID"))
            rpc.call(config.socket, "shutdown")
        except (rpc.NoAnswer, rpc.Fault):
            pass  # it does not run, has lost its socket, or is shutting down already
        else:
            patience = config.stop_seconds + GRACE_SECONDS
            wait_until(lambda: not any(processes.alive(pid) for pid in daemons), patience)
        self._end(daemons, config)
        self._end(self._strays(config, None), config)
        for leftover in (config.socket, config.pid_file):
            if os.path.lexists(leftover):
                os.unlink(leftover)

    # -- supervisord -------------------------------------------------------------------------------------------

    def _config(self, required=True):
        config = SupervisorConfig.read(self.definition.path, self.name)
        if config is None and required:
            raise LlamaCppError(
                "The service %s is not installed: there is no %s. Install it with the play's tag llm_service."
                % (self.name, self.definition.path)
            )
        if config is not None:  # below /tmp another user may have made it first, with a socket that does not answer
            require_private(os.path.dirname(config.socket))
        return config

    def _ready(self, config):
        """Whether a supervisord takes orders; one that is shutting down refuses every call."""
        try:
            return bool(rpc.call(config.socket, "getState"))
        except (rpc.NoAnswer, rpc.Fault):
            return False

    def _launch(self, config):
        """Start supervisord; it goes into the background once its socket is open."""
        if not self._supervisord or not os.access(self._supervisord, os.X_OK):
            raise LlamaCppError(
                "supervisord is not at %s, so %s was not started. Install it (pip install supervisor) or correct the "
                "path." % (self._supervisord, self.name)
            )
        self._report("starting supervisord")
        for file in (config.pid_file, config.log):
            make_directories(os.path.dirname(file))
        make_directories(os.path.dirname(config.socket), 0o700)
        require_private(os.path.dirname(config.socket))
        done = subprocess.run(
            self._command("supervisord"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/",
            env=_environment(),
            check=False,
        )
        if not wait_until(lambda: self._ready(config), GRACE_SECONDS if done.returncode == 0 else 1):
            raise LlamaCppError(
                "supervisord did not start (exit %d): %s\n%s"
                % (done.returncode, done.stdout.decode("utf-8", "replace").strip(), log_tail.quote_log(config.log))
            )

    def _command(self, module):
        """The words that start a program of supervisor. Not its console script: where the path is long or holds a
        blank, the first line of that is one for /bin/sh, which expands whatever stands in the path."""
        # -X utf8: paths in the file are read as what they are, whatever the locale
        return [commands.python_beside(self._supervisord or ""), "-I", "-X", "utf8", *self._words(module)]

    def _words(self, module):
        return ["-m", "supervisor." + module, "-c", self.definition.path]

    def _daemons(self):
        """Every supervisord that was started with our file, answering or not."""
        if not self._supervisord:
            return []
        # As it is started now, wherever its Python is, and by its console script as 0.1.0 did.
        known = self._words("supervisord"), [self._supervisord, "-c", self.definition.path]
        return [process.pid for process in processes.find(lambda p: any(p.has_arguments(*words) for words in known))]

    def _strays(self, config, info):
        """Servers started by a supervisord on our socket, except the one (a process group) that it has now."""
        now = info["pid"] if info else 0
        url = "unix://" + os.path.normpath(config.socket)
        return [
            process.pid
            for process in processes.find(lambda p: p.has_environment("SUPERVISOR_SERVER_URL", url))
            if not now or process.group != now
        ]

    def _end(self, pids, config):
        left = processes.end(pids, config.stop_seconds + GRACE_SECONDS) if pids else []
        if left:
            raise LlamaCppError(
                "Process %s of the service %s does not end, not even by SIGKILL. Nothing new was started; "
                "restart this machine if it stays." % (", ".join(map(str, left)), self.name)
            )

    # -- the program -------------------------------------------------------------------------------------------

    def _info(self, config):
        """What supervisord says about the program (supervisord.org/api.html, getProcessInfo), or None."""
        try:
            return rpc.call(config.socket, "getProcessInfo", self.name)
        except (rpc.NoAnswer, rpc.Fault):
            return None

    def _pid(self, config):
        info = self._info(config)
        return info["pid"] if info and info["statename"] in UP else None

    def _stop_program(self, config):
        def down():
            info = self._info(config)
            return info is None or info["statename"] in DOWN

        if down():
            return
        self._try(config, "stopProcess", self.name, False)
        if not wait_until(down, config.stop_seconds + GRACE_SECONDS):
            raise LlamaCppError(
                "supervisord has not ended %s within %d s, although it kills after %d s."
                % (self.name, config.stop_seconds + GRACE_SECONDS, config.stop_seconds)
            )

    def _try(self, config, method, *arguments):
        try:
            return rpc.call(config.socket, method, *arguments)
        except rpc.Fault as fault:
            if fault.faultString.startswith(("NOT_RUNNING", "ALREADY_STARTED")):  # it got there by itself meanwhile
                return None
            raise LlamaCppError(
                "%s\nsupervisord refused %s: %s" % (self._failure(config), method, fault.faultString)
            ) from None

    def _last_exit(self, config):
        """How the program last ended: its exit status, or minus the signal's number; None when it never did."""
        ends = re.findall(_EXIT % re.escape(self.name), log_tail.tail(config.log))
        if not ends:
            return None
        status, name = ends[-1]
        return int(status) if status else -int(getattr(signal, "SIG" + name, 0))

    def _failure(self, config):
        info = self._info(config) or {"statename": "no supervisord", "spawnerr": "", "stdout_logfile": None}
        exit_code = self._last_exit(config)
        printed = log_tail.quote_output(info["stdout_logfile"])
        return "%s does not stay up: supervisord says %s%s; last exit: %s.%s\nTo see more: %s status" % (
            self.name,
            info["statename"],
            " (%s)" % info["spawnerr"] if info["spawnerr"] else "",
            "none yet" if exit_code is None else "signal %d" % -exit_code if exit_code < 0 else exit_code,
            printed and "\n" + printed,
            " ".join(map(shlex.quote, self._command("supervisorctl"))),
        )


def _environment():
    """The environment of supervisord: always the same."""
    try:
        user = pwd.getpwuid(os.getuid())
        who = {"HOME": user.pw_dir, "USER": user.pw_name, "LOGNAME": user.pw_name}
    except KeyError:  # a container's user without an entry
        who = {"HOME": "/"}
    return dict(who, PATH="/usr/bin:/bin:/usr/sbin:/sbin")
