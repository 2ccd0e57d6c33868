# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What a service manager can do with the one service that it runs: the contract of launchd/job.py and
supervisor/program.py, and all that converge.py, the commands and the watchdog know of either.
"""

from __future__ import annotations

import abc

from ..base.definition import Definition


class ServiceManager(abc.ABC):
    """One service.

    Whatever changes its state waits, with a deadline, until the state is reached, and raises LlamaCppError with the
    reason when it is not.
    """

    #: The name of the service for its manager.
    name: str
    #: The file that tells the manager what to run.
    definition: Definition
    #: As whom root looks at what the service works with (see privileges.as_user); None: as the current user.
    user: str | None = None

    # -- what is ------------------------------------------------------------------------------------------------

    @abc.abstractmethod
    def check_definition(self, content):
        """Raise LlamaCppError with all that keeps ``content`` from being the definition; nothing is touched."""

    @abc.abstractmethod
    def status(self):
        """{"installed": bool, "running": bool, "pid": int or None, "state": the manager's own word, "last_exit": exit
        status, minus the number of a signal, or None}; without an error on a host where nothing is installed yet."""

    @abc.abstractmethod
    def active(self):
        """Whether anything of the service runs, or may be started at any moment."""

    @abc.abstractmethod
    def drifted(self):
        """Whether the manager runs something else than the definition in place says."""

    @abc.abstractmethod
    def deviations(self):
        """What is wrong besides the definition and the process: [(what, before, after)], ready for a diff."""

    # -- what is done -------------------------------------------------------------------------------------------

    @abc.abstractmethod
    def correct(self):
        """Put the deviations right."""

    @abc.abstractmethod
    def start(self):
        """Start it and prove that it stays; what runs is left alone."""

    @abc.abstractmethod
    def prove(self):
        """Wait until it has a process and keeps it."""

    @abc.abstractmethod
    def stop(self):
        """End it until somebody starts it again."""

    @abc.abstractmethod
    def restart(self):
        """End it, and start it with what the definition says now."""

    @abc.abstractmethod
    def clear(self):
        """End everything of it, and what an earlier run has left; nothing to end is fine."""
