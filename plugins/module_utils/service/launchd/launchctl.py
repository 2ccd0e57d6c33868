# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""launchctl: run, and its output read.

What launchctl prints is no stable interface; the forms read here were compared with captures of macOS 11 to 26 that
many projects carry in their tests (docs/macos.md lists the sources).
"""

from __future__ import annotations

import re
import subprocess
from collections import namedtuple

from ...base.errors import LlamaCppError
from ...base.privileges import is_root, require_root_owned
from .exit_codes import NO_DOMAIN, NO_DOMAIN_ACTION, NO_SERVICE, USAGE

#: The verbs that everybody may use.
LOOKS = ("print", "print-disabled", "error")

SUDO_SECONDS = 300.0  # a person types a password meanwhile


class LaunchctlMissing(LlamaCppError):
    """There is no launchctl at the given path: not a Mac, or a test that must not reach the real one."""


class Answer(namedtuple("Answer", "code output errors")):
    """What launchctl said: exit code, stdout and stderr."""

    @property
    def words(self):
        """What it printed, as one line."""
        return " ".join((self.errors + " " + self.output).split())


def check_domain(domain):
    """Raises LlamaCppError unless ``domain`` is system, gui/<uid> or user/<uid>."""
    if not re.fullmatch(r"system|(gui|user)/\d+", domain):
        raise LlamaCppError('The launchd domain "%s" is unknown; expected: system, gui/<uid> or user/<uid>.' % domain)


class Launchctl:
    """The program launchctl at ``path``, which is never looked for, so that no test can meet the real one.

    Root runs it only when root alone can change it.

    :param sudo: path of sudo, through which a person who is not root changes something; None: without it.
    """

    def __init__(self, path, timeout=60.0, sudo=None):
        self.path = path
        self.sudo = None if is_root() else sudo
        self._timeout = SUDO_SECONDS if self.sudo else timeout
        self._trusted = False

    def run(self, *arguments):
        """The :class:`Answer` to ``launchctl <arguments>``.

        Raises LaunchctlMissing, or LlamaCppError when it does not answer in time or is not root's.
        """
        command = [self.path, *arguments]
        if self.sudo and arguments[0] not in LOOKS:
            command = [self.sudo, *command]
        if (is_root() or command[0] == self.sudo) and not self._trusted:
            require_root_owned(self.path)  # even if it is not there: somebody may put it there at any moment
            self._trusted = True
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=self._timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise LlamaCppError(
                "launchctl %s has not returned within %d s; launchd seems to hang. Restart the Mac, then try again."
                % (" ".join(arguments), self._timeout)
            ) from None
        except OSError as error:
            raise LaunchctlMissing(
                "launchctl cannot be run at %s (%s). It exists on macOS only, as /bin/launchctl." % (self.path, error)
            ) from None
        return Answer(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))

    def job(self, target):
        """The loaded :class:`Job` of ``target`` (domain/label), or None when it is not loaded."""
        answer = self.run("print", target)
        if answer.code == 0:
            return parse_print(answer.output)
        if answer.code in (NO_SERVICE, NO_DOMAIN, NO_DOMAIN_ACTION):
            return None
        raise LlamaCppError(
            "launchctl print %s failed with %s: %s" % (target, self.describe(answer.code), answer.words)
        )

    def describe(self, code):
        """An exit code with launchd's text for it: "5, Input/output error"; the number alone when that fails too."""
        if code == USAGE:
            return "%d, wrong usage" % code
        try:
            answer = self.run("error", str(code))
        except LlamaCppError:
            return str(code)
        text = answer.output.partition(": ")[2].strip() if answer.code == 0 else ""
        return "%d, %s" % (code, text) if text else str(code)

    def has_domain(self, domain):
        """Whether the domain exists: gui/<uid> does only while that user is logged in at the screen."""
        return self.run("print", domain).code == 0

    def is_disabled(self, domain, label):
        """Whether an override forbids the label, which Login Items in System Settings creates too."""
        answer = self.run("print-disabled", domain)
        return answer.code == 0 and parse_disabled(answer.output).get(label, False)


class Job(namedtuple("Job", "state pid path runs last_exit exit_timeout arguments environment")):
    """A loaded job as ``launchctl print`` shows it. ``last_exit``: exit status, or minus the signal that ended it, or
    None when it never ended; ``arguments`` and ``environment`` are None when they were not shown.
    """

    @property
    def ending(self):
        """Whether launchd has told its process to end: bootout returns long before it has, and the job stays until."""
        return self.state.startswith("SIG")  # SIGTERMed

    @property
    def running(self):
        """Whether it has a process, and that is to stay."""
        return self.pid is not None and not self.ending


def parse_print(text):
    """The :class:`Job` in what ``launchctl print <domain>/<label>`` printed.

    Only lines behind exactly one tab belong to the job itself: nested blocks have a ``state`` and a ``pid`` too.
    """
    values, blocks, block = {}, {}, None
    for line in text.splitlines():
        if block is not None:
            if line == "\t}":
                block = None
            elif line.startswith("\t\t"):
                block.append(line[2:])
        elif line.startswith("\t") and line[1:2] not in ("\t", ""):
            key, separator, value = line[1:].partition(" = ")
            if separator and value == "{":
                block = blocks.setdefault(key, [])
            elif separator:
                values.setdefault(key, value)
    environment = blocks.get("environment")
    return Job(
        state=values.get("state", "unknown"),
        pid=_number(values.get("pid")),
        path=values.get("path"),
        runs=_number(values.get("runs")) or 0,
        last_exit=_last_exit(values),
        exit_timeout=_number(values.get("exit timeout")),
        arguments=blocks.get("arguments"),
        environment=environment and dict(line.split(" => ", 1) for line in environment if " => " in line),
    )


def _last_exit(values):
    """ "0", "78: EX_CONFIG" and "(never exited)" stand behind "last exit code"; a signal has a line of its own."""
    signal = re.search(r": (\d+)$", values.get("last terminating signal", ""))
    return -int(signal.group(1)) if signal else _number(values.get("last exit code"))


def _number(text):
    found = re.match(r"-?\d+", text or "")
    return int(found.group()) if found else None


def parse_disabled(text):
    """{label: whether it is disabled} from ``launchctl print-disabled``: "=> disabled", before macOS 13 "=> true"."""
    found = re.findall(r'^\s*"(.+)" => (\w+)\s*$', text, re.MULTILINE)
    return {label: word in ("disabled", "true") for label, word in found}
