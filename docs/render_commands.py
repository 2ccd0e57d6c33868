# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Writes docs/commands.md from the parsers of the commands: ``python3 docs/render_commands.py``.

The page is made from the parsers' options, not from argparse's own help, whose layout differs between versions of
Python and widths of terminals. A test fails when the page differs from what this would write.
"""

import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
PAGE = REPOSITORY / "docs" / "commands.md"
sys.path.insert(0, str(REPOSITORY / "roles" / "llama_cpp" / "files" / "llm_tools"))

from llm_tools import cli, llm, manager  # noqa: E402 - after the path is set
from llm_tools.environment import MANAGER, VARIABLES  # noqa: E402 - after the path is set
from llm_tools.exit_codes import ExitCode  # noqa: E402 - after the path is set

INTRODUCTION = """\
<!-- Written by docs/render_commands.py; change the commands, then run it. -->
# The commands

Data goes to stdout, everything else to stderr, so the output of every command can be piped. The play installs and
configures the commands; `llm` is also installed as `llm-client`.

Man pages and completion scripts for bash, zsh and fish are installed with them. zsh finds those below a home only after
this line in `~/.zshrc`, in place of another call of `compinit`:
`fpath=(~/.local/share/zsh/site-functions $fpath); autoload -Uz compinit && compinit`
"""


def render():
    """The whole page, as text."""
    parts = [INTRODUCTION]
    for name, program in (("llm", llm), (MANAGER, manager)):
        parts.append(f"## `{name}`\n\n{program.SUMMARY}\n")
        parts += [render_command(name, program, command) for command in program.COMMANDS]
    parts.append(table("Environment", ("variable", "meaning"), [(f"`{n}`", text) for n, text in VARIABLES.items()]))
    parts.append(table("Exit status", ("status", "meaning"), [(str(code.value), code.meaning) for code in ExitCode]))
    return "\n".join(parts)


def render_command(name, program, command):
    """One subcommand: what it is for, how it is called, its options, examples."""
    module = cli.module_of(program, command)
    actions = actions_of(name, program, command)
    usage = cli.build_parser(name, program, command).usage
    examples = "\n".join(example % {"prog": name} for example in module.EXAMPLES)
    parts = [f"### `{name} {command}`\n\n{module.SUMMARY}\n", f"```text\n{usage}\n```\n"]
    if actions:
        parts.append(table(None, ("argument", "meaning"), [(f"`{spelling(a)}`", escape(a.help)) for a in actions]))
    parts.append(f"```sh\n{examples}\n```\n")
    return "\n".join(parts)


def actions_of(name, program, command):
    """The arguments of a subcommand, but for --help."""
    return [action for action in cli.build_parser(name, program, command)._actions if action.dest != "help"]


def spelling(action):
    """``-m, --model NAME`` or, for words of the command line, ``[WORD]…``."""
    if not action.option_strings:
        return cli.word_of(action)
    value = "" if action.nargs == 0 else f" {action.metavar}"
    return escape(", ".join(action.option_strings) + value)


def table(title, heading, rows):
    """A Markdown table, below its title if it has one."""
    lines = [f"## {title}\n"] if title else []
    lines += [f"| {' | '.join(cells)} |" for cells in (heading, ["---"] * len(heading), *rows)]
    return "\n".join(lines) + "\n"


def escape(text):
    """``text`` for a cell of a table."""
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
