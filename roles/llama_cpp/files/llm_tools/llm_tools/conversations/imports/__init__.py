# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The histories of other programs.

Each program is a module with ``default_path(environ)`` and ``read(path, problem)``. ``read`` yields what
``Store.importing`` adds, as a dict of its arguments; ``problem(text)`` is told what cannot be read. The source is never
changed.
"""

from . import aichat, simonw_llm

PROGRAMS = {"simonw-llm": simonw_llm, "aichat": aichat}
