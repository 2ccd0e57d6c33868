# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The service that ``llm-manager`` manages."""

from __future__ import annotations

import os

from ..core.base.privileges import is_root
from ..core.runner.crash_loop import why_held, why_not_started
from ..core.service.description import open_service
from ..errors import UsageError

#: Through which launchctl changes the domain system; only its looks are for everybody.
SUDO = "/usr/bin/sudo"


def configured_service(environment):
    """The service that the play set up. Raises UsageError when it set up none."""
    description = environment.section("service")
    if not description.get("manager"):
        raise UsageError("No service is configured: the play ran with feature_flags.setup_service disabled.")
    _refuse_root(environment)
    return open_service(description, sudo=SUDO)


def _refuse_root(environment):
    """Run as root, it would run the user's files as root."""
    directory = environment.section("paths").get("install_dir") or "/"
    if is_root() and os.path.exists(directory) and os.stat(directory).st_uid != 0:
        raise UsageError(
            f"run {environment.program} as the user of the service, without sudo; it asks for a password when launchd "
            "requires root."
        )


def why_service_is_held(environment):
    """Why the runner of the service has given up starting the server, as text; None when it has not."""
    state_file = environment.section("service").get("state_file")
    return why_held(state_file) if state_file else None


def why_service_did_not_start(environment):
    """Why the last start of the server came to nothing, as text, also while there will be another; None when it did."""
    state_file = environment.section("service").get("state_file")
    return why_not_started(state_file) if state_file else None
