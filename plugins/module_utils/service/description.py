# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""From a description of a service, as client.json and the manifest hold it, to the service itself."""

from __future__ import annotations

from ..base.errors import LlamaCppError
from .launchd.domains import domain_of
from .launchd.job import Launchd
from .launchd.launchctl import Launchctl
from .supervisor.program import Supervisor

SETTLE_SECONDS = 1.0  # a person waits for start and restart; whether the server answers is asked of itself


def open_service(description, sudo=None):
    """The :class:`ServiceManager` of the service that ``description`` tells of.

    Keys: ``manager`` ("launchd" or "supervisor") and ``definition`` (path of the plist or supervisord.conf); for
    launchd ``name``, ``domains`` (in the order in which they are wanted; the job is in one of them) or the
    single ``domain``, ``launchctl``, ``auto_start`` and ``user``; for supervisor ``program`` and ``supervisord``.

    :param sudo: path of sudo, where a person is there to be asked for a password (see Launchd).
    """
    manager = description.get("manager")
    try:
        if manager == "supervisor":
            return Supervisor(
                description["program"], description["definition"], description["supervisord"], settle=SETTLE_SECONDS
            )
        if manager == "launchd":
            name, launchctl = description["name"], description["launchctl"]
            domains = description.get("domains") or [description["domain"]]
            return Launchd(
                name,
                description["definition"],
                domain=domain_of(Launchctl(launchctl), [name], domains),
                launchctl=launchctl,
                enabled=description.get("auto_start"),
                settle=SETTLE_SECONDS,
                user=description.get("user"),
                sudo=sudo,
            )
    except KeyError as missing:
        raise LlamaCppError("The description of the service lacks %s." % missing) from None
    raise LlamaCppError('Unknown service manager "%s"; known are launchd and supervisor.' % manager)
