#!/usr/bin/env python3
# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""A stand-in for llama-server: a real process that speaks its HTTP, exits with its codes, and fails on demand.

It holds to what was read in, or observed of, llama.cpp 0c1e570: the port is bound before the model is loaded;
while loading every path gives 503, even with a wrong key; ``/health`` needs no key, the rest does (401); argument,
model and port errors are exit 1; SIGTERM ends it with 0 once ready and kills it while loading.

It cannot compute: answers come from a known-answers file. The integration tests use the real program. One line of its
log is its own: ``listening on ADDRESS:PORT`` as soon as the port is bound, so that tests find one that is loading.

Environment:

``FAKE_LLAMA_ANSWERS``  known-answers file (``{"answers": [{"question", "answer"}, …]}``); other questions get "?"
``FAKE_LLAMA_DEVICES``  lines for ``--list-devices``, without the indent (none: ``(none)``)
``FAKE_LLAMA_WRONG``    texts, one a line: every answer is wrong if one is among its arguments or in its model file
``FAKE_LLAMA_MODE``     ``ready`` (default) or one of

    ``loading``          the first three requests find it loading
    ``loading-slowly``   it is loading for a moment, then ready
    ``loading-forever``  it never becomes ready
    ``dies``             exit 1 with a message, as after a damaged model
    ``dies-loading``     exit 1 at the first request or after a moment, as when loading fails late
    ``unhurried``        it takes a moment for each completion
    ``nonsense``         every answer is wrong
    ``one-wrong``        the last question of the file gets the answer of the first
    ``wedged``           healthy, yet whatever needs the model is never answered
    ``waking``           the same, and ``/props`` is not answered either, as while an unloaded model is loaded again
    ``sleeping``         its model is unloaded until somebody asks for its slots or an answer
    ``busy``             its only slot works for somebody else for ever, a token further at every look at it
    ``no-slots``         the same, but it was started with --no-slots
    ``terse-slots``      the same, but its slots do not tell how far they are, as other versions of llama-server's
    ``stuck``            its only slot works for somebody else, and stands still
    ``failing``          after the first completion there is an error, as after a fault of the GPU
    ``crashes``          it ends at the first completion, as after a fault of the GPU
    ``ignores-term``     only SIGKILL ends it
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socketserver
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler

BUILD = "b0-0c1e570"
LOADING_REQUESTS = 3
MOMENT_SECONDS = 0.3
COMPLETION_SECONDS = 0.005
PUBLIC_PATHS = ("/health", "/v1/health")
BUSY = ("busy", "no-slots", "terse-slots", "stuck")
OTHERS_TASK = 7
IGNORED = ("--ctx-size", "--parallel", "--n-gpu-layers", "--cors-origins", "--sse-ping-interval", "--threads")
IGNORED += ("--flash-attn", "--cache-type-k", "--cache-type-v")
LOAD_FAILED = "E srv  load_model: failed to load model, '{}'"


def error(code, kind, message):
    return code, {"error": {"code": code, "message": message, "type": kind}}


class Arguments(argparse.ArgumentParser):
    def error(self, message):
        """llama-server answers any bad argument with exit 1."""
        self.exit(1, f"error: invalid argument: {message}\n")


def parse_arguments(argv):
    parser = Arguments(add_help=False, allow_abbrev=False)
    parser.add_argument("-m", "--model")
    parser.add_argument("-a", "--alias")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--api-key-file")
    parser.add_argument("-dev", "--device")
    parser.add_argument("--version", action="store_true")
    parser.add_argument("--list-devices", action="store_true")
    for ignored in IGNORED:
        parser.add_argument(ignored)
    parser.add_argument("--no-ui", action="store_true")
    arguments, unknown = parser.parse_known_args(argv)
    if unknown:
        parser.error(unknown[0])
    return arguments


def read_keys(path):
    """As llama-server reads them: one per line, ``#`` in the first column is a comment, nothing is trimmed."""
    keys = [os.environ["LLAMA_API_KEY"]] if os.environ.get("LLAMA_API_KEY") else []
    if path:
        with open(path, encoding="utf-8") as stream:
            keys += [line for line in stream.read().split("\n") if line and not line.startswith("#")]
    return keys


def computes_wrongly(model_path):
    texts = os.environ.get("FAKE_LLAMA_WRONG", "").splitlines()
    if not texts:
        return False
    with open(model_path, "rb") as stream:
        content = stream.read()
    return any(text in " ".join(sys.argv) or text.encode() in content for text in texts)


