# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Writes docs/recordings/chat.svg, the picture of ``llm chat`` in README.md: ``python docs/render_recording.py``.

The lines of docs/recordings/chat.txt are typed into the real command, which asks a real llama-server with the self-test
model, whose answers are known. Needs the packages of the tests and a compiled llama-server (tests/support).
"""

import io
import re
import sys
import tempfile
from itertools import groupby
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
SCRIPT = REPOSITORY / "docs" / "recordings" / "chat.txt"
PICTURE = SCRIPT.with_suffix(".svg")
MODEL = REPOSITORY / "roles" / "llama_cpp" / "files" / "selftest" / "selftest.gguf"
NAME = "selftest"
COLUMNS, LINES = 80, 60
sys.path[:0] = [str(REPOSITORY / ".collections"), str(REPOSITORY / "tests")]

from ansible_collections.macos_setup.llm.plugins.module_utils.engine.temporary_server import (  # noqa: E402 - after the path is set
    TemporaryServer,
)
from rich.console import Console  # noqa: E402 - after the path is set
from rich.style import Style  # noqa: E402 - after the path is set
from rich.text import Text  # noqa: E402 - after the path is set
from support.built_engine import require_server  # noqa: E402 - after the path is set
from support.commands import Commands  # noqa: E402 - after the path is set


def render(url):
    """The picture, as text, of the chat with the server at ``url``."""
    with tempfile.TemporaryDirectory() as directory:
        commands = Commands(Path(directory))
        commands.config["server"].update(url=url, model=NAME)
        environ = {"HOME": directory, "COLORTERM": ""}
        with commands.terminal("llm", "chat", "-t", "0", environ=environ, columns=COLUMNS, lines=LINES) as terminal:
            terminal.wait_for(lambda window: window.rows[-1:] == [">"])
            for line in SCRIPT.read_text(encoding="utf-8").splitlines():
                say(terminal, line)
            terminal.type("/exit\r")
            terminal.end()
            return drawn(terminal.window)


def say(terminal, line):
    """Type ``line``, and wait for the next prompt."""
    before = len(terminal.window.rows)
    terminal.type(line + "\r")
    terminal.wait_for(lambda window: len(window.rows) > before and window.rows[-1] == ">")


def drawn(window):
    """What ``window`` shows, as an SVG without anything that is loaded from elsewhere."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    for y, row in enumerate(window.rows):
        cells = (window.buffer[y][x] for x in range(len(row)))
        console.print(
            Text.assemble(*(("".join(c.data for c in run), style) for style, run in groupby(cells, style_of)))
        )
    picture = console.export_svg(title="llm chat", unique_id="chat")
    picture = re.sub(r"<!--.*?-->|@font-face \{.*?\}", "", picture, flags=re.DOTALL)
    return "\n".join(line.rstrip() for line in picture.splitlines() if line.strip()) + "\n"


def style_of(cell):
    """The style of a cell of the window, for rich."""
    colour = None if cell.fg == "default" else cell.fg.replace("brown", "yellow")
    return Style(bold=cell.bold, italic=cell.italics, underline=cell.underscore, color=colour)


if __name__ == "__main__":
    arguments = ["--threads", "1", "--alias", NAME]
    with TemporaryServer(str(require_server()), str(MODEL), arguments) as server:
        PICTURE.write_text(render(server.base_url), encoding="utf-8")
