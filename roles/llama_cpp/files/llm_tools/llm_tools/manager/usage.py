# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm-manager usage``: who used how much, from the access log of a gateway."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import os
import re
import subprocess
import tempfile
import time

from ..arguments import add_json
from ..core.base.errors import LlamaCppError, in_words
from ..core.base.rotating_log import numbered, rotated_numbers
from ..core.gateway.usage import GROUPS, PERCENTILES, Usage
from ..environment import printable
from ..errors import UsageError
from ..exit_codes import ExitCode

SUMMARY = "Sum up who used how much of a gateway, from its access log."
EXAMPLES = (
    "%(prog)s usage",
    "%(prog)s usage --by client --by day --since 2026-11-01",
    "%(prog)s usage --by model --since 7d --json",
    "ssh gateway journalctl -u llama-cpp-gateway -o cat | %(prog)s usage -",
)

UNITS = {"h": 3600, "d": 86400, "w": 7 * 86400}
HEADINGS = ("requests", "errors", "left", "prompt tokens", "completion tokens", "uncounted")
UNCOUNTED = (
    "Answers that are not in the sums of tokens, since the log does not tell theirs: {}. They ended early, came from "
    "no model, or streamed through an HAProxy without Lua."
)


def add_arguments(parser):
    parser.add_argument(
        "files",
        metavar="FILE",
        nargs="*",
        help='an access log, or "-" for stdin; by default that of the gateway on this machine, with its older files',
    )
    parser.add_argument(
        "--by",
        metavar="WHAT",
        action="append",
        choices=GROUPS,
        help=f"sum up by this; repeatable: {', '.join(GROUPS)} (default: client)",
    )
    parser.add_argument(
        "--since",
        metavar="WHEN",
        type=moment,
        help="from this date or time on, or for so long: 2026-11-01, 24h, 7d, 4w",
    )
    parser.add_argument("--until", metavar="WHEN", type=moment, help="before this date or time")
    add_json(parser, "the sums")


def moment(text):
    """A date or a time, local where it names no time zone, or so long ago, in seconds since 1970."""
    ago = re.fullmatch(r"(\d{1,6})([hdw])", text)
    if ago:
        return time.time() - int(ago[1]) * UNITS[ago[2]]
    try:
        return datetime.datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(
            f'"{text}" is no date; expected: 2026-11-01, 2026-11-01T08:00, 24h or 7d'
        ) from None


def run(environment, arguments):
    usage = Usage(arguments.by or ["client"], arguments.since, arguments.until)
    gateway = environment.section("gateway")
    for path in arguments.files:
        feed_file(environment, usage, path)
    if not arguments.files:
        if gateway.get("unit"):
            feed_journal(usage, gateway, arguments.since)
        elif gateway.get("log"):
            for path in with_older(gateway["log"]):
                feed_file(environment, usage, path)
        else:
            raise UsageError(
                "No gateway is configured on this machine. Name its access log, or read it from there: "
                f"ssh GATEWAY journalctl -u llama-cpp-gateway -o cat | {environment.program} usage -"
            )
    if arguments.json:
        environment.write_json(document(usage))
    else:
        environment.write(table(usage))
        if usage.total.uncounted:
            environment.say(UNCOUNTED.format(usage.total.uncounted))
    if usage.damaged:
        environment.say(f"Damaged lines that were left out: {usage.damaged}.")
    return ExitCode.SUCCESS


def feed_file(environment, usage, path):
    if path == "-":
        if environment.stdin is None:
            raise UsageError("stdin is closed; name a file.")
        usage.feed(environment.stdin.buffer)
        return
    try:
        with open(path, "rb") as stream:
            usage.feed(stream)
    except OSError as error:
        raise LlamaCppError(in_words(error, "cannot be read", path)) from error


def with_older(path):
    """The log ``path`` and the files that were rotated away from it, the oldest first, as far as they are there."""
    with contextlib.suppress(FileNotFoundError):
        older = [numbered(path, number) for number in reversed(rotated_numbers(path))]
        return [*older, *([path] if os.path.exists(path) else [])]
    return []


def feed_journal(usage, gateway, since):
    """Have journalctl print the log. Raises LlamaCppError when it does not."""
    command = [gateway["journalctl"], "--no-pager", "--output=cat", f"--unit={gateway['unit']}"]
    command += [f"--since=@{int(since)}"] if since else []
    with tempfile.TemporaryFile() as said:
        try:
            with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said) as journal:
                usage.feed(journal.stdout)
        except OSError as error:
            raise LlamaCppError(in_words(error, "cannot be run", command[0])) from error
        said.seek(0)
        why = said.read(1000).decode("utf-8", "replace").strip()
    if journal.returncode or (why and not usage.total.requests):
        raise LlamaCppError(f"journalctl does not print the log of the gateway: {why or journal.returncode}")


def document(usage):
    """The sums as JSON."""
    groups = [{**names, **sums.facts()} for names, sums in usage.groups()]
    return {"by": list(usage.by), "groups": groups, "total": usage.total.facts(), "damaged": usage.damaged}


def table(usage):
    """The sums as text: a row for each group, and one for all where there are several."""
    head = [*usage.by, *HEADINGS, *(f"first byte p{percent}" for percent in PERCENTILES)]
    rows = [[*names.values(), *cells(sums)] for names, sums in usage.groups()]
    if len(rows) != 1:
        rows.append(["all", *[""] * (len(usage.by) - 1), *cells(usage.total)])
    rows = [[printable(cell) for cell in row] for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*rows)]
    named = len(usage.by)
    lines = (
        [
            cell.ljust(width) if place < named else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths))
        ]
        for row in rows
    )
    return "".join("  ".join(line).rstrip() + "\n" for line in lines)


def cells(sums):
    facts = sums.facts()
    first = facts.pop("first_byte_ms").values()
    return [*map(str, facts.values()), *("-" if value is None else f"{value} ms" for value in first)]
