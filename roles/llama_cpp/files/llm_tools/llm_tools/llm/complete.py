# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm complete``: continues a text, without a chat template."""

from __future__ import annotations

from ..answer import Answer, figures
from ..arguments import add_json, add_timeout, add_wait
from ..exit_codes import ExitCode
from ..model_names import check_purpose, context_of, requested_model, told_context
from ..prompt import add_text, required_text
from ..sampling import add_sampling, sampling_of
from ..waiting import Waiting, when_ready
from ..writers import PlainWriter

SUMMARY = "Continue a text, without a chat template, as a base model does."
EXAMPLES = ('%(prog)s complete -n 20 "Once upon a time"', "%(prog)s complete --stop $'\\n\\n' < chapter.txt")

#: How /completion says why it stopped, in the words of /v1/chat/completions.
FINISHED = {"limit": "length", "eos": "stop", "word": "stop"}


def add_arguments(parser):
    add_text(parser)
    parser.add_argument("-m", "--model", metavar="NAME", help="model to use (see: llm models)")
    add_sampling(parser)
    add_json(parser, "the server's complete response")
    parser.add_argument(
        "-u", "--usage", action="store_true", help="print tokens, rates and use of the context to stderr"
    )
    add_wait(parser)
    add_timeout(parser, 600, "time out after this many seconds without data from the server")


def run(environment, arguments):
    prompt = required_text(environment, arguments, 'complete "Once upon a time"')
    server = environment.server(arguments.timeout)
    options = sampling_of(arguments, environment.section("client"))
    options["n_predict"] = options.pop("max_tokens")
    model = when_ready(
        environment, server, lambda: requested_model(environment, server, arguments.model), arguments.wait
    )
    check_purpose(environment, model)
    if model:
        options["model"] = model
    ask = whole if arguments.json else stream
    with told_context(environment, server, model):
        answer = when_ready(
            environment, server, lambda: ask(environment, server, prompt, options), arguments.wait, model
        )
    if arguments.usage:
        environment.say(figures(answer, context_of(server, model)))
    answer.require_complete(options["n_predict"])
    return ExitCode.SUCCESS


def stream(environment, server, prompt, options):
    """Print what comes as it comes."""
    answer = Answer()
    with Waiting(environment, server, options.get("model")) as waiting, PlainWriter(environment) as writer:
        for event in server.complete_stream(prompt, **options):
            waiting.end()
            for _kind, text in answer.feed(as_chat(event)):
                writer.write(text)
    return answer


def whole(environment, server, prompt, options):
    """Print the whole reply as JSON."""
    with Waiting(environment, server, options.get("model")):
        reply = server.complete(prompt, **options)
    environment.write_json(reply)
    return Answer.of_reply(as_chat(reply))


def as_chat(reply):
    """An event or reply of ``/completion`` in the form of one of ``/v1/chat/completions``."""
    delta = {"content": reply.get("content")}
    choice = {"delta": delta, "message": delta, "finish_reason": FINISHED.get(reply.get("stop_type"))}
    return {"choices": [choice], "timings": reply.get("timings")}
