# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm conversations``: the conversations that were saved."""

from __future__ import annotations

import time

from ..actions import Action, add_actions, run_action
from ..arguments import add_json
from ..conversations.conversation import utc
from ..conversations.export import FORMATS, document, markdown
from ..conversations.store import Store
from ..core.base.errors import LlamaCppError
from ..core.base.text import did_you_mean
from ..errors import UsageError
from ..exit_codes import ExitCode
from ..user_files import conversations_dir
from ..writers import open_writer

SUMMARY = "List, show, search, export, delete and import saved conversations."
EXAMPLES = (
    "%(prog)s conversations",
    "%(prog)s conversations show 20261126-153012-k3",
    '%(prog)s conversations search "unit test"',
    "%(prog)s conversations export 20261126-153012-k3 --format json > conversation.json",
    "%(prog)s conversations delete 20261126-153012-k3",
    "%(prog)s conversations import simonw-llm",
)

SHOWN = ("id", "title", "model", "created")


def add_arguments(parser):
    add_actions(parser, ACTIONS)
    add_json(parser, "what list, show and search print")
    parser.add_argument(
        "--format", metavar="FORMAT", choices=FORMATS, help=f"of export: {', '.join(FORMATS)} (default: markdown)"
    )
    parser.add_argument("-y", "--yes", action="store_true", help="delete without asking")


def run(environment, arguments):
    return run_action(environment, arguments, ACTIONS, "conversations")


def store_of(environment):
    """The conversations of this user."""
    return Store(conversations_dir(environment.environ))


def list_all(environment, arguments):
    summaries = store_of(environment).summaries()
    usable = [summary for summary in summaries if not summary.problem]
    if arguments.json:
        environment.write_json({"conversations": [facts(summary) for summary in usable]})
    else:
        lines = ("  ".join([entry.id, local_time(entry.updated), entry.title or "-"]) + "\n" for entry in usable)
        environment.write("".join(lines))
    for summary in summaries:
        if summary.problem:
            environment.say(summary.problem)
    if not summaries:
        environment.say("There are no saved conversations.")
    return ExitCode.SUCCESS


def show(environment, arguments):
    conversation = store_of(environment).find(arguments.words[0])
    if arguments.json:
        environment.write_json(document(conversation))
    else:
        with open_writer(environment) as writer:
            writer.write(markdown(conversation))
    return ExitCode.SUCCESS


def search(environment, arguments):
    hits = store_of(environment).search(" ".join(arguments.words))
    if arguments.json:
        found = [{**facts(hit.summary), "role": hit.role, "excerpt": hit.excerpt} for hit in hits]
        environment.write_json({"hits": found})
        return ExitCode.SUCCESS if found else ExitCode.FAILURE
    code = ExitCode.FAILURE
    for hit in hits:
        environment.write(f"{hit.summary.id}  {hit.role or 'title'}: {hit.excerpt}\n")
        code = ExitCode.SUCCESS
    return code


def export(environment, arguments):
    exported = FORMATS[arguments.format or "markdown"](store_of(environment).find(arguments.words[0]))
    if isinstance(exported, str):
        environment.write(exported)
    else:
        environment.write_json(exported)
    return ExitCode.SUCCESS


def delete(environment, arguments):
    store = store_of(environment)
    found = {store.summary_of(word): None for word in arguments.words}  # all are known before the first is deleted
    if not arguments.yes:
        confirm(environment, found)
    for summary in found:
        store.delete(summary.id)
        environment.say(f"{summary.id} is deleted.")
    return ExitCode.SUCCESS


def confirm(environment, summaries):
    """Ask on the terminal. Raises UsageError where there is none, LlamaCppError for anything but yes."""
    if not environment.is_terminal(environment.stdin):
        raise UsageError("nothing is deleted without a confirmation. Add --yes to delete without asking.")
    for summary in summaries:
        environment.say(f"{summary.id}  {summary.title or '-'}")
    environment.say("Delete? [y/N] ", end="")
    if environment.stdin.readline().strip().lower() not in ("y", "yes"):
        raise LlamaCppError("nothing was deleted.")


def rename(environment, arguments):
    conversation = store_of(environment).find(arguments.words[0])
    conversation.rename(" ".join(arguments.words[1:]))
    return ExitCode.SUCCESS


def import_history(environment, arguments):
    """The history of another program; what cannot be read is named, and the rest is imported."""
    from ..conversations.imports import PROGRAMS  # noqa: PLC0415 - sqlite3 is slow to import

    name, *paths = arguments.words
    if name not in PROGRAMS:
        hint = did_you_mean(name, PROGRAMS) or "."
        raise UsageError(f'cannot import from "{name}"{hint} Programs: {", ".join(PROGRAMS)}')
    path = paths[0] if paths else PROGRAMS[name].default_path(environment.environ)
    added = known = 0
    problems = []
    with store_of(environment).importing() as add:
        for found in PROGRAMS[name].read(path, problems.append):
            if add(**found):
                added += 1
            else:
                known += 1
            environment.status(f"{added + known} conversations")
    environment.say(f"{path}: {added} conversations imported, {known} were imported before.")
    if problems:
        raise LlamaCppError("not everything could be imported:\n" + "\n".join(problems))
    return ExitCode.SUCCESS


def facts(summary):
    """What is told about a conversation as JSON."""
    return {**{name: getattr(summary, name) for name in SHOWN}, "updated": utc(summary.updated), "path": summary.path}


def local_time(seconds):
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


ACTIONS = {
    "list": Action(list_all),
    "show": Action(show, "ID"),
    "search": Action(search, "TEXT…"),
    "export": Action(export, "ID"),
    "delete": Action(delete, "ID…"),
    "rename": Action(rename, "ID TITLE…"),
    "import": Action(import_history, "simonw-llm|aichat [PATH]"),
}
