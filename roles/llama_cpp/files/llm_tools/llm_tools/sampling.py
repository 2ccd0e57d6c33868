# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The options of a request for an answer: their names on the command line, their ranges, their limit of tokens.

The server takes them as keys of its request (tools/server/README.md of llama.cpp 0c1e570). A value out of range is
refused here: the server answers it with an error of its own words, or computes with it.
"""

from __future__ import annotations

import argparse
import collections
import math

from .core.base.strict_json import NotStrict, parse
from .errors import UsageError

#: How long an answer may get, in tokens, when neither option nor configuration says so: a model can repeat itself for
#: ever.
MOST_TOKENS = 4096

#: Keys of the section ``client`` of the configuration that are none of a request.
NOT_SAMPLING = ("command", "default_model", "system_prompt")

MOST = 2**31 - 1  # of a whole number of llama-server


class Option(collections.namedtuple("Option", "key flags kind low high help")):
    """One key of a request.

    :ivar flags: how it is spelled on the command line.
    :ivar kind: int or float.
    :ivar low, high: the range, both ends included.
    """

    def parse(self, text):
        """The value of the word ``text``. Raises argparse.ArgumentTypeError, which says what is allowed."""
        try:
            value = self.kind(text)
        except ValueError:
            value = math.nan
        if not self.low <= value <= self.high:
            what = "a whole number" if self.kind is int else "a number"
            wanted = f"{what} from {self.low} to {self.high}"
            raise argparse.ArgumentTypeError(f'"{text}" is no value for {self.key}; expected: {wanted}')
        return value


OPTIONS = (
    Option(
        "temperature",
        ("-t", "--temperature"),
        float,
        0,
        100,
        "sampling temperature: 0 for the most likely answer, higher for more variety",
    ),
    Option(
        "max_tokens",
        ("-n", "--max-tokens"),
        int,
        -1,
        MOST,
        f"maximum length of the answer in tokens, -1 for no limit (default: {MOST_TOKENS})",
    ),
    Option(
        "top_p",
        ("--top-p",),
        float,
        0,
        1,
        "nucleus sampling: sample only from the most likely tokens with this total probability",
    ),
    Option("top_k", ("--top-k",), int, 0, MOST, "sample only from this many of the most likely tokens; 0: from all"),
    Option("min_p", ("--min-p",), float, 0, 1, "drop tokens less probable than this share of the most likely token's"),
    Option(
        "repeat_penalty", ("--repeat-penalty",), float, 0, 100, "make tokens that were there less likely; 1: disabled"
    ),
    Option("seed", ("--seed",), int, 0, 2**32 - 1, "sampling seed; the same seed gives the same answer"),
)


def add_sampling(parser, other_flags=("-o", "--option")):
    """The options of :data:`OPTIONS`, ``--stop``, and the one for all others, which has the ``other_flags``."""
    for option in OPTIONS:
        parser.add_argument(*option.flags, dest=option.key, metavar="NUMBER", type=option.parse, help=option.help)
    parser.add_argument(
        "--stop", metavar="TEXT", action="append", help="end the answer before this text; may be given several times"
    )
    parser.add_argument(
        *other_flags,
        metavar="NAME=VALUE",
        dest="options",
        action="append",
        type=_named,
        default=[],
        help="any other option of the request; the value is JSON, or else text",
    )


def sampling_of(arguments, configured):
    """The keys of a request that options give, else ``configured`` (section ``client``), else the limit of tokens."""
    body = {key: value for key, value in configured.items() if key not in NOT_SAMPLING and value is not None}
    for key in (*(option.key for option in OPTIONS), "stop"):
        if getattr(arguments, key) is not None:
            body[key] = getattr(arguments, key)
    return {"max_tokens": MOST_TOKENS, **body, **dict(arguments.options)}


def checked(options, source):
    """``options`` of the file ``source``, keys of a request with values. Raises UsageError for one out of range."""
    known = {option.key: option for option in OPTIONS}
    try:
        return {name: known[name].parse(str(value)) if name in known else value for name, value in options.items()}
    except argparse.ArgumentTypeError as error:
        raise UsageError(f"{source}: {error}.") from None


def _named(text):
    """(name, value) of ``NAME=VALUE``; a name of :data:`OPTIONS` has its range here, too."""
    name, separator, value = text.partition("=")
    if not separator or not name.isidentifier():
        raise argparse.ArgumentTypeError(f'"{text}" is not NAME=VALUE')
    known = {option.key: option for option in OPTIONS}
    if name in known:
        return name, known[name].parse(value)
    try:
        return name, parse(value, any_text=True)
    except NotStrict:
        return name, value
