# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm-manager``: one file per subcommand."""

SUMMARY = "Manage the llama-server of this machine."
COMMANDS = (
    *("status", "start", "stop", "restart", "drain", "logs", "test", "verify", "releases", "rollback"),
    *("watchdog", "usage"),
)
DEFAULT = None
