# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Why launchd refused a job, or why a job does not stay up: every known cause looked at, one by one.

launchctl shows error 5 for at least four different faults, and only the unified log knows which; so each is checked
here (isolated trials by others, 2026: already loaded, disabled, plist not owned by root, plist writable by others).
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
import subprocess
from collections import namedtuple

from ...base import log_tail
from ...base.privileges import as_user
from ...macos import plist
from .exit_codes import remedy_for

XATTR = "/usr/bin/xattr"
QUARANTINE = "com.apple.quarantine"

#: One thing that was looked at: what was found, in a few words; whether it explains the failure; and what to do then.
Finding = namedtuple("Finding", "words cause remedy")


def refusal(job, verb, answer):
    """The message for ``launchctl <verb>`` having answered with a failure; ``job`` is a launchd.Launchd."""
    checks = (
        (_rights, _loaded, _disabled, _file, _content, _quarantine, _domain)
        if verb == "bootstrap"
        else (_rights, _domain, _disabled)
    )
    findings = [check(job) for check in checks]
    causes = [finding for finding in findings if finding.cause]
    remedies = [finding.remedy for finding in causes] or [remedy_for(answer.code, job.target)]
    return "launchd refused %s (%s: error %s). Checked:\n  %s\n%s%s" % (
        job.target,
        verb,
        job.launchctl.describe(answer.code),
        " | ".join(finding.words + (" <- cause" if finding.cause else "") for finding in findings),
        "launchctl said: %s\n" % answer.words if answer.words else "",
        "\n".join(dict.fromkeys(remedies)),
    )


def has_lasting_cause(job):
    """Whether something is wrong that no waiting puts right, so that another attempt is pointless."""
    return any(check(job).cause for check in (_rights, _disabled, _file, _content, _domain))


def failure(job, loaded):
    """The message for a job that launchd took but that does not stay up; ``loaded`` is a launchctl.Job or None."""
    lines = ["%s does not stay up: %s." % (job.target, _story(loaded))]
    findings = [finding for finding in (_quarantine(job), *_program(job)) if finding.cause]
    lines += ["Cause: %s. %s" % (finding.words, finding.remedy) for finding in findings]
    lines += filter(None, [log_tail.quote_output(job.output_file())])
    lines.append("To see more: %slaunchctl print %s" % ("sudo " if job.domain == "system" else "", job.target))
    return "\n".join(lines)


def describe_exit(code):
    """An exit as Job.last_exit has it, for people. 78 is what launchd itself says when it cannot set a job up."""
    if code is None:
        return "none yet"
    if code < 0:
        return "killed by signal %d" % -code
    known = {78: " (EX_CONFIG: launchd could not set the job up: program, directory or log cannot be used)"}
    return "exit code %d%s" % (code, known.get(code, ""))


def _story(loaded):
    if loaded is None:
        return "it is no longer loaded"
    return "its state is %s after %d %s; last exit: %s" % (
        loaded.state,
        loaded.runs,
        "start" if loaded.runs == 1 else "starts",
        describe_exit(loaded.last_exit),
    )


# -- what can be wrong, one question each ------------------------------------------------------------------------


def _rights(job):
    owner = _owner(job.domain)
    if os.geteuid() in (0, owner) or job.launchctl.sudo:
        return Finding("domain is ours yes", False, "")
    who = "root" if owner == 0 else "user %d" % owner
    return Finding(
        "domain is ours NO (uid %d)" % os.geteuid(),
        True,
        "Only %s may change the domain %s. In a play, become that user." % (who, job.domain),
    )


def _loaded(job):
    found = [domain for domain in job.candidate_domains() if job.launchctl.job("%s/%s" % (domain, job.name))]
    if not found:
        return Finding("still loaded no", False, "")
    return Finding(
        "still loaded in %s YES" % ", ".join(found),
        True,
        "\n".join("End it first: %slaunchctl bootout %s/%s" % (_sudo(d), d, job.name) for d in found),
    )


def _disabled(job):
    if not job.launchctl.is_disabled(job.domain, job.name):
        return Finding("label disabled no", False, "")
    return Finding(
        "label disabled YES",
        True,
        "Allow the label (or its login item in System Settings), then run the play again: %slaunchctl enable %s"
        % (_sudo(job.domain), job.target),
    )


