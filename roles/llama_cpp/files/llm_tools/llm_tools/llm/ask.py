# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm ask``: sends a prompt to the model; the answer goes to stdout, everything else to stderr."""

from __future__ import annotations

from .. import schemas
from ..answer import Answer, figures, tool_call_line
from ..arguments import add_json, add_timeout, add_wait
from ..core.base.errors import LlamaCppError
from ..exit_codes import ExitCode
from ..markdown import first_code_block
from ..model_names import check_purpose, context_of, requested_model, told_context
from ..prompt import add_prompt, content_of, read_text
from ..sampling import add_sampling, sampling_of
from ..waiting import Waiting, when_ready
from ..writers import open_writer

SUMMARY = "Send a prompt to the model and print the answer. This is the default command."
EXAMPLES = (
    '%(prog)s "What is the capital of France?"',
    '%(prog)s "What does this program do?" < program.py',
    'git diff | %(prog)s --raw -s "You write commit messages." > message.txt',
    '%(prog)s -x "A shell loop over all PDF files" > loop.sh',
    '%(prog)s -f report.txt -f notes.txt -u "Compare the two."',
    '%(prog)s --schema year.json "When did Apollo 11 land?"',
    '%(prog)s --image photo.jpg "What is in this picture?"',
    "%(prog)s ask health",
)


def add_arguments(parser):
    add_prompt(parser)
    parser.add_argument("-m", "--model", metavar="NAME", help="model to use (see: llm models)")
    parser.add_argument("-s", "--system", metavar="TEXT|@FILE", help="system prompt")
    add_sampling(parser)
    parser.add_argument("--schema", metavar="FILE|JSON", help="JSON Schema that the answer must match")
    parser.add_argument("--tools", metavar="FILE|JSON", help="tools the model may call; its calls are printed, not run")
    parser.add_argument(
        "-x", "--extract", action="store_true", help="print only the first fenced code block of the answer"
    )
    parser.add_argument("--raw", action="store_true", help="do not render Markdown (only terminals render it)")
    parser.add_argument("--no-stream", action="store_true", help="print the answer when it is complete")
    add_json(parser, "the server's complete response")
    parser.add_argument(
        "-u",
        "--usage",
        "--stats",
        action="store_true",
        help="print tokens, cached tokens, rates, time to the first token and use of the context to stderr",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="print the request without sending it; the API key is omitted"
    )
    add_wait(parser)
    add_timeout(parser, 600, "time out after this many seconds without data from the server")


def run(environment, arguments):
    body = request_body(environment, arguments)
    streamed = not (arguments.no_stream or arguments.json or arguments.extract)
    server = environment.server(arguments.timeout)
    if arguments.dry_run:
        show_request(environment, server, {**body, "stream": streamed})
        return ExitCode.SUCCESS
    model = when_ready(
        environment, server, lambda: requested_model(environment, server, arguments.model), arguments.wait
    )
    check_purpose(environment, model)
    with told_context(environment, server, model):
        answer = when_ready(
            environment,
            server,
            lambda: (stream if streamed else fetch)(environment, server, body, arguments),
            arguments.wait,
            model,
        )
    if arguments.usage:
        environment.say(figures(answer, context_of(server, model)))
    answer.require_complete(body.get("max_tokens"))
    if arguments.schema:
        schemas.check_answer(environment, answer.content, schemas.read(arguments.schema))
    return ExitCode.SUCCESS


def request_body(environment, arguments):
    """The request body, from the options, then the configuration; the server's defaults apply to the rest."""
    client = environment.section("client")
    body = sampling_of(arguments, client)
    model = arguments.model or environment.default_model
    if model:
        body["model"] = model
    if arguments.schema:
        body["response_format"] = schemas.response_format(schemas.read(arguments.schema))
    if arguments.tools:
        body["tools"] = schemas.read_tools(arguments.tools)
    messages = [
        *system_messages(arguments.system, client),
        {"role": "user", "content": content_of(environment, arguments)},
    ]
    return {"messages": messages, **body}


def system_messages(given, client):
    """The system prompt ``given`` on the command line, else the configured one, as a list of no or one message."""
    if given is None:
        system = client.get("system_prompt")
    elif given.startswith("@"):
        system = read_text(given[1:])
    else:
        system = given
    return [{"role": "system", "content": system}] if system else []


def show_request(environment, server, body):
    headers = {"Content-Type": "application/json"}
    if environment.key_source:
        headers["Authorization"] = f"Bearer <the key from {environment.key_source}>"
    environment.write_json({"url": f"{server.base_url}/v1/chat/completions", "headers": headers, "body": body})


def stream(environment, server, body, arguments):
    """Print the answer as it arrives."""
    if environment.is_terminal(environment.stderr):
        body = {**body, "return_progress": True}
    answer, thinking = Answer(), False
    with Waiting(environment, server, body.get("model")) as waiting:
        events = server.chat_stream(**body)
        with open_writer(environment, arguments.raw or arguments.schema) as writer:
            for event in events:
                waiting.end()
                show_progress(environment, event.get("prompt_progress"))
                for kind, text in answer.feed(event):
                    if kind == "reasoning":
                        thinking = True
                        environment.say(text, end="", colour="dim")
                    else:
                        if thinking:
                            thinking = end_reasoning(environment, answer)
                        writer.write(text)
    if thinking:
        end_reasoning(environment, answer)
    show_calls(environment, answer)
    return answer


def end_reasoning(environment, answer):
    """End the text of the reasoning, with an empty line before the answer; returns False."""
    blank = "\n" if answer.content else ""
    environment.say(blank if answer.reasoning.endswith("\n") else blank + "\n", end="")
    return False


def show_progress(environment, progress):
    """How much of the prompt the server has processed so far."""
    if progress and progress["processed"] < progress["total"]:
        environment.status(f"processing the prompt: {100 * progress['processed'] // progress['total']} %")
    else:
        environment.status("")


def show_calls(environment, answer):
    """The tools that the model wants to have called, each as a line of JSON."""
    for call in answer.tool_calls:
        environment.write(tool_call_line(call) + "\n")


def fetch(environment, server, body, arguments):
    """Print the answer when it is complete, in the requested form."""
    with Waiting(environment, server, body.get("model")):
        reply = server.chat(**body)
    answer = Answer.of_reply(reply)
    if arguments.json:
        environment.write_json(reply)
        return answer
    if answer.reasoning:
        environment.say(answer.reasoning.rstrip("\n") + "\n", colour="dim")
    text = answer.content
    if arguments.extract:
        text = first_code_block(text)
        if text is None:
            raise LlamaCppError(
                f"the answer contains no complete code block; nothing was printed. The answer:\n{answer.content}"
            )
    with open_writer(environment, arguments.raw or arguments.schema or arguments.extract) as writer:
        writer.write(text)
    show_calls(environment, answer)
    return answer
