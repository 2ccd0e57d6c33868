# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What keeps a service on a Mac from being there: a locked disk, a machine that stays off, sleep.

Everything here only looks; what is changed when asked is in macos/settings.py. The advice is sentences for the owner,
each with the command that changes what it names.
"""

from __future__ import annotations

import plistlib
import re
import subprocess
from typing import NamedTuple
from xml.parsers.expat import ExpatError

PMSET = "/usr/bin/pmset"
FDESETUP = "/usr/bin/fdesetup"

#: Holds the name of the user who is logged in at boot without a password, as ``autoLoginUser``.
LOGIN_WINDOW = "/Library/Preferences/com.apple.loginwindow.plist"

#: What holds a Mac awake as long as a server runs, completed by the server's process id: no idle sleep of the system
#: (-i) or the disk (-m), and on AC power no other sleep either (-s); the display may go dark. It ends with that process
#: (-w), even a killed one, so that no setting of the Mac is changed and nothing is left to undo (man caffeinate). The
#: server is not its command, because what SIGTERM then reaches, and which of the two launchd sees, differs by version.
KEEP_AWAKE = ("/usr/bin/caffeinate", "-i", "-m", "-s", "-w")

COMMAND_SECONDS = 30

AC, BATTERY = "AC Power", "Battery Power"

#: The first line of ``fdesetup status`` after "FileVault is ", and what it means for the next start of the Mac.
FILEVAULT_STATES = {
    "On.": True,
    "On, but needs to be restarted to finish.": True,
    "Off.": False,
    "Off, but needs to be restarted to finish.": False,
    "Off, but will be enabled after the next restart.": True,
}

_SETTING = re.compile(r"^ (\w+)\s+(\d+)(?:\s|$)")


class Power(NamedTuple):
    """What was found; None where it could not be."""

    filevault: bool | None  # whether the disk is locked when the Mac next starts
    sources: dict | None  # power source -> {setting of pmset: number}; "Battery Power" is there when a battery is
    sleep_disabled: bool  # by ``pmset disablesleep 1``, whatever the settings say
    automatic_login: str | None  # the user who is logged in at boot; None: no user


def read_power(pmset=PMSET, fdesetup=FDESETUP, login_window=LOGIN_WINDOW):
    """Look at this Mac, as a :class:`Power`. None of it needs root. All parameters are paths."""
    return Power(
        filevault=parse_filevault(_output([fdesetup, "status"])),
        sources=read_sources(pmset) or None,
        sleep_disabled=bool(re.search(r"^ SleepDisabled\s+1$", _output([pmset, "-g"]), re.MULTILINE)),
        automatic_login=_automatic_login(login_window),
    )


def read_sources(pmset=PMSET):
    """The power settings of this Mac, see :func:`parse_sources`."""
    return parse_sources(_output([pmset, "-g", "custom"]))


def parse_filevault(text):
    """Whether the disk is locked at the next start, from what ``fdesetup status`` printed; None for other words."""
    first, _newline, rest = text.strip().partition("\n")
    state = FILEVAULT_STATES.get(first.strip().replace("FileVault is ", "", 1))
    return True if state is False and "Deferred enablement appears to be active" in rest else state


def parse_sources(text):
    """What ``pmset -g custom`` printed, as {power source: {setting: number}}; other settings are left out."""
    sources, settings = {}, None
    for line in text.splitlines():
        setting = _SETTING.match(line)
        if line and not line.startswith(" ") and line.endswith(":"):
            settings = sources.setdefault(line[:-1], {})
        elif setting and settings is not None:
            settings[setting.group(1)] = int(setting.group(2))
    return sources


def _output(command):
    """What a command printed, whatever its exit status; empty when it cannot be run."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=COMMAND_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", "replace")


def _automatic_login(path):
    try:
        with open(path, "rb") as stream:
            settings = plistlib.load(stream)
    except (OSError, plistlib.InvalidFileException, ExpatError, ValueError):
        return None
    user = settings.get("autoLoginUser") if isinstance(settings, dict) else None
    return user if isinstance(user, str) and user else None


def advice(power, scope, user, keep_awake=False):
    """What stands between this Mac and a service that is always there, as a list of sentences; empty when nothing does.

    :param power: :class:`Power`.
    :param scope: ``system`` for a daemon, ``user`` for an agent.
    :param user: the account that the service belongs to.
    :param keep_awake: whether the service holds the Mac awake while it runs; a daemon's then also has the play set
        ``autorestart`` (macos/settings.py).
    """
    return [
        *_locked(power),
        *_nobody_logged_in(power, scope, user),
        *_stays_off(power, scope, keep_awake),
        *_sleeps(power, keep_awake),
    ]


def _locked(power):
    if power.filevault is None:
        yield "Whether FileVault is on could not be found out. To see it: fdesetup status"
    elif power.filevault:
        yield (
            "FileVault locks the disk at every start: nothing serves until someone gives a password, at the screen or, "
            "from macOS 26 on and with Remote Login on, by logging in over SSH once. To restart without that, once: "
            "sudo fdesetup authrestart. To never need it, at the price of a disk that anyone can read who takes the "
            "Mac: sudo fdesetup disable"
        )


def _nobody_logged_in(power, scope, user):
    if scope == "user" and (power.automatic_login != user or power.filevault):
        yield (
            f"The service starts when {user} logs in at the screen, which nobody does after an unattended restart. "
            'Set service.scope to "system" in the configuration: it then serves before anyone logs in.'
        )


def _stays_off(power, scope, keep_awake):
    if power.sources is None:
        yield "The power settings could not be read. To see them: pmset -g custom"
    elif power.sources.get(AC, {}).get("autorestart") == 0 and not (keep_awake and scope == "system"):
        yield "After a power failure this Mac stays off. To have it start again: sudo pmset -a autorestart 1"


def _sleeps(power, keep_awake):
    sources = {} if power.sleep_disabled else power.sources or {}
    minutes = sources.get(AC, {}).get("sleep", 0)
    if minutes and not keep_awake:
        yield (
            "This Mac goes to sleep after %d min without input, and then answers nobody. Set service.keep_awake to "
            "true in the configuration, which holds it awake while the server runs, or change the Mac: "
            "sudo pmset -c sleep 0" % minutes
        )
    if BATTERY in sources:
        yield (
            "This Mac has a lid, and sleeps when it is closed without a display attached. "
            "To keep it awake even then: sudo pmset -a disablesleep 1"
        )
