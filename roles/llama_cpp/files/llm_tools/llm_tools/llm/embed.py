# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm embed``: texts as vectors of numbers."""

from __future__ import annotations

import json
import struct

from ..arguments import add_timeout, add_wait
from ..errors import UsageError
from ..exit_codes import ExitCode
from ..model_names import model_for, told_context
from ..prompt import add_text, required_text
from ..waiting import when_ready

SUMMARY = "Turn a text, or each line of one, into a vector with an embedding model."
EXAMPLES = (
    '%(prog)s embed -m vectors "The capital of France"',
    "%(prog)s embed -m vectors --lines < titles.txt > vectors.jsonl",
    "%(prog)s embed -m vectors --lines --format binary -f titles.txt > vectors.f32",
)

BATCH = 64  # texts in a request: few enough to see errors early, enough to keep the server busy


def add_arguments(parser):
    add_text(parser)
    parser.add_argument("-m", "--model", metavar="NAME", help="embedding model to use (see: llm models)")
    parser.add_argument("--lines", action="store_true", help="embed each line that is not empty by itself")
    parser.add_argument(
        "--format",
        metavar="FORMAT",
        choices=("json", "jsonl", "binary"),
        help="json: one list of numbers, or with --lines a list of lists; jsonl (default with --lines): a list in each "
        "line; binary: 32-bit floats, little-endian, one vector after the other",
    )
    parser.add_argument("--json", action="store_const", dest="format", const="json", help="the same as --format json")
    add_wait(parser)
    add_timeout(parser, 600, "time out after this many seconds without data from the server")


def run(environment, arguments):
    text = required_text(environment, arguments, 'embed "The capital of France"')
    texts = [line for line in text.split("\n") if line.strip()] if arguments.lines else [text]
    form = arguments.format or ("jsonl" if arguments.lines else "json")
    if form == "binary" and environment.is_terminal(environment.stdout):
        raise UsageError("--format binary is not for a terminal: send it to a file or a program.")
    server = environment.server(arguments.timeout)
    model = when_ready(
        environment, server, lambda: model_for(environment, server, arguments.model, "embedding"), arguments.wait
    )
    options = {"model": model} if model else {}
    parts = [texts[start : start + BATCH] for start in range(0, len(texts), BATCH)]
    vectors = []
    for number, part in enumerate(parts):
        if len(parts) > 1:
            environment.status(f"embedding: {number * BATCH} of {len(texts)} lines")
        with told_context(environment, server, model):
            found = when_ready(
                environment, server, lambda part=part: server.embed_all(part, **options), arguments.wait, model
            )
        if form == "json":
            vectors += found
        else:
            write(environment, found, form)
    if form == "json":
        environment.write(json.dumps(vectors if arguments.lines else vectors[0]) + "\n")
    return ExitCode.SUCCESS


def write(environment, vectors, form):
    """``vectors`` on stdout, as lines of JSON or as 32-bit floats."""
    if form == "jsonl":
        environment.write("".join(json.dumps(vector) + "\n" for vector in vectors))
        return
    environment.status("")
    for vector in vectors:
        environment.stdout.buffer.write(struct.pack(f"<{len(vector)}f", *vector))
    environment.stdout.buffer.flush()
