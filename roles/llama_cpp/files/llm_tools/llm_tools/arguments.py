# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Arguments that several subcommands have."""

from __future__ import annotations

import argparse
import math

from .core.base.strict_json import LONGEST_SECONDS


def add_json(parser, what):
    parser.add_argument("--json", action="store_true", help=f"print {what} as JSON")


def add_timeout(parser, default, meaning):
    """``--timeout SECONDS``; ``meaning`` says in the help what is given up then."""
    parser.add_argument(
        "--timeout", metavar="SECONDS", type=seconds, default=default, help=f"{meaning} (default: {default:g})"
    )


def seconds(text):
    """A length of time, more than nothing, and no longer than can be waited for."""
    value = float(text)
    if not 0 < value <= LONGEST_SECONDS:
        raise argparse.ArgumentTypeError(f"{text} is not more than 0, or is more than {LONGEST_SECONDS}")
    return value


def number(text):
    """A number that can be computed with: ``float`` also reads nan and inf."""
    value = float(text)
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text} is no finite number")
    return value
