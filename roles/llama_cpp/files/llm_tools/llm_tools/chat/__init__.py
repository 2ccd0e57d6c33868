# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm chat``: a conversation at the terminal.

``session.py`` is the state and asks; ``commands.py`` is what ``/help`` lists; ``repl.py`` reads line after line, with
``editor.py`` where prompt_toolkit is installed. Only ``editor.py`` imports that: it takes a tenth of a second.
"""
