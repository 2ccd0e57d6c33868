# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The man pages say what the commands' parsers say, in a form that the formatters have no complaint about."""

import runpy
import shutil
import subprocess

import pytest
from support.paths import REPOSITORY

DOCS = REPOSITORY / "docs"
PAGES = REPOSITORY / "roles" / "llama_cpp" / "files" / "man"

#: groff's are those of man on many a Linux, mandoc that of macOS.
FORMATTERS = {"mandoc": ["-T", "lint", "-W", "warning"], "groff": ["-mandoc", "-ww", "-K", "utf8", "-T", "utf8", "-z"]}


def test_pages_are_what_the_parsers_say(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS))
    pages = runpy.run_path(str(DOCS / "render_man_pages.py"))["pages"]()
    written = {path.name: path.read_text(encoding="ascii") for path in PAGES.iterdir()}
    assert written == pages, "run: python3 docs/render_man_pages.py"


@pytest.mark.parametrize("formatter", FORMATTERS)
@pytest.mark.parametrize("page", ["llm.1", "llm-manager.1"])
def test_a_formatter_understands_every_line(formatter, page):
    if shutil.which(formatter) is None:
        pytest.skip(f"there is no {formatter} on this machine")
    command = [formatter, *FORMATTERS[formatter], str(PAGES / page)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
