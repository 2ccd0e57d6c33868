# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""One face for both service managers."""

from __future__ import annotations

from ..base.errors import LlamaCppError
from .launchd.job import Launchd
from .supervisor.program import Supervisor

SETTLE_SECONDS = 1.0  # a person waits for start and restart; whether the server answers is asked of itself


def open_service(description, sudo=None):
    """The service that ``description`` (the part ``service`` of client.json) tells of.

    Keys: ``manager`` ("launchd" or "supervisor"), ``name``, ``definition`` (path of the plist or supervisord.conf);
    for launchd ``domain``, ``launchctl``, ``auto_start`` and ``user``, for supervisor ``program`` and ``supervisord``.

    The object has ``status()`` -> {"installed": bool, "running": bool, "pid": int or None, "state": the manager's own
    word, "last_exit": exit status, minus the number of a signal, or None}, and ``start()``, ``stop()`` and
    ``restart()``, each of which waits, with a deadline, until the state is reached, and raises LlamaCppError with the
    reason when it is not.

    :param sudo: path of sudo, where a person is there to be asked for a password (see Launchd).
    """
    manager = description.get("manager")
    try:
        if manager == "supervisor":
            return Supervisor(
                description["program"], description["definition"], description["supervisord"], settle=SETTLE_SECONDS
            )
        if manager == "launchd":
            return Launchd(
                description["name"],
                description["definition"],
                domain=description["domain"],
                launchctl=description["launchctl"],
                enabled=description.get("auto_start"),
                settle=SETTLE_SECONDS,
                user=description.get("user"),
                sudo=sudo,
            )
    except KeyError as missing:
        raise LlamaCppError("The description of the service lacks %s." % missing) from None
    raise LlamaCppError('Unknown service manager "%s"; known are launchd and supervisor.' % manager)
