# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm batch``: many requests from a file; one result for each line, in the same order."""

from __future__ import annotations

import contextlib
import itertools
import shlex

from ..arguments import add_json, add_timeout, add_wait
from ..batch.asking import Asking
from ..batch.lines import Lines, count
from ..batch.output import open_output
from ..batch.patience import Patience, passes
from ..batch.progress import Display, Tally
from ..batch.requests import Reader
from ..batch.results import FINE
from ..batch.work import Work
from ..core.llama.errors import NotAuthorised, ServerError
from ..errors import UsageError
from ..exit_codes import ExitCode
from ..model_names import requested_model
from ..request import as_messages, system_prompt
from ..sampling import Option, add_sampling, sampling_of

SUMMARY = "Send the requests in a file, several at a time; write one result for each line, in the same order."
EXAMPLES = (
    "%(prog)s batch requests.jsonl -o results.jsonl",
    "%(prog)s batch --text questions.txt -o answers.jsonl -n 200",
    "jq -c '{prompt: .title}' books.json | %(prog)s batch - --parallel 8 > answers.jsonl",
)

SLOTS = 4
PARALLEL = Option(
    "parallel",
    ("--parallel",),
    int,
    1,
    1000,
    f"requests at the same time (default: the server's number of slots, {SLOTS} if it tells none)",
)
TICK_SECONDS, SYNC_TICKS = 0.2, 5
ENDING_OF_FINE = FINE.decode("ascii").rstrip() + "$"


def add_arguments(parser):
    parser.add_argument(
        "input",
        metavar="FILE",
        help='the requests, one a line, or "-" for stdin: JSON in OpenAI\'s batch format, objects with "prompt" or '
        '"messages" and further keys of the request, or quoted prompts; the options for the request are for lines that '
        "are not in OpenAI's format and do not hold the same",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="file for the results, in place of stdout; one that holds results of the same command is continued",
    )
    parser.add_argument("--restart", action="store_true", help="discard the results in the output file and start anew")
    parser.add_argument("--text", action="store_true", help="each line is a prompt as it is, not JSON")
    parser.add_argument(*PARALLEL.flags, metavar="NUMBER", type=PARALLEL.parse, help=PARALLEL.help)
    parser.add_argument(
        "-m",
        "--model",
        metavar="NAME",
        help="model to use where a line names none; in OpenAI's batch format, for all lines",
    )
    parser.add_argument("-s", "--system", metavar="TEXT|@FILE", help="system prompt")
    add_sampling(parser, other_flags=("--option",))
    add_wait(parser, meaning="try again for up to this long while the server is down, loading or too busy")
    add_timeout(parser, 3600, "give a line up when its answer takes longer than this many seconds")
    add_json(parser, "a summary")


def run(environment, arguments):
    if arguments.json and to_stdout(arguments):
        raise UsageError("--json prints to stdout, where the results go; name a file for them: -o FILE")
    reader = reader_of(environment, arguments)
    source = open_input(environment, arguments.input)
    with contextlib.closing(open_output(environment, arguments.output, source)) as output:
        if arguments.restart:
            output.clear()
        name = "stdin" if arguments.input == "-" else arguments.input
        lines = Lines(source, name, reader.settings, names=not arguments.text)
        tally = Tally(*output.resume(lines))
        try:
            if lines.are_left():
                work(environment, arguments, lines, reader, output, tally)
        except BrokenPipeError:
            raise
        except BaseException:
            environment.say(f"{tally.lines} lines have their result. {output.continuation}")
            raise
    environment.say(tally.sentence())
    if tally.failed and not to_stdout(arguments):
        environment.say(f"To see the failed ones: grep -v '{ENDING_OF_FINE}' {shlex.quote(arguments.output)}")
    if arguments.json:
        environment.write_json(tally.summary())
    return ExitCode.FAILURE if tally.failed else ExitCode.SUCCESS


def to_stdout(arguments):
    """Whether the results go to stdout."""
    return arguments.output in (None, "-")


def reader_of(environment, arguments):
    """Makes requests of lines. What options and configuration say holds for plain lines that do not say it."""
    client = environment.section("client")
    system = as_messages(system_prompt(environment, arguments))
    return Reader(
        text=arguments.text,
        model=arguments.model or environment.default_model,
        forced_model=arguments.model,
        system=system[0]["content"] if system else None,
        options=sampling_of(arguments, client),
    )


def open_input(environment, name):
    """The input as a binary file, which the end of the program closes: until then a thread may wait in it."""
    if name != "-":
        return open(name, "rb")
    if environment.stdin is None:
        raise UsageError("stdin is closed; name a file with the requests.")
    return open(environment.stdin.fileno(), "rb", closefd=False)


def work(environment, arguments, lines, reader, output, tally):
    """Have every line that is left answered, and its result written."""
    again = f"Trying again for up to {arguments.wait:g} s."
    mixed = to_stdout(arguments) and environment.is_terminal(environment.stdout)
    drawn = environment.can_draw(environment.stderr) and not mixed
    total = count(arguments.input) if drawn and arguments.input != "-" else None
    ticks = itertools.count(1)

    def write(results):
        output.write(b"".join(results))
        tally.count_lines(len(results), sum(not result.endswith(FINE) for result in results))

    def tick():
        if drawn:
            display.show()
        if next(ticks) % SYNC_TICKS == 0:
            output.sync()

    with environment.server(arguments.timeout).kept_alive() as server:
        patience = Patience(server, arguments.wait, lambda error: environment.say(f"{error} {again}"))
        display = Display(environment, tally, patience, total)
        try:
            if arguments.model:
                patience.ask(requested_model, environment, server, arguments.model)
            parallel = arguments.parallel or patience.ask(slots, server)
            Work(lines, Asking(server, reader, patience, tally), write, parallel).run(tick, TICK_SECONDS)
        finally:
            patience.end()
    output.sync()


def slots(server):
    """How many requests the server answers at the same time, as far as it tells."""
    try:
        found = server.props().get("total_slots")
    except ServerError as error:
        if passes(error) or error.status is None or isinstance(error, NotAuthorised):
            raise
        found = None
    return min(found, PARALLEL.high) if isinstance(found, int) and found > 0 else SLOTS
