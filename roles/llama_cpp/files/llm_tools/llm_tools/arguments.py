# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Arguments that several subcommands have."""

from __future__ import annotations

import argparse


def add_json(parser, what):
    parser.add_argument("--json", action="store_true", help=f"print {what} as JSON")


def add_timeout(parser, default, meaning):
    """``--timeout SECONDS``; ``meaning`` says in the help what is given up then."""
    parser.add_argument(
        "--timeout", metavar="SECONDS", type=seconds, default=default, help=f"{meaning} (default: {default:g})"
    )


def seconds(text):
    """A length of time, more than nothing."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not more than 0")
    return value
