# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""From a command line to a subcommand and back to an exit status.

A program is a package (``llm``, ``manager``) whose modules are its subcommands. Each module has ``SUMMARY`` (one
line), ``EXAMPLES`` (command lines, with ``%(prog)s`` for the program's name), ``add_arguments(parser)`` and
``run(environment, arguments)``, which returns an ExitCode. Expected failures are raised as LlamaCppError and end here.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import os
import sys

from . import __version__, llm, manager
from .arguments import add_server
from .core.base.errors import LlamaCppError, in_words
from .core.base.text import nearest
from .core.shells.completion import REQUEST
from .environment import KEY_VARIABLE, MANAGER, URL_VARIABLE, VARIABLES, Environment
from .errors import UsageError
from .exit_codes import ExitCode


def main(name, argv):
    """Run the command that was called as ``name`` with the arguments ``argv``; returns the exit status."""
    open_streams()
    program, environ = (manager, local_environ()) if name == MANAGER else (llm, os.environ)
    environment = Environment(name, environ)
    try:
        return run(environment, program, argv)
    except LlamaCppError as error:
        from .failures import exit_code, told  # noqa: PLC0415 - only here, and the commands have to start fast

        environment.say(told(environment, error))
        return exit_code(error)
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:  # the reader has closed the pipe
        stdout_is_unusable()
        return ExitCode.FAILURE
    except OSError as error:
        environment.say(f"{name}: {in_words(error, path='stdout' if stdout_is_unusable() else None)}")
        return ExitCode.FAILURE


def open_streams():
    """Have all output streams, with a place for characters that they cannot show.

    One that the caller has closed is None: writing to stdout is an error then, and what goes to stderr is lost.
    """
    if sys.stdout is None:
        sys.stdout = open(os.devnull)  # noqa: SIM115 - for reading, so that writing fails
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")


def stdout_is_unusable():
    """Whether stdout does not take what was written; then it is given up, or Python would fail with it at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return not sys.stdout.writable()


def local_environ():
    """The environment without variables that name another server: the manager only manages the local one."""
    return {name: value for name, value in os.environ.items() if name not in (URL_VARIABLE, KEY_VARIABLE)}


def run(environment, program, argv):
    """Find the subcommand that ``argv`` means, and run it."""
    if argv == ["--version"]:
        environment.write(f"{environment.program} {__version__} (macos_setup.llm)\n")
        return ExitCode.SUCCESS
    if argv[:1] == [REQUEST]:
        environment.write(importlib.import_module(".completion", __package__).reply(environment, program, argv[1:]))
        return ExitCode.SUCCESS
    nothing_asked = not argv and (program.DEFAULT is None or environment.is_terminal(environment.stdin))
    if nothing_asked or argv in (["-h"], ["--help"], ["help"]):
        environment.write(overview(environment.program, program))
        return ExitCode.SUCCESS
    if len(argv) == 2 and argv[0] == "help" and argv[1] in program.COMMANDS:
        argv = [argv[1], "--help"]
    command, rest = choose(environment, program, argv)
    arguments = build_parser(environment.program, program, command).parse(rest)
    if program is llm:
        environment.name_server(arguments.server, arguments.key_file)
    gc.enable()
    return module_of(program, command).run(environment, arguments)


def choose(environment, program, argv):
    """The subcommand that ``argv`` means and the arguments that are left for it.

    With a default subcommand, any words may be a prompt; a single word that equals or resembles a command is treated
    as a typo. Raises UsageError with the command that was probably meant.
    """
    name = environment.program
    if program.DEFAULT:
        argv = mode_first(program, argv)
    if argv and argv[0] in program.COMMANDS:
        return argv[0], argv[1:]
    words = [word for word in argv if not word.startswith("-")]
    one = (len(words) == 1 and " " not in words[0]) or program.DEFAULT is None  # else it is a prompt
    meant = nearest_command(environment, program, words[0]) if words and one else None
    if program.DEFAULT is None:
        if argv[0].startswith("-"):
            raise UsageError(f"options follow the command: {name} COMMAND [OPTION]…\nFor help: {name} --help")
        remedy = f"Did you mean: {meant}" if meant else f'To send a prompt: {environment.client} "{argv[0]}"'
        raise UsageError(f'unknown command "{argv[0]}". {remedy}\nFor help: {name} --help')
    if "--" not in argv and words:
        refuse_command(name, program, words, meant)
    return program.DEFAULT, argv


def refuse_command(name, program, words, meant):
    """Raise UsageError where ``words`` are rather a command than a prompt: one word that resembles a command
    (``meant``), or a command of another program with at most one argument."""
    peer = program.PEERS.get(words[0]) if len(words) <= 2 else None
    if peer:
        remedy = f"Here it is: {peer % {'prog': name}}"
    elif meant:
        remedy = f"Did you mean: {meant}"
    else:
        return
    prompt = f"To send it as a prompt: {name} {program.DEFAULT} {' '.join(words)}"
    raise UsageError(f'"{words[0]}" looks like a command. {remedy}\n{prompt}')


def nearest_command(environment, program, word):
    """The command line of either program whose subcommand is, or nearly is, ``word``; None when there is none."""
    names = {llm: environment.client, manager: MANAGER, program: environment.program}
    lines = {command: f"{name} {command}" for owner, name in names.items() for command in owner.COMMANDS}
    return lines.get(nearest(word, lines, cutoff=0.75))


def mode_first(program, argv):
    """``--mode health`` at the beginning, written as the subcommand ``health``."""
    option, _, mode = argv[0].partition("=") if argv else ("", "", "")
    if option != "--mode":
        return argv
    rest = argv[1:]
    if not mode and rest:
        mode, *rest = rest
    if mode not in program.COMMANDS:
        raise UsageError(f'unknown --mode "{mode}"; allowed: {", ".join(program.COMMANDS)}.')
    return [mode, *rest]


class Parser(argparse.ArgumentParser):
    """Does not accept abbreviated options; errors name the help.

    :ivar actions: the actions of the subcommand by name (actions.py), if it has some.
    """

    actions = None

    def __init__(self, program, command, module):
        width = help_width()
        examples = "\n".join("  " + example for example in module.EXAMPLES) % {"prog": program}
        super().__init__(
            prog=f"{program} {command}",
            description=module.SUMMARY,
            epilog=f"examples:\n{examples}",
            formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, width=width),
            allow_abbrev=False,
        )

    def parse(self, argv):
        """Parse ``argv``: options may stand between words; everything after ``--`` is a word."""
        end = argv.index("--") if "--" in argv else len(argv)
        arguments, behind = self.parse_intermixed_args(argv[:end]), argv[end + 1 :]
        if behind:
            if "words" not in arguments:
                self.error(f"unrecognized arguments: {' '.join(behind)}")
            arguments.words = [*arguments.words, *behind]
        return arguments

    def _print_message(self, message, file=None):
        """Print it now: argparse takes no notice of a failure to do so, and Python would at exit."""
        stream = file or sys.stderr
        stream.write(message)
        stream.flush()

    def error(self, message):
        self.exit(ExitCode.USAGE, f"{self.prog}: {message}\nFor help: {self.prog} --help\n")


def module_of(program, command):
    """The module of a subcommand."""
    return importlib.import_module(f"{program.__name__}.{command}")


def build_parser(name, program, command):
    """The parser of ``name command``."""
    module = module_of(program, command)
    parser = Parser(name, command, module)
    module.add_arguments(parser)
    if program is llm:
        add_server(parser)
    parser.usage = synopsis(
        parser
    )  # else argparse lays out all options at each start, for errors that do not show them
    return parser


def synopsis(parser):
    """How the command of ``parser`` is called: ``llm ask [OPTION]… [WORD]…``."""
    actions = [action for action in parser._actions if action.dest != "help"]
    words = [action for action in actions if not action.option_strings]
    options = ["[OPTION]…"] if len(words) < len(actions) else []
    return " ".join([parser.prog, *options, *map(word_of, words)])


def word_of(action):
    """A word of the command line, as ``[WORD]…``."""
    shape = {argparse.ZERO_OR_MORE: "[%s]…", argparse.ONE_OR_MORE: "%s…", argparse.OPTIONAL: "[%s]"}
    return shape.get(action.nargs, "%s") % action.metavar


def help_width():
    """The columns of a help text. argparse would import shutil for this, whether it prints one or not."""
    try:
        return int(os.environ["COLUMNS"]) - 2
    except (KeyError, ValueError):
        pass
    try:
        return os.get_terminal_size(sys.__stdout__.fileno()).columns - 2
    except (AttributeError, OSError, ValueError):
        return 78


def overview(name, program):
    """What ``--help`` prints: every subcommand in a line, and how they are used."""
    modules = {command: module_of(program, command) for command in program.COMMANDS}
    width = max(map(len, modules))
    lines = [program.SUMMARY, "", "commands:"]
    lines += [f"  {name} {command.ljust(width)}  {module.SUMMARY}" for command, module in modules.items()]
    lines += ["", "examples:"]
    lines += ["  " + example % {"prog": name} for module in modules.values() for example in module.EXAMPLES[:2]]
    lines += ["", "environment:", *(f"  {variable:<23} {meaning}" for variable, meaning in VARIABLES.items())]
    lines += ["", "exit status:", *(f"  {code.value:<3} {code.meaning}" for code in ExitCode)]
    lines += ["", f"For the options of a command: {name} COMMAND --help"]
    return "\n".join(lines) + "\n"
