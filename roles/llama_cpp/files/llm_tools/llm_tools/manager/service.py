# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The service that ``llm-manager`` looks after."""

from __future__ import annotations

from ..core.run_state import why_held
from ..core.service import open_service
from ..environment import UsageError


def configured_service(environment):
    """The service that the play set up. Raises UsageError when it set up none."""
    description = environment.section("service")
    if not description.get("manager"):
        raise UsageError("No service is configured: the play ran with feature_flags.setup_service switched off.")
    return open_service(description)


def why_service_is_held(environment):
    """Why the runner of the service has given up starting the server, as text; None when it has not."""
    state_file = environment.section("service").get("state_file")
    return why_held(state_file) if state_file else None