def _file(job):
    """Owner and mode of the plist and of its folder: only the owner of the domain may be able to write."""
    path = job.definition.path
    try:
        file, folder = os.stat(path), os.stat(os.path.dirname(path))
    except OSError as error:
        return Finding("plist %s: %s" % (path, error.strerror), True, "Put the plist there: run the play again.")
    owner = _owner(job.domain)
    words = "plist %s:%s %04o" % (*_names(file), stat.S_IMODE(file.st_mode))
    sudo = _sudo(job.domain)
    if file.st_uid not in (0, owner) or (job.domain == "system" and file.st_gid != 0):
        who = "root:wheel" if job.domain == "system" else str(owner)
        return Finding(words + ", wrong owner", True, "Give it its owner: sudo chown %s '%s'" % (who, path))
    if file.st_mode & 0o022:
        return Finding(words + ", others may write", True, "Take that right away: %schmod 0644 '%s'" % (sudo, path))
    if job.domain == "system" and folder.st_mode & 0o002:
        return Finding(words + ", its folder is open", True, "Close it: sudo chmod o-w '%s'" % os.path.dirname(path))
    return Finding(words + ", correct", False, "")


def _names(file):
    """Owner and group by name, or by number where the system knows none."""
    try:
        user = pwd.getpwuid(file.st_uid).pw_name
    except KeyError:
        user = file.st_uid
    try:
        return user, grp.getgrgid(file.st_gid).gr_name
    except KeyError:
        return user, file.st_gid


def _content(job):
    text = job.definition.content()
    wrong = plist.problems(text, job.definition.path, job.domain) if text is not None else []
    if not wrong:
        return Finding("plist valid", False, "")
    return Finding("plist: " + "; ".join(wrong), True, "Correct the plist, then run the play again.")


def _quarantine(job):
    marked = as_user(job.user, _quarantined, [job.definition.path, job.program()])
    if not marked:
        return Finding("quarantined no", False, "")
    return Finding(
        "quarantined: " + ", ".join(marked),
        True,
        "If you trust it: xattr -d %s %s" % (QUARANTINE, " ".join("'%s'" % path for path in marked)),
    )


def _quarantined(paths):
    return [path for path in paths if path and _is_quarantined(path)]


def _is_quarantined(path):
    """Python has no os.getxattr on macOS, so the system's tool is asked; where there is none nothing is quarantined."""
    try:
        done = subprocess.run([XATTR, "-p", QUARANTINE, path], capture_output=True, check=False)
    except OSError:
        return False
    return done.returncode == 0


def _domain(job):
    if job.launchctl.has_domain(job.domain):
        return Finding("domain %s exists" % job.domain, False, "")
    if job.domain.startswith("gui/"):
        return Finding(
            "domain %s does not exist: that user is not logged in at the screen" % job.domain,
            True,
            "Log in at the screen, or use the domain user/<uid> with LimitLoadToSessionType Background, or system "
            "(service.scope).",
        )
    return Finding("domain %s does not exist" % job.domain, True, "Correct the domain.")


def _program(job):
    """Why launchd could not even start the program, as far as it can be seen from outside."""
    program = job.program()
    if program and not os.path.exists(program):
        yield Finding("the program %s does not exist" % program, True, "Install it: run the play again.")
    elif program and not os.access(program, os.X_OK):
        yield Finding("%s is not executable" % program, True, "Make it so: chmod +x '%s'" % program)
    for key in ("WorkingDirectory", "StandardOutPath", "StandardErrorPath"):
        path = job.keys().get(key)
        folder = path if key == "WorkingDirectory" or path is None else os.path.dirname(path)
        if folder and not os.path.isdir(folder):
            yield Finding(
                "%s: the directory %s does not exist" % (key, folder), True, "Create it: mkdir -p '%s'" % folder
            )
        elif path and path != folder and os.path.isdir(path):
            yield Finding(
                "%s: %s is a directory, not a log" % (key, path), True, "Move it away, then run the play again."
            )


def _owner(domain):
    """The uid that may change the domain, beside root."""
    return 0 if domain == "system" else int(domain.partition("/")[2])


def _sudo(domain):
    return "sudo " if domain == "system" else ""
