# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""A stand-in for llama-server's router, as far as the watchdog and the health check look at one.

It holds to what was observed of llama.cpp 0c1e570: ``/health`` and ``/props`` are the router's own; what needs a model
names it, in the query or the body; an unknown or missing one is refused with 400, as is, with ``autoload=0``, one that
is not loaded.
"""

import json
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

#: The path that each purpose answers, and what it answers.
ANSWERS = {
    "chat": ("/completion", {"content": "!"}),
    "embedding": ("/v1/embeddings", {"data": [{"embedding": [0.5, -0.5]}]}),
    "rerank": ("/v1/rerank", {"results": [{"index": index, "relevance_score": 0.5} for index in (1, 0)]}),
}


class FakeRouter:
    """``with FakeRouter(models) as router``: ``models`` is a dict of name to state and, optionally, behaviour.

    ``("loaded", "silent")`` never answers, ``"failing"`` answers 500, ``"busy"`` works for somebody and stands still;
    ``"leaving"`` is unloaded at the first look. The first word is what ``/v1/models`` says.
    """

    def __init__(self, models, purposes=None):
        self.models = {name: state if isinstance(state, tuple) else (state, "well") for name, state in models.items()}
        self.purposes = purposes or {}
        self.asked = []  # (path without the query, model) of everything that needs a model
        self.over = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *failure):
        self.over.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, path, model, autoload):
        """(status, body) for a request that needs ``model``."""
        if model not in self.models:
            return refusal(400, f"model '{model}' not found" if model else "model name is missing from the request")
        self.asked.append((path, model))
        state, behaviour = self.models[model]
        if behaviour == "silent":
            self.over.wait()
        if behaviour == "leaving" or (state == "unloaded" and not autoload):
            return refusal(400, "model is not loaded")
        if path == "/slots":
            busy = {"id_task": 7, "n_prompt_tokens_processed": 8, "next_token": [{"n_decoded": 9}]}
            return 200, [{"is_processing": behaviour == "busy", **busy}]
        if behaviour == "failing":
            return refusal(500, "Compute error.")
        wanted, reply = ANSWERS[self.purposes.get(model, "chat")]
        return (200, reply) if path == wanted else refusal(501, "This server does not support that.")


def refusal(status, message):
    return status, {"error": {"code": status, "message": message}}


def _handler(router):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            path, query = self._address()
            if path == "/health":
                self._send(200, {"status": "ok"})
            elif path == "/props":
                self._send(200, {"role": "router", "build_info": "b0-0c1e570"})
            elif path == "/v1/models":
                states = router.models.items()
                self._send(200, {"data": [{"id": name, "status": {"value": state[0]}} for name, state in states]})
            else:
                self._send(*router.answer(path, query.get("model"), query.get("autoload") != "0"))

        def do_POST(self):
            path, query = self._address()
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._send(*router.answer(path, body.get("model"), query.get("autoload") != "0"))

        def _address(self):
            parts = urllib.parse.urlsplit(self.path)
            return parts.path, dict(urllib.parse.parse_qsl(parts.query))

        def _send(self, status, value):
            raw = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_words):
            """Nobody reads it."""

    return Handler
