# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm``: one file per subcommand."""

SUMMARY = "Ask the language model of this machine. A command line that names no command is a question."
COMMANDS = ("ask", "health", "models")
DEFAULT = "ask"
