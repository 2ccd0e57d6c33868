# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What is asked of the module supervisor_service."""

from __future__ import annotations

from .. import request
from ..converge import reporter
from .program import Supervisor

#: The options of the module.
OPTIONS = {
    **request.OPTIONS,
    "name": {"type": "str", "required": True},
    "config": {"type": "path", "required": True},
    "supervisord": {"type": "path", "required": True},
}


def fulfil(given, check_only):
    """Bring the program to the state that ``given`` (OPTIONS) asks for; returns the result of supervisor_service.

    :param check_only: only tell what would be done.
    :raises LlamaCppError: what it cannot be brought to, and why.
    """
    report = reporter(given["progress_file"], given["name"])
    service = Supervisor(given["name"], given["config"], given["supervisord"], settle=given["settle"], report=report)
    entry = {"manager": "supervisor", "program": given["name"], "supervisord": given["supervisord"]}
    return request.brought_to_state(given, check_only, service, report, entry)
