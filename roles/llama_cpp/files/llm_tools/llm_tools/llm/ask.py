# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm ask``: sends a prompt to the model; the answer goes to stdout, everything else to stderr."""

from __future__ import annotations

import select

from ..arguments import add_json, add_timeout, number
from ..core.base.errors import LlamaCppError
from ..core.base.strict_json import parse
from ..core.base.text import did_you_mean
from ..core.llama.health import offered_models
from ..environment import UsageError
from ..exit_codes import ExitCode
from ..markdown import first_code_block
from ..writers import open_writer

SUMMARY = "Send a prompt to the model and print the answer. This is the default command."
EXAMPLES = (
    '%(prog)s "What is the capital of France?"',
    '%(prog)s "What does this program do?" < program.py',
    'git diff | %(prog)s --raw -s "You write commit messages." > message.txt',
    '%(prog)s -x "A shell loop over all PDF files" > loop.sh',
    '%(prog)s --schema year.json "When did Apollo 11 land?"',
    "%(prog)s ask health",
)

WAITING_NOTICE_SECONDS = 2.0
NOT_SAMPLING = ("command", "default_model", "system_prompt")


def add_arguments(parser):
    parser.add_argument("words", metavar="WORD", nargs="*", help="the prompt; text on stdin is put before it")
    parser.add_argument("-m", "--model", metavar="NAME", help="model to use (see: llm models)")
    parser.add_argument("-s", "--system", metavar="TEXT", help="system prompt")
    parser.add_argument(
        "-t",
        "--temperature",
        metavar="NUMBER",
        type=number,
        help="sampling temperature: 0 for the most likely answer, higher for more variety",
    )
    parser.add_argument("-n", "--max-tokens", metavar="NUMBER", type=int, help="maximum length of the answer in tokens")
    parser.add_argument(
        "--top-p",
        metavar="NUMBER",
        type=number,
        help="nucleus sampling: sample only from the most likely tokens with this total probability",
    )
    parser.add_argument("--seed", metavar="NUMBER", type=int, help="sampling seed; the same seed gives the same answer")
    parser.add_argument("--schema", metavar="FILE|JSON", help="JSON Schema that the answer must match")
    parser.add_argument(
        "-x", "--extract", action="store_true", help="print only the first fenced code block of the answer"
    )
    parser.add_argument("--raw", action="store_true", help="do not render Markdown (only terminals render it)")
    parser.add_argument("--no-stream", action="store_true", help="print the answer when it is complete")
    add_json(parser, "the server's complete response")
    parser.add_argument("--stats", action="store_true", help="print token counts and speed to stderr")
    parser.add_argument(
        "--dry-run", action="store_true", help="print the request without sending it; the API key is omitted"
    )
    add_timeout(parser, 600, "time out after this many seconds without data from the server")


def run(environment, arguments):
    body = request_body(environment, arguments)
    streamed = not (arguments.no_stream or arguments.json or arguments.extract)
    server = environment.server(arguments.timeout)
    if arguments.dry_run:
        show_request(environment, server, {**body, "stream": streamed})
        return ExitCode.SUCCESS
    model = check_name(server, arguments.model) if arguments.model else body.get("model")
    if not environment.elsewhere:
        check_purpose(environment, model)
    if streamed:
        reply = stream(environment, server, body, raw=arguments.raw or arguments.schema)
    else:
        reply = server.chat(**body)
        deliver(environment, reply, arguments)
    if arguments.stats:
        environment.say(speed(reply.get("timings")))
    choice = reply["choices"][0]
    if not arguments.json:
        require_answer(choice)
    if choice.get("finish_reason") == "length":
        environment.say("The answer was cut off: it reached --max-tokens or filled the model's context.")
    return ExitCode.SUCCESS


def require_answer(choice):
    """Raise LlamaCppError when a reply holds no answer, whatever the model has thought."""
    message = choice.get("message") or {}
    if (message.get("content") or "").strip():
        return
    if choice.get("finish_reason") == "length":
        raise LlamaCppError(
            "the model gave no answer before it reached --max-tokens or filled its context; allow it more tokens."
        )
    thought = " It only reasoned; ask again." if message.get("reasoning_content") else ""
    raise LlamaCppError(f"the model gave no answer.{thought}")


def request_body(environment, arguments):
    """The request body, from the options, then the configuration; the server's defaults apply to the rest."""
    client = environment.section("client")
    body = {key: value for key, value in client.items() if key not in NOT_SAMPLING and value is not None}
    for name in ("temperature", "max_tokens", "top_p", "seed"):
        if getattr(arguments, name) is not None:
            body[name] = getattr(arguments, name)
    model = arguments.model or client.get("default_model") or environment.section("server").get("model")
    if model and (arguments.model or not environment.elsewhere):
        body["model"] = model
    if arguments.schema:
        schema = read_schema(arguments.schema)
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "answer", "strict": True, "schema": schema},
        }
    system = client.get("system_prompt") if arguments.system is None else arguments.system
    messages = [{"role": "system", "content": system}] if system else []
    return {"messages": [*messages, {"role": "user", "content": question(environment, arguments.words)}], **body}


