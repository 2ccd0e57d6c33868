# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""One loaded job: its plist, its process, and when it is started again."""

import contextlib
import ctypes
import os
import resource
import signal
import subprocess

EX_CONFIG = 78  # launchd's own exit code for a job that it could not set up
CRASHES = {signal.SIGILL, signal.SIGTRAP, signal.SIGABRT, signal.SIGFPE, signal.SIGBUS, signal.SIGSEGV, signal.SIGSYS}
BARE_ENVIRONMENT = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin"}
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)


class Job:
    """A job of ``domain``; times are those of one clock that whoever calls passes in as ``now``."""

    def __init__(self, domain, path, keys, settings, now):
        self.domain = domain
        self.path = path
        self.keys = keys
        self.label = keys["Label"]
        self.process = None
        self.runs = 0
        self.last_exit = None
        self.next_start = None  # when it is started again
        self.kill_at = None  # when SIGTERM gives way to SIGKILL
        self.free_at = None  # when a removed job's label is free
        self.ending = False  # its process was sent SIGTERM
        self.removed = False
        self.restart = False  # start it as soon as its process has ended
        self.throttle = keys.get("ThrottleInterval", settings["throttle_seconds"])
        self.exit_timeout = keys.get("ExitTimeOut", settings["exit_timeout"])
        self._drain = settings["drain_seconds"]
        self._started = None
        if keys.get("RunAtLoad") or self._keep_alive_starts():
            self.next_start = now
        elif keys.get("StartInterval"):
            self.next_start = now + keys["StartInterval"]

    @property
    def pid(self):
        return self.process.pid if self.process else None

    @property
    def state(self):
        if self.process:
            return "SIGTERMed" if self.ending else "running"
        waiting = self.next_start is not None and not self.keys.get("StartInterval")
        return "spawn scheduled" if waiting and not self.removed else "not running"

    def tick(self, now):
        """Do what is due at ``now``."""
        if self.process and self.process.poll() is not None:
            self._ended(self.process.returncode, now)
        if self.process and self.kill_at is not None and now >= self.kill_at:
            self.signal(signal.SIGKILL)
        if not self.process and not self.removed and self.next_start is not None and now >= self.next_start:
            self.spawn(now)

    def is_gone(self, now):
        """Whether a removed job has left its label free."""
        return self.removed and not self.process and now >= (self.free_at or now)

    def spawn(self, now):
        """Start the process, or fail as launchd does when it cannot be set up."""
        self.runs += 1
        self._started = now
        self.next_start = now + self.keys["StartInterval"] if self.keys.get("StartInterval") else None
        try:
            self.process = self._launch()
        except (OSError, KeyError, ValueError, subprocess.SubprocessError):
            self._ended(EX_CONFIG, now)

    def end(self, now, remove=False):
        """SIGTERM, and SIGKILL after ExitTimeOut (0: never); with ``remove`` the label goes too."""
        self.removed = self.removed or remove
        if self.process:
            self.ending = True
            self.signal(signal.SIGTERM)
            self.kill_at = now + self.exit_timeout if self.exit_timeout else None
        elif remove:
            self.free_at = now + self._drain

    def kickstart(self, now, kill):
        """Start it at once, ThrottleInterval or not; False when it runs and is not to be killed, or is removed."""
        if self.removed:
            return False
        if not self.process:
            self.spawn(now)
            return True
        if kill:
            self.restart = True
            self.end(now)
        return kill

    def signal(self, number):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number) if number == signal.SIGKILL else os.kill(self.process.pid, number)

    def _ended(self, code, now):
        if self.process and not self.keys.get("AbandonProcessGroup"):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process, self.ending, self.kill_at, self.last_exit = None, False, None, code
        if self.removed:
            self.free_at = now + self._drain
        elif self.restart:
            self.restart, self.next_start = False, now
        elif self._keeps_alive(code):
            self.next_start = max(now, self._started + self.throttle)

    def _keep_alive_starts(self):
        keep = self.keys.get("KeepAlive", False)
        return keep is True or (isinstance(keep, dict) and "SuccessfulExit" in keep)

    def _keeps_alive(self, code):
        """Whether KeepAlive asks for a start after this exit; its conditions are alternatives."""
        keep = self.keys.get("KeepAlive", False)
        if isinstance(keep, bool):
            return keep
        return (
            ("SuccessfulExit" in keep and keep["SuccessfulExit"] == (code == 0))
            or ("Crashed" in keep and keep["Crashed"] == (-code in CRASHES))
            or any(os.path.exists(path) == wanted for path, wanted in keep.get("PathState", {}).items())
        )

    def _launch(self):
        keys = self.keys
        arguments = keys.get("ProgramArguments") or [keys["Program"]]
        environment = {**BARE_ENVIRONMENT, **keys.get("EnvironmentVariables", {}), "XPC_SERVICE_NAME": self.label}
        libc = ctypes.CDLL(None)
        umask = keys.get("Umask", 0o022)
        files = keys.get("SoftResourceLimits", {}).get("NumberOfFiles")

        def prepare():
            libc.prctl(_DIE_WITH_PARENT, signal.SIGKILL)
            os.umask(umask)
            if files:
                resource.setrlimit(resource.RLIMIT_NOFILE, (files, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))

        user = keys.get("UserName") if os.geteuid() == 0 else None
        with contextlib.ExitStack() as streams:

            def stream(key):
                path = keys.get(key, os.devnull)
                return streams.enter_context(open(path, "ab"))

            return subprocess.Popen(
                arguments,
                executable=keys.get("Program"),
                stdin=subprocess.DEVNULL,
                stdout=stream("StandardOutPath"),
                stderr=stream("StandardErrorPath"),
                cwd=keys.get("WorkingDirectory", "/"),
                env=environment,
                start_new_session=True,
                preexec_fn=prepare,  # noqa: PLW1509 (there is one thread)
                user=user,
            )
