# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The exit codes of launchctl that the code acts on, and what to do about one.

Their texts are launchctl's own (``Launchctl.describe``). Below 107 they are errno values of macOS, from 107 launchd's:
xpc_strerror, as transcribed in Alkenso/sLaunchctl, Error.swift.
"""

from __future__ import annotations

NO_SUCH_PROCESS, IO_ERROR, IN_PROGRESS, ALREADY = 3, 5, 36, 37
NO_DOMAIN, NO_SERVICE, NO_DOMAIN_ACTION = 112, 113, 125
USAGE = 64  # of sysexits.h, not the errno

_START = "The job is not loaded. Start it."
_BUSY = "launchd is still ending the previous job; try again shortly."
_PLIST = "Look at the file: plutil -lint, then compare its keys with man launchd.plist."
_UNKNOWN_COMMAND = "This launchctl is older or newer than known."
_OTHER_DOMAIN = "Use a domain that this job can live in: gui/<uid> while that user is logged in, user/<uid>, or system."
_UNLOAD = "Unload the job that is there, then try again: launchctl bootout {target}"

#: What to do, where it is more than for any other code. ``{target}`` is filled in.
REMEDIES = {
    1: "Run it as the owner of the domain; system needs root (become).",
    2: "See that the plist and the program in it exist.",
    NO_SUCH_PROCESS: _START,
    IO_ERROR: "The code covers several faults; the causes checked above tell which.",
    13: "Make the plist readable for the user who loads it.",
    17: _UNLOAD,
    22: "The target or the plist is malformed. " + _PLIST,
    IN_PROGRESS: _BUSY,
    ALREADY: _BUSY,
    USAGE: _UNKNOWN_COMMAND,
    107: _PLIST,
    108: "Give the plist's absolute path.",
    109: _PLIST,
    111: "Name the program in ProgramArguments.",
    NO_DOMAIN: _OTHER_DOMAIN,
    NO_SERVICE: _START,
    114: "Correct UserName in the plist, or create that user.",
    117: _UNKNOWN_COMMAND,
    119: "Allow it: launchctl enable {target}",
    121: "Move the plist to a Library/Launch… folder.",
    122: "The plist and its folder must belong to root:wheel (system) or the user, and no one else may write to them.",
    124: "Somebody logs out or the Mac shuts down; try again afterwards.",
    NO_DOMAIN_ACTION: _OTHER_DOMAIN
    + " If the domain is right: allow it in System Settings > General > Login Items & Extensions.",
    126: _UNKNOWN_COMMAND,
    129: _UNLOAD,
    133: "There are several errors; correct what launchctl names.",
    134: "Correct LimitLoadToSessionType. " + _OTHER_DOMAIN,
    137: _OTHER_DOMAIN,
    146: "Try again when the login is complete.",
    152: "Start the Mac normally, not in recovery.",
    155: "If you trust it: xattr -d com.apple.quarantine on the program and on the plist.",
    156: "Log that user in, or use the domain system.",
}
_NO_REMEDY = "Try again, then restart the Mac. If it stays, report this with the text above: no remedy for it is known."


def remedy_for(code, target):
    """What to do about ``code`` for the job ``target``, as a sentence."""
    return REMEDIES.get(code, _NO_REMEDY).format(target=target)
