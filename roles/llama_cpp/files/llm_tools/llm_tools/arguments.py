# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Arguments that several subcommands share."""

from __future__ import annotations

import argparse
import math

from .core.base.strict_json import LONGEST_SECONDS


def add_json(parser, what):
    parser.add_argument("--json", action="store_true", help=f"print {what} as JSON")


def add_timeout(parser, default, meaning):
    """``--timeout SECONDS``; ``meaning`` is its help text."""
    parser.add_argument(
        "--timeout", metavar="SECONDS", type=seconds, default=default, help=f"{meaning} (default: {default:g})"
    )


def seconds(text):
    """A timeout: more than 0 and at most LONGEST_SECONDS."""
    value = float(text)
    if not 0 < value <= LONGEST_SECONDS:
        raise argparse.ArgumentTypeError(f"{text} is out of range; expected: more than 0, at most {LONGEST_SECONDS}")
    return value


def number(text):
    """A finite number: ``float`` also reads nan and inf."""
    value = float(text)
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text} is not a finite number")
    return value


def add_wait(parser, default=300, meaning="wait up to this long while the server loads its model"):
    """``--wait SECONDS``; ``meaning`` is its help text."""
    parser.add_argument(
        "--wait",
        metavar="SECONDS",
        type=lambda text: 0 if text == "0" else seconds(text),
        default=default,
        help=f"{meaning} (default: {default})",
    )


def add_server(parser):
    """``--server URL`` and ``--key-file FILE``."""
    parser.add_argument("--server", metavar="URL", help="use this server instead of the configured one")
    parser.add_argument("--key-file", metavar="FILE", help="file with the API key of the server")
