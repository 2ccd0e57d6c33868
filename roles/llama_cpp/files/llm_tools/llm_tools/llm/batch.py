# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm batch``: many requests from a file; one result for each line, in the same order."""

from __future__ import annotations

import contextlib
import itertools

from ..arguments import add_json, add_timeout, seconds, whole_number
from ..batch.asking import Asking
from ..batch.lines import Lines, count
from ..batch.output import open_output
from ..batch.patience import Patience, passes
from ..batch.progress import Display, Tally
from ..batch.requests import Reader
from ..batch.results import FINE
from ..batch.work import Work
from ..core.llama.client import NotAuthorised, ServerError
from ..environment import UsageError
from ..exit_codes import ExitCode
from .ask import NOT_SAMPLING, check_name

SUMMARY = "Send the requests in a file, several at a time; write one result for each line, in the same order."
EXAMPLES = (
    "%(prog)s batch requests.jsonl -o results.jsonl",
    "%(prog)s batch --text questions.txt -o answers.jsonl -n 200",
    "jq -c '{prompt: .title}' books.json | %(prog)s batch - --parallel 8 > answers.jsonl",
)

PARALLEL, MOST_PARALLEL = 4, 1000
WAIT_SECONDS = 300
TICK_SECONDS, SYNC_TICKS = 0.2, 5


def add_arguments(parser):
    parser.add_argument(
        "input",
        metavar="FILE",
        help='the requests, one a line, or "-" for stdin: JSON in OpenAI\'s batch format, objects with "prompt" or '
        '"messages" and further keys of the request, or quoted prompts',
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="file for the results, in place of stdout; one that holds results of the same command is continued",
    )
    parser.add_argument("--restart", action="store_true", help="discard the results in the output file and start anew")
    parser.add_argument("--text", action="store_true", help="each line is a prompt as it is, not JSON")
    parser.add_argument(
        "--parallel",
        metavar="NUMBER",
        type=whole_number(1, MOST_PARALLEL),
        help=f"requests at the same time (default: the server's number of slots, {PARALLEL} if it tells none)",
    )
    parser.add_argument(
        "-m",
        "--model",
        metavar="NAME",
        help="model to use where a line names none; in OpenAI's batch format, for all lines",
    )
    parser.add_argument("-s", "--system", metavar="TEXT", help="system prompt; not for OpenAI's batch format")
    parser.add_argument(
        "-n",
        "--max-tokens",
        metavar="NUMBER",
        type=whole_number(1),
        help="maximum length of each answer in tokens; not for OpenAI's batch format",
    )
    parser.add_argument(
        "--wait",
        metavar="SECONDS",
        type=seconds,
        default=WAIT_SECONDS,
        help="how long to try again while the server is down, loading or too busy (default: %(default)s)",
    )
    add_timeout(parser, 600, "time out after this many seconds without data from the server")
    add_json(parser, "a summary")


def run(environment, arguments):
    if arguments.json and arguments.output in (None, "-"):
        raise UsageError("--json prints to stdout, where the results go; name a file for them: -o FILE")
    reader = reader_of(environment, arguments)
    with contextlib.ExitStack() as stack:
        stream, name = stack.enter_context(open_input(environment, arguments.input)), arguments.input
        output = stack.enter_context(contextlib.closing(open_output(environment, arguments.output, stream)))
        if arguments.restart:
            output.clear()
        lines = Lines(stream, "stdin" if name == "-" else name, reader.settings)
        tally = Tally(*output.resume(lines))
        if lines.are_left():
            server = stack.enter_context(environment.server(arguments.timeout).kept_alive())
            again = f"Trying again for up to {arguments.wait:g} s."
            patience = Patience(server, arguments.wait, lambda error: environment.say(f"{error} {again}"))
            stack.callback(patience.end)
            display = Display(environment, tally, patience, total_of(environment, name))
            try:
                work(arguments, server, patience, lines, reader, output, tally, display)
            except BrokenPipeError:
                raise
            except BaseException:
                environment.say(f"{tally.lines} lines have their result. {output.continuation}")
                raise
    report(environment, arguments, tally)
    return ExitCode.FAILURE if tally.failed else ExitCode.SUCCESS


def reader_of(environment, arguments):
    """Makes requests of lines, with what the options say, then the configuration."""
    client = environment.section("client")
    options = {key: value for key, value in client.items() if key not in NOT_SAMPLING and value is not None}
    if arguments.max_tokens is not None:
        options["max_tokens"] = arguments.max_tokens
    configured = (
        None if environment.elsewhere else client.get("default_model") or environment.section("server").get("model")
    )
    return Reader(
        text=arguments.text,
        model=arguments.model or configured,
        forced_model=arguments.model,
        system=client.get("system_prompt") if arguments.system is None else arguments.system,
        options=options,
    )


def open_input(environment, name):
    """The input as a binary file."""
    if name != "-":
        return open(name, "rb")
    if environment.stdin is None:
        raise UsageError("stdin is closed; name a file with the requests.")
    # With a buffer of its own: a thread may be waiting in it when the program ends.
    return open(environment.stdin.fileno(), "rb", closefd=False)


def total_of(environment, name):
    """How many lines there are, where that can be told and is shown."""
    return count(name) if name != "-" and environment.can_draw(environment.stderr) else None


def work(arguments, server, patience, lines, reader, output, tally, display):
    """Have every line answered, and its result written."""
    if arguments.model:
        patience.ask(check_name, server, arguments.model)
    parallel = arguments.parallel or patience.ask(slots, server)
    ticks = itertools.count(1)

    def write(results):
        output.write(b"".join(results))
        tally.count_lines(len(results), sum(not result.endswith(FINE) for result in results))

    def tick():
        display.show()
        if next(ticks) % SYNC_TICKS == 0:
            output.sync()

    Work(lines, Asking(server, reader, patience, tally), write, parallel).run(tick, TICK_SECONDS)
    output.sync()


def slots(server):
    """How many requests the server answers at the same time, as far as it tells."""
    try:
        found = server.props().get("total_slots")
    except ServerError as error:
        if passes(error) or error.status is None or isinstance(error, NotAuthorised):
            raise
        found = None
    return min(found, MOST_PARALLEL) if isinstance(found, int) and found > 0 else PARALLEL


def report(environment, arguments, tally):
    """What came of it."""
    environment.say(tally.sentence())
    if tally.failed and arguments.output not in (None, "-"):
        environment.say(f"The failed lines tell their error in {arguments.output}.")
    if arguments.json:
        environment.write_json(tally.summary())