class State:
    """What the request handlers share."""

    def __init__(self, arguments, mode):
        self.mode = "nonsense" if computes_wrongly(arguments.model) else mode
        self.keys = read_keys(arguments.api_key_file)
        self.model_path = arguments.model
        self.model = arguments.alias or arguments.model
        endless = dict.fromkeys(("loading-forever", "loading-slowly", "dies-loading"), float("inf"))
        self.loading_requests = {"loading": LOADING_REQUESTS, **endless}.get(mode, 0)
        self.lock = threading.Lock()
        self.address = None
        self.sleeping = mode == "sleeping"
        self.completions = 0
        self.generated = 40  # by the slot that works for somebody else
        self.answers = {}
        if os.environ.get("FAKE_LLAMA_ANSWERS"):
            with open(os.environ["FAKE_LLAMA_ANSWERS"], encoding="utf-8") as stream:
                self.answers = {pair["question"]: pair["answer"] for pair in json.load(stream)["answers"]}
        if mode == "one-wrong":
            self.answers[list(self.answers)[-1]] = next(iter(self.answers.values()))

    def is_loading(self):
        """Whether this request still finds the model loading."""
        with self.lock:
            if not self.loading_requests:
                return False
            self.loading_requests -= 1
            if not self.loading_requests:
                self.finish_loading()
            return True

    def finish_loading(self):
        """The line that llama-server logs when it is ready, and only then."""
        if self.mode == "dies-loading":
            self.die_loading()
        self.loading_requests = 0
        print("I srv  llama_server: listening on http://{}:{}".format(*self.address), file=sys.stderr, flush=True)

    def die_loading(self):
        print(LOAD_FAILED.format(self.model_path), file=sys.stderr, flush=True)
        os._exit(1)

    def terminate(self, *_):
        """SIGTERM: a clean exit once ready; until then llama-server has no handler and the signal kills it."""
        if self.loading_requests > 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            os._exit(0)

    def slot(self):
        """The only slot as ``/slots`` shows it. One that has ended a task keeps its number and forgets its counters."""
        busy = self.mode in BUSY
        slot = {"id": 0, "n_ctx": 256, "speculative": False, "is_processing": busy}
        with self.lock:
            self.generated += self.mode == "busy"
            task = OTHERS_TASK if busy else self.completions
            generated = self.generated if busy else 0
        if task:
            progress = {"has_next_token": busy, "has_new_line": False, "n_remain": -1, "n_decoded": generated}
            slot.update(id_task=task, n_prompt_tokens=8 + generated, n_prompt_tokens_processed=8 if busy else 0)
            slot.update(n_prompt_tokens_cache=0, params={}, next_token=[] if self.mode == "terse-slots" else [progress])
        return slot

    def answer(self, messages):
        if self.mode == "nonsense":
            return "\u00a7\u00a7\u00a7"
        asked = [message["content"] for message in messages if message["role"] == "user"]
        return self.answers.get(asked[-1], "?")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else the body of an answer waits until its head is acknowledged

    def log_message(self, *_):
        """llama-server does not log its polls either."""

    @property
    def state(self):
        return self.server.state

    def reply(self, code, document):
        body = json.dumps(document).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def refused(self):
        """Reply and return True when the request gets no further: the state is looked at before the key."""
        if self.state.mode == "dies-loading":
            self.state.die_loading()
        if self.state.is_loading():
            self.reply(*error(503, "unavailable_error", "Loading model"))
            return True
        key = self.headers.get("Authorization") or self.headers.get("X-Api-Key") or ""
        if self.state.keys and self.path not in PUBLIC_PATHS and key.replace("Bearer ", "", 1) not in self.state.keys:
            self.reply(*error(401, "authentication_error", "Invalid API Key"))
            return True
        return False

    def do_GET(self):
        if self.refused():
            return
        state = self.state
        if self.path in PUBLIC_PATHS:
            self.reply(200, {"status": "ok"})
        elif state.mode == "waking":
            threading.Event().wait()
        elif self.path == "/slots" and state.mode == "no-slots":
            message = "This server does not support slots endpoint. Start it with `--slots`"
            self.reply(*error(501, "not_supported_error", message))
        elif self.path == "/slots":
            self.wake()
            self.reply(200, [state.slot()])
        elif self.path == "/props":
            self.reply(
                200,
                {
                    "build_info": BUILD,
                    "model_alias": state.model,
                    "model_path": state.model_path,
                    "total_slots": 1,
                    "is_sleeping": state.sleeping,
                    "default_generation_settings": {"n_ctx": 256},
                },
            )
        elif self.path in ("/models", "/v1/models"):
            entry = {"id": state.model, "object": "model", "owned_by": "llamacpp", "created": int(time.time())}
            self.reply(200, {"object": "list", "data": [entry]})
        else:
            self.reply(*error(404, "not_found_error", "File Not Found"))

    def wake(self):
        """Have the model, which the request needs; without one the request is never answered."""
        if self.state.mode in ("wedged", "waking"):
            threading.Event().wait()
        self.state.sleeping = False

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.refused():
            return
        if self.path not in ("/completion", "/chat/completions", "/v1/chat/completions"):
            self.reply(*error(404, "not_found_error", "File Not Found"))
            return
        plain = self.path == "/completion"
        try:
            request = json.loads(body)
            messages = [{"role": "user", "content": request["prompt"]}] if plain else request["messages"]
            answer = self.state.answer(messages)
        except (ValueError, KeyError, IndexError, TypeError) as problem:
            self.reply(*error(400, "invalid_request_error", f"bad request: {problem!r}"))
            return
        if not self.computes():
            self.reply(*error(500, "server_error", "Compute error."))
            return
        limit = request.get("n_predict" if plain else "max_tokens")
        text = answer[:limit] if limit and limit > 0 else answer
        if plain:
            self.reply_plainly(text, "eos" if text == answer else "limit")
            return
        finish = "stop" if text == answer else "length"
        (self.reply_stream if request.get("stream") else self.reply_whole)(request, text, finish)

    def computes(self):
        """Whether there will be an answer, as soon as there would be one."""
        state = self.state
        self.wake()
        if state.mode == "unhurried":
            time.sleep(COMPLETION_SECONDS)
        if state.mode in BUSY:  # the only slot is taken
            threading.Event().wait()
        if state.mode == "crashes":
            print("E ggml_abort: the back end is in an error state", file=sys.stderr, flush=True)
            os.abort()
        with state.lock:
            state.completions += 1
            return state.mode != "failing" or state.completions == 1

    def reply_plainly(self, text, ending):
        """The reply of ``/completion``, as far as anybody reads it."""
        document = {"index": 0, "content": text, "tokens": [], "id_slot": 0, "stop": True, "stop_type": ending}
        document.update(model=self.state.model, tokens_predicted=len(text), timings=self.timings(text))
        self.reply(200, document)

    def envelope(self, request, kind):
        return {
            "created": int(time.time()),
            "id": "chatcmpl-fake",
            "model": request.get("model") or self.state.model,
            "object": kind,
            "system_fingerprint": BUILD,
        }

    @staticmethod
    def timings(text):
        count = len(text) + 1
        return {"cache_n": 0, "prompt_n": 8, "prompt_ms": 1.0, "predicted_n": count, "predicted_ms": 0.5 * count}

    def reply_whole(self, request, text, finish):
        message = {"role": "assistant", "content": text}
        usage = {"completion_tokens": len(text) + 1, "prompt_tokens": 8, "total_tokens": len(text) + 9}
        self.reply(
            200,
            {
                **self.envelope(request, "chat.completion"),
                "choices": [{"finish_reason": finish, "index": 0, "message": message}],
                "usage": usage,
                "timings": self.timings(text),
            },
        )

    def reply_stream(self, request, text, finish):
        """Server-sent events, one per character, as the byte-level self-test model gives them."""
        deltas = [{"role": "assistant", "content": None}, *({"content": character} for character in text)]
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        envelope = self.envelope(request, "chat.completion.chunk")
        for delta in deltas:
            self.send_event({**envelope, "choices": [{"finish_reason": None, "index": 0, "delta": delta}]})
        last = {**envelope, "choices": [{"finish_reason": finish, "index": 0, "delta": {}}]}
        self.send_event({**last, "timings": self.timings(text)})
        self.send_event("[DONE]")
        self.wfile.write(b"0\r\n\r\n")

    def send_event(self, data):
        event = b"data: %s\n\n" % (data if isinstance(data, str) else json.dumps(data)).encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
        self.wfile.flush()


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def list_devices():
    print("Available devices:")
    for line in os.environ.get("FAKE_LLAMA_DEVICES", "").splitlines() or ["(none)"]:
        print("  " + line)


