# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""A launchd property list, checked strictly before launchd sees it.

launchd takes unknown keys, wrong types and unexpanded variables in silence and then runs something else, so every key
must be one of man launchd.plist (as quoted in nix-darwin, modules/launchd/launchd.nix) and have the type given there.
plistlib refuses malformed XML, which plutil and libplist do not always do.
"""

from __future__ import annotations

import os
import plistlib
import re
from xml.parsers.expat import ExpatError

from ..base.text import did_you_mean

SESSIONS = ("Aqua", "Background", "LoginWindow", "StandardIO", "System")
PROCESS_TYPES = ("Background", "Standard", "Adaptive", "Interactive")
LIMITS = (
    "Core",
    "CPU",
    "Data",
    "FileSize",
    "MemoryLock",
    "NumberOfFiles",
    "NumberOfProcesses",
    "ResidentSetSize",
    "Stack",
)
CALENDAR = ("Minute", "Hour", "Day", "Weekday", "Month")

# launchd expands nothing: what a shell would expand is a mistake in a path.
_UNEXPANDED = re.compile(r"\$(\{|\(|HOME\b|USER\b|PATH\b|TMPDIR\b)|\{\{|(^|/)~(/|$)")


# Each check gives what is wanted, when it is something else; None when all is well.


def _of(kind, wanted):
    return lambda value: None if type(value) is kind else wanted


_bool = _of(bool, "true or false")
_text = _of(str, "text")


def _whole(least=0, most=None):
    wanted = "a whole number of at least %d" % least + (" and at most %d" % most if most is not None else "")

    def check(value):
        good = type(value) is int and value >= least and (most is None or value <= most)
        return None if good else wanted

    return check


def _one_of(*words):
    return lambda value: None if value in words and type(value) is str else "one of " + ", ".join(words)


def _path(value):
    if type(value) is not str or not value.startswith("/"):
        return "an absolute path"
    return "a path without variables, ~ or {{ }}: launchd expands nothing" if _UNEXPANDED.search(value) else None


def _list(check):
    def check_all(value):
        if type(value) is not list or not value:
            return "a list with at least one entry"
        return next((wrong for wrong in map(check, value) if wrong), None)

    return check_all


def _either(*checks):
    def check_any(value):
        wrong = [check(value) for check in checks]
        return None if None in wrong else ", or ".join(wrong)

    return check_any


def _limits():
    return {name: _whole() for name in LIMITS}


#: key -> check, a dict of checks for its sub-keys, or both as (check, dict) when either form is allowed.
KEYS = {
    "Label": _text,
    "Disabled": _bool,
    "UserName": _text,
    "GroupName": _text,
    "InitGroups": _bool,
    "Program": _path,
    "ProgramArguments": _list(_text),
    "EnvironmentVariables": {None: _text},
    "WorkingDirectory": _path,
    "StandardInPath": _path,
    "StandardOutPath": _path,
    "StandardErrorPath": _path,
    "RunAtLoad": _bool,
    "KeepAlive": (
        _bool,
        {"SuccessfulExit": _bool, "Crashed": _bool, "PathState": {None: _bool}, "OtherJobEnabled": {None: _bool}},
    ),
    "StartInterval": _whole(1),
    "StartCalendarInterval": {name: _whole(0, 59) for name in CALENDAR},
    "ThrottleInterval": _whole(),
    "ExitTimeOut": _whole(),
    "ProcessType": _one_of(*PROCESS_TYPES),
    "Nice": _whole(-20, 20),
    "LowPriorityIO": _bool,
    "SoftResourceLimits": _limits(),
    "HardResourceLimits": _limits(),
    "Umask": _whole(0, 0o777),
    "LimitLoadToSessionType": _either(_one_of(*SESSIONS), _list(_one_of(*SESSIONS))),
    "SessionCreate": _bool,
    "AbandonProcessGroup": _bool,
    "WatchPaths": _list(_path),
}


def parse(content):
    """The job in the plist ``content`` (text or bytes) as a dict; raises ValueError with what is malformed."""
    data = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
    try:
        job = plistlib.loads(data)
    except (ExpatError, plistlib.InvalidFileException, ValueError, AttributeError, OverflowError, IndexError) as error:
        raise ValueError("is not a property list: %s" % (str(error) or type(error).__name__)) from None
    if not isinstance(job, dict):
        raise ValueError("is not a property list with keys: it holds a %s" % type(job).__name__)
    return job


def problems(content, path, domain=None):
    """Everything that is wrong with the plist ``content`` that is to stand at ``path``: a list of sentences.

    :param domain: where it is to be loaded (system, gui/<uid>, user/<uid>), for the rules that depend on it.
    """
    try:
        job = parse(content)
    except ValueError as error:
        return [str(error)]
    found = list(_wrong_values(job, KEYS, ""))
    label = os.path.basename(path)[: -len(".plist")] if path.endswith(".plist") else None
    if "Label" not in job:
        found.append("Label is missing")
    elif label is None:
        found.append('the file name must be the Label and ".plist", so that both are found together')
    elif job["Label"] != label:
        found.append(
            'Label: "%s" differs from the file name %s.plist; enable and bootout would miss the job'
            % (job["Label"], label)
        )
    if "Program" not in job and "ProgramArguments" not in job:
        found.append("ProgramArguments is missing")
    else:
        program = job.get("Program", (job.get("ProgramArguments") or [None])[0])
        if isinstance(program, str) and _path(program):
            found.append('ProgramArguments: "%s" is not %s' % (program, _path(program)))
    keep_alive = job.get("KeepAlive")
    if job.get("RunAtLoad") is False and isinstance(keep_alive, dict) and "SuccessfulExit" in keep_alive:
        found.append("RunAtLoad: false has no effect beside KeepAlive.SuccessfulExit, which starts the job when loaded")
    return found + (_wrong_for_domain(job, domain) if domain else [])


def _wrong_values(values, keys, prefix):
    for key, value in values.items():
        check = keys.get(key, keys.get(None))
        name = prefix + str(key)
        if check is None:
            yield "%s: unknown key%s" % (name, did_you_mean(key, filter(None, keys)))
            continue
        check, nested = check if isinstance(check, tuple) else (check, check)
        if isinstance(nested, dict) and isinstance(value, dict):
            yield from _wrong_values(value, nested, name + ".")
        else:
            wrong = "a dictionary" if isinstance(check, dict) else check(value)
            if wrong:
                yield "%s: %r is not %s" % (name, value, wrong)


def _wrong_for_domain(job, domain):
    found = []
    sessions = job.get("LimitLoadToSessionType")
    sessions = [sessions] if isinstance(sessions, str) else sessions
    if domain != "system" and "UserName" in job:
        found.append("UserName: only a job of the domain system may name a user; this one is for %s" % domain)
    if domain.startswith("user/") and (not isinstance(sessions, list) or "Background" not in sessions):
        found.append("LimitLoadToSessionType: %s is a session without a screen, so Background must be allowed" % domain)
    if domain.startswith("gui/") and isinstance(sessions, list) and "Aqua" not in sessions:
        found.append("LimitLoadToSessionType: %s is a session at the screen, so Aqua must be allowed" % domain)
    return found
