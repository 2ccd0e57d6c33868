# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The exit codes of launchctl, told in words."""

from __future__ import annotations

from collections import namedtuple

#: One exit code: its name, what it means, and what to do about it. ``{target}`` and ``{domain}`` are filled in.
Code = namedtuple("Code", "name meaning remedy")

NO_SUCH_PROCESS, IO_ERROR, IN_PROGRESS, ALREADY = 3, 5, 36, 37
NO_DOMAIN, NO_SERVICE, DISABLED, NO_DOMAIN_ACTION = 112, 113, 119, 125

_REPORT = "Report this with the text above: no remedy for it is known."
_PLIST = "Look at the file: plutil -lint, then compare its keys with man launchd.plist."
_OTHER_DOMAIN = "Use a domain that this job can live in: gui/<uid> while that user is logged in, user/<uid>, or system."

#: The codes below 107 are errno values of macOS, those from 107 launchd's own: xpc_strerror as transcribed in
#: Alkenso/sLaunchctl, Error.swift. Names: errno(2) and ProcursusTeam/launchctl, xpc_private.h; where those have none,
#: the number is the name.
CODES = {
    1: Code("EPERM", "Operation not permitted", "Run it as the owner of the domain; system needs root (become)."),
    2: Code("ENOENT", "No such file or directory", "See that the plist and the program in it exist."),
    3: Code("ESRCH", "No such process", "The job is not loaded. Start it."),
    5: Code("EIO", "Input/output error", "The code covers several faults; the causes checked above tell which."),
    13: Code("EACCES", "Permission denied", "See that the plist can be read by whoever loads it."),
    17: Code("EEXIST", "File exists", "The job is loaded already: launchctl bootout {target}, then try again."),
    22: Code("EINVAL", "Invalid argument", "The target or the plist is malformed. " + _PLIST),
    36: Code(
        "EINPROGRESS", "Operation now in progress", "launchd is still ending the previous job; try again shortly."
    ),
    37: Code("EALREADY", "Operation already in progress", "The label is still in use; try again shortly."),
    64: Code("EX_USAGE", "launchctl does not understand the command", "This launchctl is older or newer than known."),
    107: Code("107", "Malformed bundle", _PLIST),
    108: Code("108", "Invalid path", "Give the plist's absolute path."),
    109: Code("109", "Invalid property list", _PLIST),
    110: Code("110", "Invalid or missing service identifier", "Give the plist a Label equal to its file name."),
    111: Code("111", "Invalid or missing Program or ProgramArguments", "Name the program in ProgramArguments."),
    112: Code("ENODOMAIN", "Could not find the domain", _OTHER_DOMAIN),
    113: Code("ENOSERVICE", "Could not find the service", "The job is not loaded. Start it."),
    114: Code("114", "The user name does not exist", "Correct UserName in the plist, or create that user."),
    115: Code("115", "The group does not exist", "Correct GroupName in the plist, or create that group."),
    116: Code("E2BIMPL", "Not implemented", _REPORT),
    117: Code("EUSAGE", "launchd does not understand the request", "This launchctl is older or newer than known."),
    118: Code("EBADRESP", "Bad response from launchd", "Try again; if it stays, restart the Mac."),
    119: Code("119", "The service is disabled", "Allow it: launchctl enable {target}"),
    120: Code("120", "Bad subsystem", _REPORT),
    121: Code("121", "The path is not one that launchd searches", "Move the plist to a Library/Launch… folder."),
    122: Code(
        "122",
        "The path had bad ownership or permissions",
        "The plist and its folder must belong to root:wheel (system) or the user, and nobody else may write to them.",
    ),
    123: Code("123", "The path is on the list of allowed ones of its domain", _REPORT),
    124: Code("124", "The domain is being torn down", "Somebody logs out or the Mac shuts down; try again afterwards."),
    125: Code(
        "125",
        "The domain does not support this action",
        _OTHER_DOMAIN + " If the domain is right: allow it in System Settings > General > Login Items & Extensions.",
    ),
    126: Code("EDEPRECATED", "No longer supported", "This launchctl is newer than known."),
    127: Code("127", "The service did not ship with the operating system", "Choose a Label of your own."),
    128: Code("128", "The path is not a bundle", _PLIST),
    129: Code("129", "The service was superseded by a later version", "Unload the other: launchctl bootout {target}"),
    130: Code("130", "Undefined behaviour", "Restart the Mac and try again."),
    131: Code("131", "Requests out of order", "Try again."),
    132: Code("132", "Request for stale data", "Try again."),
    133: Code("EMANY", "Several errors; see what launchctl printed", "Correct what it names."),
    134: Code(
        "134", "The service cannot be loaded in this session", "Correct LimitLoadToSessionType. " + _OTHER_DOMAIN
    ),
    135: Code("135", "The process is not managed by launchd", _REPORT),
    136: Code("136", "Not allowed for a service that exists once only", _REPORT),
    137: Code("137", "The service does not support this action", _OTHER_DOMAIN),
    138: Code("138", "The hardware does not support the service", "Remove LimitLoadToHardware from the plist."),
    139: Code("139", "The service cannot presently be executed", "Try again; if it stays, restart the Mac."),
    140: Code("EBADNAME", "The service name is reserved or invalid", "Choose another Label, without a slash."),
    141: Code("141", "Reentrancy avoided", "Try again."),
    142: Code("ENOTDEVELOPMENT", "Only possible on development systems", _REPORT),
    143: Code("143", "The entry was cached", "Try again."),
    144: Code("144", "The caller lacks an entitlement", _REPORT),
    145: Code("145", "The endpoint is hidden", _REPORT),
    146: Code("146", "The domain starts services on demand only at present", "Try again when the login is complete."),
    147: Code("147", "The service did not ship in the caller", _REPORT),
    148: Code("148", "The path was not in the cache of services", "Restart the Mac and try again."),
    149: Code("149", "LaunchServices knows no bundle of that identifier", _PLIST),
    150: Code("150", "Not allowed while System Integrity Protection is engaged", "Choose a Label of your own."),
    151: Code("151", "An internal workaround of launchd", _REPORT),
    152: Code("152", "Not possible in the current boot environment", "Start the Mac normally, not in recovery."),
    153: Code("EWTF", "Something completely unexpected happened", "Restart the Mac and try again."),
    154: Code("154", "The caller is not a platform binary", _REPORT),
    155: Code(
        "155",
        "Refusing to execute a quarantined program",
        "If you trust it: xattr -d com.apple.quarantine on the program and on the plist.",
    ),
    156: Code(
        "156", "A domain for that user id may not be created any more", "Log that user in, or use the domain system."
    ),
    157: Code("157", "The service is not on the list of system services", "Choose a Label of your own."),
    158: Code("158", "Not possible on this variant of the system", _REPORT),
    159: Code("159", "Unknown error", "Restart the Mac and try again."),
}


def describe_code(code):
    """``code`` for people: "5, Input/output error"; says so when the code is not known."""
    known = CODES.get(code)
    if known is None:
        return "%d, a code that is not documented" % code
    name = "" if known.name == str(code) else " (%s)" % known.name
    return "%d%s, %s" % (code, name, known.meaning)


def remedy_for(code, target):
    """What to do about ``code`` for the job ``target``, as a sentence."""
    known = CODES.get(code)
    return known.remedy.format(target=target) if known else _REPORT
