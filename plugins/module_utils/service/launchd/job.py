# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""One job under launchd, told from its first start to its removal.

Only the verbs enable, bootstrap, bootout, kickstart and print are used. The order of a start is enable, bootout (an
absent job is fine), wait until print says that the label is free, bootstrap, and again for a while when launchd says
that it is still busy, then proof: the job has a process, and keeps it. Ending a job is asynchronous in launchd: the
label stays for seconds after bootout returned, and error 5 is the answer when one does not wait.
"""

from __future__ import annotations

import os

from ...base import processes
from ...base.definition import Definition
from ...base.errors import LlamaCppError
from ...base.privileges import as_user
from ...base.wait import stays, wait_until
from ...macos import plist
from ..manager import ServiceManager
from . import diagnosis
from .exit_codes import ALREADY, IN_PROGRESS, IO_ERROR, NO_DOMAIN, NO_SERVICE, NO_SUCH_PROCESS
from .launchctl import Launchctl, LaunchctlMissing, check_domain

START_SECONDS = 15  # until a job that launchd took has a process
DRAIN_SECONDS = 20  # until a label is free after its process has ended; up to 5 s were seen
EXIT_TIMEOUT = 20  # man launchd.plist, ExitTimeOut, where neither the job nor its plist says
THROTTLE_SECONDS = 10  # man launchd.plist, ThrottleInterval
ENDLESS = 600  # what ExitTimeOut 0, never kill, is taken for
RETRY_SECONDS = 0.5


class Launchd(ServiceManager):
    """The job ``label``, told of by the plist ``definition``, in ``domain`` (system, gui/<uid> or user/<uid>).

    :param launchctl: path of launchctl.
    :param settle: seconds that a started job must keep its pid; None: its ThrottleInterval, after which launchd
        starts a job that fails at once again.
    :param enabled: whether launchd may load the job by itself at boot or login: True, False, or None to leave that.
    :param report: called with a few words at each stage of a change.
    :param output_file: where the job's program writes what it prints, when the plist does not say it.
    :param user: as whom root looks at what the job works with: see privileges.as_user.
    :param sudo: path of sudo, for a person at a terminal whose command is to change the domain system.
    """

    def __init__(
        self,
        label,
        definition,
        domain,
        launchctl,
        *,
        settle=None,
        enabled=None,
        report=lambda stage: None,
        user=None,
        sudo=None,
        output_file=None,
    ):
        check_domain(domain)
        self.user = user
        self._output_file = output_file
        self.name = label
        self.domain = domain
        self.target = "%s/%s" % (domain, label)
        self.launchctl = Launchctl(launchctl, sudo=sudo if domain == "system" else None)
        self.definition = Definition(definition, 0o644, (0, 0) if domain == "system" else None)
        self._settle = settle
        self._enabled = enabled
        self._report = report

    # -- what is ------------------------------------------------------------------------------------------------

    def keys(self):
        """The plist in place as a dict; empty when there is none or it cannot be read."""
        try:
            return plist.parse(self.definition.content() or "")
        except ValueError:
            return {}

    def output_file(self):
        """The path of what the job prints, or None."""
        return self.keys().get("StandardErrorPath") or self._output_file

    def program(self):
        """The path of the program that the plist in place names, or None."""
        keys = self.keys()
        return keys.get("Program") or next(iter(keys.get("ProgramArguments") or []), None)

    def candidate_domains(self):
        """The domains in which the label may be loaded: its own first, then the others of the same user, and system."""
        user = self.domain.partition("/")[2]
        others = ["gui/" + user, "user/" + user] if user else []
        return list(dict.fromkeys([self.domain, *others, "system"]))

    def check_definition(self, content):
        wrong = plist.problems(content, self.definition.path, self.domain)
        if wrong:
            raise LlamaCppError(
                "The plist for %s cannot be used; nothing was changed.\n  %s"
                % (self.definition.path, "\n  ".join(wrong))
            )

    def status(self):
        """Where there is no launchctl there are no jobs either, so that check mode works on any host."""
        try:
            job = self.launchctl.job(self.target)
        except LaunchctlMissing:
            job = None
        installed = self.definition.content() is not None
        return {
            "installed": installed or job is not None,
            "running": job is not None and job.running,
            "pid": job.pid if job else None,
            "state": job.state if job else "not loaded" if installed else "absent",
            "last_exit": job.last_exit if job else None,
        }

    def active(self):
        """Whether the job is loaded: then it runs, or launchd may start it at any moment."""
        try:
            return self.launchctl.job(self.target) is not None
        except LaunchctlMissing:
            return False

    def drifted(self):
        """Whether launchd has loaded something else than the plist in place says, as far as it shows."""
        try:
            job = self.launchctl.job(self.target)
        except LaunchctlMissing:
            return False
        if job is None:
            return False
        keys = self.keys()
        shown, wanted = job.environment or {}, keys.get("EnvironmentVariables", {})
        pairs = [(job.path and os.path.realpath(job.path), os.path.realpath(self.definition.path))]
        if job.arguments is not None:
            pairs.append((" ".join(job.arguments), " ".join(keys.get("ProgramArguments") or [self.program() or ""])))
        pairs += [(shown[name], wanted[name]) for name in wanted if name in shown]
        return any(_differ(*pair) for pair in pairs)

    def deviations(self):
        """At most one: whether launchd may load the job by itself."""
        if self._enabled is None:
            return []
        try:
            enabled = not self.launchctl.is_disabled(self.domain, self.name)
        except LaunchctlMissing:
            enabled = True
        if enabled == self._enabled:
            return []
        return [("enabled of " + self.target, _yes(enabled), _yes(self._enabled))]

    def correct(self):
        """Put the deviations right; a disabled job that runs goes on running until the next boot or login."""
        self._do("enable" if self._enabled else "disable", self.target)

    # -- what is done -------------------------------------------------------------------------------------------

    def start(self):
        """Load and start the job, and prove that it stays; a running job is left alone, one that is ending is not."""
        job = self.launchctl.job(self.target)
        if job is not None and job.ending:
            self.clear()
            job = None
        if job is None:
            self._load()
            return self.prove(0)
        try:
            if not job.running:
                self._report("starting")
                self._kickstart()
            self.prove(job.runs)
        except LlamaCppError:
            if self.active():
                raise
            self._load()  # it was about to be unloaded when it was found
            self.prove(0)

    def prove(self, runs_before=None):
        """Wait until the job has a process and keeps it; raises LlamaCppError with its last words otherwise.

        :param runs_before: how often it had been started before this start; a start beyond that without a process
            is a failure that needs no further waiting.
        """
        self._report("waiting until it stays up")
        seen = {}

        def decided():
            job = seen["job"] = self.launchctl.job(self.target)
            failed = job is not None and runs_before is not None and job.runs > runs_before
            return job is None or job.running or failed

        wait_until(decided, START_SECONDS)
        pid = seen["job"].pid if seen["job"] and seen["job"].running else None
        settle = self.keys().get("ThrottleInterval", THROTTLE_SECONDS) if self._settle is None else self._settle
        if pid is None or not stays(lambda: self._pid() == pid, settle, poll=0.25):
            raise LlamaCppError(as_user(self.user, diagnosis.failure, self, self.launchctl.job(self.target)))

    def stop(self):
        """End the job and unload it; launchd loads it again at the next boot or login, unless it is disabled."""
        self.clear()

    def restart(self):
        """End the job and start it anew with what the plist says now."""
        self.clear()
        self.start()

    def clear(self):
        """End and unload the job, and wait until its label is free and its process gone; an absent job is fine."""
        job = self.launchctl.job(self.target)
        if job is None:
            return
        self._report("stopping")
        answer = self.launchctl.run("bootout", self.target)
        if answer.code not in (0, NO_SUCH_PROCESS, IN_PROGRESS, ALREADY, NO_DOMAIN, NO_SERVICE):
            raise LlamaCppError(diagnosis.refusal(self, "bootout", answer))
        patience = self._exit_timeout(job) + DRAIN_SECONDS

        def gone():
            return self.launchctl.job(self.target) is None and not (job.pid and processes.alive(job.pid))

        if not wait_until(gone, patience, poll=0.2):
            raise LlamaCppError(
                "%s has not ended %d s after bootout (pid %s); nothing new was started. See what it waits for: "
                "sudo sample %s" % (self.target, patience, job.pid, job.pid)
            )

    # -- steps --------------------------------------------------------------------------------------------------

    def _pid(self):
        job = self.launchctl.job(self.target)
        return job.pid if job and job.running else None

    def _exit_timeout(self, job):
        seconds = job.exit_timeout
        if seconds is None:
            seconds = self.keys().get("ExitTimeOut", EXIT_TIMEOUT)
        return seconds or ENDLESS

    def _load(self):
        """Load the job, and start it if launchd does not."""
        self._refuse_elsewhere()
        self._bootstrap()
        if not _starts_by_itself(self.keys()):
            self._kickstart()

    def _refuse_elsewhere(self):
        """The same label in another domain would be a second server on the same port."""
        for domain in self.candidate_domains()[1:]:
            other = "%s/%s" % (domain, self.name)
            if self.launchctl.job(other):
                raise LlamaCppError(
                    "%s is loaded already, so %s was not: two servers would fight for one port. End the other, then "
                    "run the play again: %slaunchctl bootout %s"
                    % (other, self.target, "sudo " if domain == "system" else "", other)
                )

    def _bootstrap(self):
        """Enable and load the job, patiently while launchd is still busy with the one before."""
        self._report("loading")
        self._do("enable", self.target)
        answers = []

        def loaded():
            answers.append(self.launchctl.run("bootstrap", self.domain, self.definition.path))
            code = answers[-1].code
            if code == 0 or (code in (ALREADY, IO_ERROR) and self.active() and not self.drifted()):
                return True  # in the second case somebody else, such as a login, has just loaded the same plist
            if code not in (IO_ERROR, IN_PROGRESS, ALREADY) or diagnosis.has_lasting_cause(self):
                raise LlamaCppError(diagnosis.refusal(self, "bootstrap", answers[-1]))
            return False

        if not wait_until(loaded, DRAIN_SECONDS, poll=RETRY_SECONDS):
            raise LlamaCppError(diagnosis.refusal(self, "bootstrap", answers[-1]))
        if self._enabled is False:
            self._do("disable", self.target)

    def _kickstart(self):
        self._do("kickstart", self.target, fine=(0, ALREADY))

    def _do(self, verb, target, fine=(0,)):
        answer = self.launchctl.run(verb, target)
        if answer.code not in fine:
            raise LlamaCppError(diagnosis.refusal(self, verb, answer))


def _starts_by_itself(keys):
    """Whether launchd starts the job as soon as it is loaded (man launchd.plist, RunAtLoad and KeepAlive)."""
    keep_alive = keys.get("KeepAlive", False)
    implied = keep_alive is True or (isinstance(keep_alive, dict) and "SuccessfulExit" in keep_alive)
    return bool(keys.get("RunAtLoad")) or implied


def _differ(shown, wanted):
    """Whether launchctl shows another text than is wanted; how it shows other than plain characters is not known."""
    return shown is not None and shown != wanted and (shown + wanted).isascii() and (shown + wanted).isprintable()


def _yes(value):
    return "yes" if value else "no"
