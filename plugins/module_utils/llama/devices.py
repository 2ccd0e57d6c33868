# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What a llama-server binary can compute on, by its own word."""

from __future__ import annotations

import subprocess

from ..base.errors import LlamaCppError

DEVICES_SECONDS = 60


def list_devices(binary):
    """The devices that a llama-server binary can compute on, as a dict of name to description.

    The CPU is not listed. Metal is called ``MTL0`` (``common_print_available_devices`` in common/arg.cpp).
    Raises LlamaCppError when the binary does not run.
    """
    try:
        done = subprocess.run(
            [binary, "--list-devices"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=DEVICES_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise LlamaCppError(f"{binary} --list-devices does not work: {error}.") from error
    lines = done.stdout.decode("utf-8", "replace").partition("Available devices:")[2].splitlines()
    named = (line.strip().partition(": ") for line in lines)
    return {name: description for name, colon, description in named if colon}
