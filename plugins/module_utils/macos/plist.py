# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""A launchd property list, checked before launchd sees it.

launchd ignores a key that it does not know or whose value is of another type, and expands nothing in a path: the job
runs as another user or elsewhere, or is not started again when it ends. So a plist has no keys but those of our
templates, with the types of man launchd.plist. What launchd refuses by itself is left to it.
"""

from __future__ import annotations

import os
import plistlib
import re
from xml.parsers.expat import ExpatError

from ..base.json_form import misfit
from ..base.text import did_you_mean

#: The keys and the forms of their values; a tuple: any of these. The key None: any name.
FORMS = {
    "Label": str,
    "ProgramArguments": [str],
    "EnvironmentVariables": {None: str},
    "WorkingDirectory": str,
    "StandardOutPath": str,
    "StandardErrorPath": str,
    "UserName": str,
    "LimitLoadToSessionType": (str, [str]),
    "RunAtLoad": bool,
    "KeepAlive": (bool, {"Crashed": bool, "SuccessfulExit": bool}),
    "ThrottleInterval": int,
    "ExitTimeOut": int,
    "ProcessType": str,
    "SoftResourceLimits": {"NumberOfFiles": int},
    "Umask": int,
}
PATHS = ("WorkingDirectory", "StandardOutPath", "StandardErrorPath")

#: The session that a domain's jobs run in (man launchd.plist, LimitLoadToSessionType); an agent without it is for Aqua.
SESSIONS = {"gui": "Aqua", "user": "Background"}

# What a shell would expand is a mistake in a path.
_UNEXPANDED = re.compile(r"\$(\{|\(|HOME\b|USER\b|PATH\b|TMPDIR\b)|\{\{|(^|/)~(/|$)")


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


def problems(content, path, domain):
    """Everything that is wrong with the plist ``content`` for ``path`` and ``domain``: a list of sentences."""
    try:
        job = parse(content)
    except ValueError as error:
        return [str(error)]
    return list(_misfits(job, FORMS)) or list(_broken_rules(job, path, domain))


def _misfits(values, forms, prefix=""):
    for key, value in values.items():
        name, form = prefix + key, forms.get(key, forms.get(None))
        choices = form if isinstance(form, tuple) else (form,)
        parts = next((choice for choice in choices if isinstance(choice, dict)), None)
        if form is None:
            yield "%s: unknown key%s" % (name, did_you_mean(key, forms))
        elif parts and isinstance(value, dict):
            yield from _misfits(value, parts, name + ".")
        elif all(misfit(value, choice) for choice in choices):
            yield "%s: %r; wanted: %s" % (name, value, " or ".join(misfit(value, choice)[1] for choice in choices))


def _broken_rules(job, path, domain):
    label, file = job.get("Label"), os.path.basename(path)
    if "%s.plist" % label != file:  # launchctl finds the job by its Label, and launchd and we the file by its name
        yield 'Label: "%s" is not the name of the file %s; enable and bootout would miss the job' % (label, file)
    program = [("ProgramArguments", argument) for argument in job.get("ProgramArguments", [])[:1]]
    for key, value in [*program, *((key, job[key]) for key in PATHS if key in job)]:
        if not value.startswith("/"):
            yield '%s: "%s" is not an absolute path' % (key, value)
        elif _UNEXPANDED.search(value):
            yield '%s: "%s" has a variable, ~ or {{ }} in it, and launchd expands nothing' % (key, value)
    keep_alive = job.get("KeepAlive")
    if job.get("RunAtLoad") is False and isinstance(keep_alive, dict) and "SuccessfulExit" in keep_alive:
        yield "RunAtLoad: false has no effect with KeepAlive.SuccessfulExit, which starts the job when it is loaded"
    if domain != "system" and "UserName" in job:
        yield "UserName: only a job of the domain system may name a user; this one is for %s" % domain
    session, allowed = SESSIONS.get(domain.partition("/")[0]), job.get("LimitLoadToSessionType", "Aqua")
    if session and session not in (allowed if isinstance(allowed, list) else [allowed]):
        yield "LimitLoadToSessionType: the session of %s is %s, which must be allowed" % (domain, session)
