# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm tokenize``: the tokens of a text."""

from __future__ import annotations

from ..arguments import add_json, add_timeout, add_wait
from ..exit_codes import ExitCode
from ..model_names import requested_model
from ..prompt import add_text, required_text
from ..waiting import when_ready

SUMMARY = "Count or list the tokens of a text."
EXAMPLES = ('%(prog)s tokenize "How many tokens is this?"', "%(prog)s tokenize --count < report.txt")


def add_arguments(parser):
    add_text(parser)
    parser.add_argument("-m", "--model", metavar="NAME", help="model whose tokens are meant (see: llm models)")
    parser.add_argument("--count", action="store_true", help="print only how many there are")
    add_json(parser, "the tokens")
    add_wait(parser)
    add_timeout(parser, 60, "time out after this many seconds without data from the server")


def run(environment, arguments):
    text = required_text(environment, arguments, 'tokenize "How many tokens is this?"')
    server = environment.server(arguments.timeout)
    model = when_ready(
        environment, server, lambda: requested_model(environment, server, arguments.model), arguments.wait
    )
    options = {"with_pieces": not arguments.count, **({"model": model} if model else {})}
    tokens = when_ready(environment, server, lambda: server.tokenize(text, **options), arguments.wait, model)
    if arguments.json:
        environment.write_json(
            {"count": len(tokens), "tokens": tokens} if not arguments.count else {"count": len(tokens)}
        )
    elif arguments.count:
        environment.write(f"{len(tokens)}\n")
    else:
        environment.write("".join(f"{token['id']}\t{shown(token['piece'])}\n" for token in tokens))
    return ExitCode.SUCCESS


def shown(piece):
    """The text of a token, quoted; llama-server gives the bytes of one that is a part of a character."""
    return repr(piece) if isinstance(piece, str) else "bytes " + " ".join(f"{byte:02x}" for byte in piece)
