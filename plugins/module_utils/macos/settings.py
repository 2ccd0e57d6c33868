# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What is changed of a Mac itself, only when its owner asks: the GPU's share of memory, and a start after a power cut.

macOS forgets the share at every restart, so a job of launchd sets it at boot (man sysctl; /etc/sysctl.conf is not read
any more). Its plist tells that the limit is ours, and a record that the start after a power cut is: only then is it
taken back when the configuration does not ask for it any more. Both are root's files: root believes nothing that a
user can write.
"""

from __future__ import annotations

import contextlib
import os
from typing import Callable, NamedTuple

from ..base import commands
from ..base.definition import Definition
from ..base.errors import LlamaCppError, in_words
from ..base.files import make_directories, read_json, write_json_atomically
from ..base.text import difference
from ..ownership.marker import MANAGED_BY, is_ours
from . import hardware as mac_hardware
from . import plist, power

DAEMONS = "/Library/LaunchDaemons"
WIRED_LIMIT_NAME = "com.llama.wired-limit"
WIRED_LIMIT_PLIST = f"{DAEMONS}/{WIRED_LIMIT_NAME}.plist"
RECORD = "/Library/Application Support/macos_setup.llm/settings.json"  # name of a setting -> its value before
AUTORESTART = "pmset autorestart"
OWNER = (0, 0)  # launchd takes no daemon that belongs to anybody but root:wheel

REMEDY = "Run the play as a user who may become root."


class Change(NamedTuple):
    """Something to be put right, in the form that ``--diff`` prints, and what does it."""

    diff: dict
    make: Callable


def sets_limit_at_boot(path):
    """Whether a plist of this collection's is there that sets the limit."""
    return os.path.exists(path) and is_ours(path)


def changed_here(plist_path, record):
    """Whether something of this Mac is as this collection has set it, by what the plist and the record tell."""
    return sets_limit_at_boot(plist_path) or AUTORESTART in _noted(record)


def converge(
    *,
    wired_limit_mb,
    content,
    autorestart,
    record=RECORD,
    path=WIRED_LIMIT_PLIST,
    sysctl=mac_hardware.SYSCTL,
    pmset=power.PMSET,
    check=False,
):
    """What the module ``mac_settings`` returns, for its options.

    Raises LlamaCppError for a limit that this Mac cannot have, before anything is changed, and for what goes wrong.
    """
    changes = [
        *_limit(wired_limit_mb, content, Definition(path, 0o644, OWNER), sysctl),
        *_autorestart(autorestart, record, pmset),
    ]
    if not check:
        for change in changes:
            change.make()
    return {"changed": bool(changes), "diff": [change.diff for change in changes]}


def _limit(wanted, content, definition, sysctl):
    hardware, found = mac_hardware.read_hardware(sysctl), definition.content()
    if wanted:
        mac_hardware.check_wired_limit(wanted, hardware)
        wrong = plist.problems(content, definition.path, "system")
        if wrong:
            raise LlamaCppError(f"{definition.path} would not be valid; nothing was changed: {'; '.join(wrong)}.")
        if found != content:
            yield Change(definition.diff(content), lambda: _write(definition, content))
        for what, before, after in definition.deviations() if found == content else ():
            yield Change(_diff(what, before, after), definition.correct_attributes)
    elif not sets_limit_at_boot(definition.path):
        return  # a limit that somebody else has set, or none
    if hardware.wired_limit_mb != wanted:
        name = mac_hardware.NAMES["wired_limit_mb"]
        yield Change(_diff(name, hardware.wired_limit_mb, wanted), lambda: _set(sysctl, name, wanted))
    if not wanted:  # last: a run that is killed before it knows by the plist what is left to do
        yield Change(definition.diff(None), definition.remove)


def _write(definition, content):
    definition.prepare(content)
    definition.commit()
    definition.accept()


def _set(sysctl, name, value):
    what = f"{sysctl} {name}={value}"
    commands.check([sysctl, f"{name}={value}"], what, REMEDY)
    if mac_hardware.read_hardware(sysctl).wired_limit_mb != value:
        raise LlamaCppError(f"{what} ended well, yet {name} is another. See what this Mac says: sysctl {name}")


def _autorestart(wanted, record, pmset):
    """A Mac that does not know the setting, such as one with a battery, has nothing to set.

    Noted first and forgotten last, so that a run that was killed is completed by the next.
    """
    found, name = _found_autorestart(pmset), "autorestart (pmset)"
    if wanted and found == 0:
        yield Change(_diff(name, 0, 1), lambda: _turn_on(record, pmset))
    elif not wanted and AUTORESTART in _noted(record):
        if found == 1:
            yield Change(_diff(name, 1, 0), lambda: _set_autorestart(0, pmset))
        noted = f"{AUTORESTART} was turned on here"
        yield Change(_diff(record, noted, "nothing"), lambda: _forget(record))


def _found_autorestart(pmset):
    return power.read_sources(pmset).get(power.AC, {}).get("autorestart")


def _turn_on(record, pmset):
    try:
        make_directories(os.path.dirname(record))
        write_json_atomically(record, {"_": MANAGED_BY, AUTORESTART: 0})
    except OSError as error:
        raise LlamaCppError(in_words(error, "cannot be written", record)) from None
    _set_autorestart(1, pmset)


def _noted(record):
    found = read_json(record)
    return found if isinstance(found, dict) else {}


def _forget(record):
    os.unlink(record)
    with contextlib.suppress(OSError):  # something else is in it
        os.rmdir(os.path.dirname(record))


def _set_autorestart(value, pmset):
    command = [pmset, "-a", "autorestart", str(value)]
    commands.check(command, " ".join(command), REMEDY)
    if _found_autorestart(pmset) != value:
        raise LlamaCppError(f"{' '.join(command)} ended well, yet the setting is another. See: {pmset} -g custom")


def _diff(what, before, after):
    return difference(what, f"{before}\n", f"{after}\n")