def main(argv):
    arguments = parse_arguments(argv)
    if arguments.version:
        print("version: 0.5.0-dev (build 0, commit 0c1e570)", file=sys.stderr)
    elif arguments.list_devices:
        list_devices()
    elif arguments.model:
        return serve(arguments)
    else:
        print("the stand-in has no router mode: give --model", file=sys.stderr)
        return 1
    return 0


def serve(arguments):
    """Serve until a signal; returns the exit status when it does not come to that."""
    mode = os.environ.get("FAKE_LLAMA_MODE") or "ready"
    try:
        state = State(arguments, mode)
    except OSError as problem:
        print(f"error while handling argument: {problem}", file=sys.stderr)
        return 1
    try:
        server = Server((arguments.host, arguments.port), Handler)
    except OSError:
        where = f"hostname: {arguments.host}, port: {arguments.port}"
        print(f"E srv  start: couldn't bind HTTP server socket, {where}", file=sys.stderr)
        return 1
    if mode == "dies" or not os.path.exists(arguments.model):
        print(LOAD_FAILED.format(arguments.model), file=sys.stderr)
        return 1
    server.state, state.address = state, server.server_address
    signal.signal(signal.SIGTERM, signal.SIG_IGN if mode == "ignores-term" else state.terminate)
    print("listening on {}:{}".format(*state.address), file=sys.stderr, flush=True)
    if mode in ("loading-slowly", "dies-loading"):
        threading.Timer(MOMENT_SECONDS, state.finish_loading).start()
    elif not state.loading_requests:
        state.finish_loading()
    server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
