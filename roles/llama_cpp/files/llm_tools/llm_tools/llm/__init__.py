# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm``: one file per subcommand."""

SUMMARY = "Send prompts to the language model of this machine. Without a command, the arguments are the prompt."
COMMANDS = ("ask", "health", "models")
DEFAULT = "ask"
