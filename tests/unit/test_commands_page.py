# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""docs/commands.md says what the commands' parsers say."""

import runpy
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_page_is_what_the_parsers_say():
    rendered = runpy.run_path(str(DOCS / "render_commands.py"))["render"]()
    written = (DOCS / "commands.md").read_text(encoding="utf-8")
    assert written == rendered, "run: python3 docs/render_commands.py"
