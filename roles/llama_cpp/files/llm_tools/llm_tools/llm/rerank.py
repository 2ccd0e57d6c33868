# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm rerank``: orders texts by how well they answer a query."""

from __future__ import annotations

from ..arguments import add_json, add_timeout, add_wait
from ..errors import UsageError
from ..exit_codes import ExitCode
from ..model_names import model_for, told_context
from ..prompt import read_text, text_on_stdin
from ..waiting import when_ready

SUMMARY = "Order lines of text by how well they answer a query, with a rerank model."
EXAMPLES = (
    '%(prog)s rerank -m ranks "How do I restart it?" < headings.txt',
    '%(prog)s rerank -m ranks --top 3 --json "How do I restart it?" -f headings.txt',
)


def add_arguments(parser):
    parser.add_argument("words", metavar="WORD", nargs="+", help="the query")
    parser.add_argument(
        "-f", "--file", metavar="FILE", action="append", default=[], help="lines to order, instead of those on stdin"
    )
    parser.add_argument("-m", "--model", metavar="NAME", help="rerank model to use (see: llm models)")
    parser.add_argument("--top", metavar="NUMBER", type=int, help="print only so many of the best")
    add_json(parser, "the lines with their scores and numbers")
    add_wait(parser)
    add_timeout(parser, 600, "time out after this many seconds without data from the server")


def run(environment, arguments):
    texts = [read_text(path) for path in arguments.file] or [text_on_stdin(environment)]
    lines = [line for text in texts for line in text.split("\n") if line.strip()]
    if not lines:
        raise UsageError("no lines to order: give them on stdin, or with --file.")
    server = environment.server(arguments.timeout)
    model = when_ready(
        environment, server, lambda: model_for(environment, server, arguments.model, "rerank"), arguments.wait
    )
    options = {"model": model} if model else {}
    with told_context(environment, server, model):
        scores = when_ready(
            environment,
            server,
            lambda: server.rerank(" ".join(arguments.words), lines, **options),
            arguments.wait,
            model,
        )
    best = sorted(range(len(lines)), key=lambda place: -scores[place])[: arguments.top]
    if arguments.json:
        ranks = [{"line": place + 1, "score": scores[place], "text": lines[place]} for place in best]
        environment.write_json({"results": ranks})
    else:
        environment.write("".join(f"{scores[place]:.4f}\t{lines[place]}\n" for place in best))
    return ExitCode.SUCCESS
