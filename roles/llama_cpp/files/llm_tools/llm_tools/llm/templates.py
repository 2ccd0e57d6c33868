# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm templates``: the named prompts of this user."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess

from .. import templates
from ..actions import Action, add_actions, run_action
from ..core.base.errors import LlamaCppError
from ..errors import UsageError
from ..exit_codes import ExitCode
from ..user_files import make_private, templates_dir

SUMMARY = "List, show, edit and delete templates, which are named prompts with variables."
EXAMPLES = (
    "%(prog)s templates",
    "%(prog)s templates edit translate",
    "%(prog)s templates show translate",
    'cd "$(%(prog)s templates path)"',
)


def add_arguments(parser):
    add_actions(parser, ACTIONS)


def run(environment, arguments):
    return run_action(environment, arguments, ACTIONS, "templates")


def directory_of(environment):
    """The directory of this user's templates."""
    return templates_dir(environment.environ)


def list_all(environment, arguments):
    found = templates.names(directory_of(environment))
    environment.write("".join(name + "\n" for name in found))
    if not found:
        environment.say(f"There are no templates. To make one: {environment.program} templates edit NAME")
    return ExitCode.SUCCESS


def show(environment, arguments):
    template = templates.load(directory_of(environment), arguments.words[0])
    with open(template.path, encoding="utf-8") as stream:
        environment.write(stream.read())
    return ExitCode.SUCCESS


def edit(environment, arguments):
    """Start the editor of this user on the template, then read it, so that a mistake is told at once."""
    directory, name = directory_of(environment), arguments.words[0]
    path = templates.path_of(directory, name)
    make_private(directory)
    editor = environment.environ.get("VISUAL") or environment.environ.get("EDITOR") or "vi"
    umask = os.umask(0o077)
    try:
        status = subprocess.run([*shlex.split(editor), path], check=False).returncode
    except OSError as error:
        raise UsageError(f'the editor "{editor}" cannot be started: {error.strerror}. Set VISUAL or EDITOR.') from error
    finally:
        os.umask(umask)
    if status:
        raise LlamaCppError(f'the editor "{editor}" ended with status {status}.')
    if os.path.exists(path):
        templates.load(directory, name)
    else:
        environment.say("Nothing was saved.")
    return ExitCode.SUCCESS


def path(environment, arguments):
    directory = directory_of(environment)
    found = templates.path_of(directory, arguments.words[0]) if arguments.words else directory
    environment.write(found + "\n")
    return ExitCode.SUCCESS


def delete(environment, arguments):
    directory = directory_of(environment)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(templates.path_of(directory, arguments.words[0]))
        return ExitCode.SUCCESS
    templates.load(directory, arguments.words[0])  # tells the nearest name
    return ExitCode.SUCCESS


ACTIONS = {
    "list": Action(list_all),
    "show": Action(show, "NAME"),
    "edit": Action(edit, "NAME"),
    "path": Action(path, "[NAME]"),
    "delete": Action(delete, "NAME"),
}
