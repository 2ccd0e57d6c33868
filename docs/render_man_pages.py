# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Writes the man pages of the commands from their parsers: ``python3 docs/render_man_pages.py``.

They are in mdoc(7), which macOS and Linux format alike. The play installs a page for each name of a command, which
stands for PROGRAM. A test fails when a page differs from what this would write.
"""

import re
import textwrap

from render_commands import MANAGER, REPOSITORY, VARIABLES, ExitCode, actions_of, cli, llm, manager

# render_commands has set the path.
# isort: split
from llm_tools import user_files

DIRECTORY = REPOSITORY / "roles" / "llama_cpp" / "files" / "man"
PROGRAM = "@PROGRAM@"
DATE = "November 27, 2026"

HELP = "print the options of a command"


def render(program):
    """The page of ``program``, as text."""
    is_client = program is llm
    common = common_options(program)
    lines = [
        f".Dd {DATE}",
        f".Dt {PROGRAM} 1",
        ".Os",
        ".Sh NAME",
        f".Nm {PROGRAM}",
        f".Nd {escape(one_line(program.SUMMARY))}",
        ".Sh SYNOPSIS",
        f".Nm {PROGRAM}",
        ".Op Ar COMMAND" if is_client else ".Ar COMMAND",
        ".Op Ar OPTION ...",
        ".Op Ar WORD ...",
        f".Nm {PROGRAM}",
        ".Fl -help | -version",
        ".Sh DESCRIPTION",
        *prose(program.SUMMARY),
        *prose("Data goes to stdout, everything else to stderr, so the output of every command can be piped."),
        ".Sh COMMANDS",
    ]
    for command in program.COMMANDS:
        lines += of_command(program, command, common)
    lines += [".Sh OPTIONS", *prose("Every command has these options:"), *options(common)]
    lines += [".Sh ENVIRONMENT", *rows("Ev", VARIABLES.items())]
    lines += [".Sh FILES", *rows("Pa", files(is_client).items())]
    lines += [".Sh EXIT STATUS", *rows("Er", ((str(code.value), code.meaning) for code in ExitCode), "Ds")]
    lines += [".Sh EXAMPLES", *examples(program)]
    lines += [".Sh SEE ALSO", ".Xr llm-manager 1" if is_client else ".Xr llm-client 1"]
    return "\n".join(lines) + "\n"


def common_options(program):
    """The options that every subcommand has."""
    of_all = [cli.build_parser(PROGRAM, program, command)._actions for command in program.COMMANDS]
    spellings = set.intersection(*({tuple(action.option_strings) for action in actions} for actions in of_all))
    return [action for action in of_all[0] if action.option_strings and tuple(action.option_strings) in spellings]


def of_command(program, command, common):
    """A subcommand: its words, what it does, the options that not every one has."""
    actions = actions_of(PROGRAM, program, command)
    shared = [action.option_strings for action in common]
    own = [action for action in actions if action.option_strings and action.option_strings not in shared]
    words = [action for action in actions if not action.option_strings]
    usage = "".join(f" Ar {escape(cli.word_of(word))}" for word in words)
    lines = [f".Ss {command}", f".D1 Nm {PROGRAM} Cm {command}{usage}"]
    lines += prose(cli.module_of(program, command).SUMMARY)
    return lines + options([*words, *own])


def options(actions):
    """A list of arguments with what they mean."""
    lines = [".Bl -tag -width Ds"]
    for action in actions:
        spellings = " , ".join(f"Fl {escape(spelling[1:])}" for spelling in action.option_strings)
        value = f"Ar {escape(action.metavar)}" if action.metavar and action.nargs != 0 else ""
        meaning = HELP if action.dest == "help" else action.help
        lines += [f".It {spellings} {value}".replace("  ", " ").rstrip(), *prose(meaning)]
    return [*lines, ".El"] if len(lines) > 1 else []


def rows(macro, pairs, width="Ds"):
    lines = [f".Bl -tag -width {width}"]
    for name, meaning in pairs:
        lines += [f".It {macro} {escape(name)}" if macro != "Er" else f".It {name}", *prose(meaning)]
    return [*lines, ".El"]


def files(is_client):
    """Path -> what is there."""
    found = {"<install_dir>/tools/client.json": "configuration of the commands, written by the play"}
    if is_client:
        name, elsewhere = user_files.NAME, f"below {user_files.MACOS}/{user_files.NAME} on macOS"
        found[f"~/.local/share/{name}/conversations"] = f"saved conversations; {elsewhere}"
        found[f"~/.config/{name}/templates"] = f"templates; {elsewhere}"
        found[f"~/.local/state/{name}/history"] = f"what was typed in a chat; {elsewhere}"
    return found


def examples(program):
    lines = [example for command in program.COMMANDS for example in cli.module_of(program, command).EXAMPLES]
    return [".Bd -literal", *(escape(line % {"prog": PROGRAM}) for line in lines), ".Ed"]


def one_line(summary):
    first = summary.split(". ")[0].rstrip(".")
    return first[0].lower() + first[1:]


def prose(text):
    """``text`` as lines of the page, each sentence on its own as mdoc(7) wants it."""
    sentences = re.split(r"(?<=[.!?]) +(?=[A-Z])", text)
    wrapped = (textwrap.wrap(sentence, 70, break_long_words=False, break_on_hyphens=False) for sentence in sentences)
    return [escape(line) for lines in wrapped for line in lines]


def escape(text):
    """``text`` so that it is taken for what it is: no macro, no hyphen for a minus, ASCII alone."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    text = "".join(char if char.isascii() else f"\\[u{ord(char):04X}]" for char in text)
    return "\\&" + text if text.startswith((".", "'")) else text


def pages():
    """Name of the file -> its text."""
    return {"llm.1": render(llm), f"{MANAGER}.1": render(manager)}


if __name__ == "__main__":
    DIRECTORY.mkdir(exist_ok=True)
    for name, text in pages().items():
        (DIRECTORY / name).write_text(text, encoding="ascii")