def question(environment, words):
    """The prompt: the text on stdin, if any, then the words of the command line."""
    asked = " ".join(words)
    given = ""
    if environment.stdin is not None and not environment.is_terminal(environment.stdin):
        if not select.select([environment.stdin], [], [], WAITING_NOTICE_SECONDS)[0]:
            environment.say(f"{environment.program}: waiting for text on stdin (use < /dev/null for none)")
        given = environment.stdin.read().rstrip("\n")
    text = "\n\n".join(part for part in (given, asked) if part.strip())
    if not text:
        raise UsageError(f'no prompt given. Try: {environment.program} "What is the capital of France?"')
    return text.encode("utf-8", "replace").decode("utf-8")  # a word that was not UTF-8 holds surrogates


def read_schema(text):
    """The JSON Schema in ``text``, which is JSON or the name of a file."""
    source = "--schema"
    try:
        if not text.lstrip().startswith("{"):
            source = text
            with open(text, encoding="utf-8") as stream:
                text = stream.read()
        return parse(text)
    except OSError as error:
        raise UsageError(f"the schema {source} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise UsageError(f"{source} is not JSON: {error}.") from error


def show_request(environment, server, body):
    headers = {"Content-Type": "application/json"}
    if environment.key_source:
        headers["Authorization"] = f"Bearer <the key from {environment.key_source}>"
    environment.write_json({"url": f"{server.base_url}/v1/chat/completions", "headers": headers, "body": body})


def check_name(server, wanted):
    """The name of the model that has the name or alias ``wanted``.

    Raises UsageError if there is none; llama-server with one model would answer under any name.
    """
    offered = offered_models(server)
    names = sorted(offered)
    if wanted not in names:
        hint = did_you_mean(wanted, names) or f"; available models: {', '.join(names)}."
        raise UsageError(f'unknown model "{wanted}"{hint}')
    return offered[wanted]["id"]


def check_purpose(environment, model):
    """Raise UsageError if ``model`` is not configured for chat: llama-server would fail or return nonsense."""
    purpose = environment.purpose_of(model)
    if purpose != "chat":
        others = [
            entry["name"] for entry in environment.config["models"] if environment.purpose_of(entry["name"]) == "chat"
        ]
        hint = f"chat models: {', '.join(others)}." if others else "this host has no chat model."
        raise UsageError(f'the model "{model}" is configured for {purpose}, not for chat; {hint}')


def stream(environment, server, body, raw):
    """Print the answer as it arrives; returns its end in the form of a complete reply."""
    if environment.is_terminal(environment.stderr):
        body = {**body, "return_progress": True}
    finish_reason = timings = None
    reasoning, message = "", {"content": "", "reasoning_content": ""}
    with open_writer(environment, raw) as writer:
        for event in server.chat_stream(**body):
            timings = event.get("timings") or timings
            show_progress(environment, event.get("prompt_progress"))
            for choice in event.get("choices") or ():
                finish_reason = choice.get("finish_reason") or finish_reason
                delta = choice.get("delta") or {}
                for key in message:
                    message[key] += delta.get(key) or ""
                if delta.get("reasoning_content"):
                    reasoning = delta["reasoning_content"]
                    environment.say(reasoning, end="", colour="dim")
                if delta.get("content"):
                    if reasoning:
                        environment.say("" if reasoning.endswith("\n") else "\n")
                        reasoning = ""
                    writer.write(delta["content"])
    if reasoning and not reasoning.endswith("\n"):
        environment.say("")
    return {"choices": [{"finish_reason": finish_reason, "message": message}], "timings": timings}


def show_progress(environment, progress):
    """How much of the prompt the server has processed so far."""
    if progress and progress["processed"] < progress["total"]:
        environment.status(f"processing the prompt: {100 * progress['processed'] // progress['total']} %")
    else:
        environment.status("")


def deliver(environment, reply, arguments):
    """Print a complete reply in the requested form."""
    message = reply["choices"][0].get("message") or {}
    answer = message.get("content") or ""
    if arguments.json:
        environment.write_json(reply)
        return
    if message.get("reasoning_content"):
        environment.say(message["reasoning_content"].rstrip("\n") + "\n", colour="dim")
    if arguments.extract:
        code = first_code_block(answer)
        if code is None:
            raise LlamaCppError(
                f"the answer contains no complete code block; nothing was printed. The answer:\n{answer}"
            )
        answer = code
    with open_writer(environment, arguments.raw or arguments.schema or arguments.extract) as writer:
        writer.write(answer)


def speed(timings):
    """Token counts and speed of a reply, in one line."""
    if not timings:
        return "The server reported no statistics."
    return "; ".join([pace("answer", "predicted", timings), pace("prompt", "prompt", timings)])


def pace(what, prefix, timings):
    """``answer: 12 tokens in 0.31 s, 38.7 tokens/s``"""
    tokens, seconds = timings.get(f"{prefix}_n") or 0, (timings.get(f"{prefix}_ms") or 0) / 1000
    rate = timings.get(f"{prefix}_per_second") or (tokens / seconds if seconds else 0)
    return f"{what}: {tokens} tokens in {seconds:.2f} s, {rate:.1f} tokens/s"
