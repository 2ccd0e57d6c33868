# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm ask``: sends a prompt to the model; the answer goes to stdout, everything else to stderr."""

from __future__ import annotations

from ..answer import Answer, figures
from ..arguments import add_json, add_timeout, add_wait
from ..core.base.errors import LlamaCppError
from ..core.llama.client import CONVERSATION_HEADER
from ..exit_codes import ExitCode
from ..model_names import check_purpose, context_of, requested_model, told_context
from ..prompt import add_prompt
from ..request import add_conversation, add_request, compose
from ..streaming import show_calls, stream
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
    add_request(parser)
    add_conversation(parser)
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
    request = compose(environment, arguments)
    streamed = not (arguments.no_stream or arguments.json or arguments.extract)
    server = environment.server(arguments.timeout).in_conversation(request.conversation_id)
    if arguments.dry_run:
        show_request(environment, server, request.conversation_id, {**request.body, "stream": streamed})
        return ExitCode.SUCCESS
    wanted = request.body.get("model") if arguments.model or arguments.template else None
    model = when_ready(environment, server, lambda: requested_model(environment, server, wanted), arguments.wait)
    check_purpose(environment, model)
    answer = Answer()

    def ask():
        if streamed:
            stream(environment, server, request.body, arguments.raw or arguments.schema, answer)
        else:
            fetch(environment, server, request.body, arguments, answer)

    try:
        with told_context(environment, server, model):
            when_ready(environment, server, ask, arguments.wait, model)
    finally:
        request.save(answer)
    if arguments.usage:
        environment.say(figures(answer, context_of(server, model)))
    answer.require_complete(request.body.get("max_tokens"))
    if arguments.schema:
        from .. import schemas  # noqa: PLC0415 - only here, and the commands have to start fast

        schemas.check_answer(environment, answer.content, schemas.read(arguments.schema))
    return ExitCode.SUCCESS


def show_request(environment, server, conversation_id, body):
    headers = {"Content-Type": "application/json"}
    if conversation_id:
        headers[CONVERSATION_HEADER] = conversation_id
    if environment.key_source:
        headers["Authorization"] = f"Bearer <the key from {environment.key_source}>"
    environment.write_json({"url": f"{server.base_url}/v1/chat/completions", "headers": headers, "body": body})


def fetch(environment, server, body, arguments, answer):
    """Print the answer when it is complete, in the requested form."""
    with Waiting(environment, server, body.get("model")):
        reply = server.chat(**body)
    answer.feed_reply(reply)
    if arguments.json:
        environment.write_json(reply)
        return
    if answer.reasoning:
        environment.say(answer.reasoning.rstrip("\n") + "\n", colour="dim")
    text = answer.content
    if arguments.extract:
        from ..markdown import first_code_block  # noqa: PLC0415 - rarely needed, and the commands have to start fast

        text = first_code_block(text)
        if text is None:
            raise LlamaCppError(
                f"the answer contains no complete code block; nothing was printed. The answer:\n{answer.content}"
            )
    with open_writer(environment, arguments.raw or arguments.schema or arguments.extract) as writer:
        writer.write(text)
    show_calls(environment, answer)
