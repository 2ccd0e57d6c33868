# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""A client for the HTTP interface of one llama-server.

It never goes through a proxy, whatever the environment says, so a question asked of this machine stays on this
machine. What the server answers when is from tools/server/server-http.cpp
and server-context.cpp of llama.cpp 0c1e570: the port is bound before the model is loaded, so "connection refused"
means no server; while loading, every path answers 503 even with a wrong key; then all but ``/health`` wants the key.
"""

from __future__ import annotations

import contextlib
import json
import socket

from ..base.json_form import misfit
from ..base.strict_json import MOST_BYTES, NotStrict, parse
from ..net.deadline import WHOLE, TooSlow
from ..net.event_stream import sse_data
from ..net.http1 import BadAnswer, Connection, Incomplete, was_closed
from ..net.kept_alive import Connections
from ..net.peer import owner_of_peer
from ..net.server_url import ServerUrl
from . import answers
from .api_keys import check_api_key
from .errors import (
    EXCERPT_CHARACTERS,
    ConnectionLost,
    NotAnswering,
    NotAuthorised,
    NotRunning,
    ServerError,
    StillLoading,
    Stranger,
    refusal,
    status_in,
)

#: The same text with each request of a conversation: a gateway in front of several servers sends it where the prompt is
#: cached. A server takes no notice of it.
CONVERSATION_HEADER = "X-LLM-Conversation"

CONNECT_SECONDS = 10.0
RENEWED = "If that was renewed, have the server read it: llm-manager restart"


class LlamaServer:
    """One llama-server.

    :param base_url: ``http[s]://host:port[/prefix]``; a ``/v1`` at the end, as other clients want it, is understood.
    :param api_key: the key itself, or None when the server has none.
    :param timeout: seconds to wait for the next bytes of an answer; None waits for ever. An answer that is no stream
        has to be there after WHOLE times as long.
    :param ca_file: PEM file with an authority that is trusted like the system's.
    :param certificate: PEM file of a server on this machine: one that shows its first certificate is trusted, whatever
        the name in it. A client of 127.0.0.1 could never verify a name.
    :param owner: the user id of a server on this machine: without TLS, which proves who answers, the key is sent only
        to a process of this user. Its port may be anybody's while it is stopped. None: to any process.

    Every method raises ServerError or one of its kinds. Raises LlamaCppError when a parameter is unusable.
    """

    def __init__(self, base_url, api_key=None, timeout=30.0, ca_file=None, owner=None, certificate=None):
        self._url = ServerUrl(base_url)
        self.base_url = self._url.text
        self._api_key = check_api_key(api_key, "The API key") if api_key else None
        self._timeout = timeout
        self._certificate, self._shown, self._tls, self._trust = certificate, None, None, None
        if self._url.https:
            from ..net import tls  # noqa: PLC0415 - ssl takes a good part of the start of a command

            self._tls, self._trust, self._shown = tls, tls.context(ca_file), tls.first_certificate(certificate)
        self._owner = owner
        self._connections = Connections(keep=False)
        self._conversation = None

    def within(self, seconds):
        """A client of the same server whose timeout is at most so long."""
        client = self._copy()
        client._timeout = seconds if self._timeout is None else min(seconds, self._timeout)
        return client

    def in_conversation(self, identifier):
        """A client of the same server for the requests of the conversation ``identifier``, any text; None: of none."""
        client = self._copy()
        client._conversation = identifier and ascii(identifier)[1:-1]  # no line may end in a header
        return client

    def _copy(self):
        client = object.__new__(type(self))
        client.__dict__.update(self.__dict__)
        return client

    @contextlib.contextmanager
    def kept_alive(self):
        """Lend a client of the same server that uses its connections again, in as many threads as one likes.

        A connection that the server has closed meanwhile is replaced by another. The end of the block closes them all;
        a request in flight ends with ServerError.
        """
        client = self._copy()
        client._connections = Connections(keep=True)
        try:
            yield client
        finally:
            client._connections.close()

    def health(self):
        """``"ready"`` or ``"loading"``. Needs no key; raises NotRunning when no process listens, or NotAnswering."""
        try:
            try:
                self._json("GET", "/health", with_key=False)
            except NotAuthorised:  # behind a prefix it is not public
                self._json("GET", "/health")
        except StillLoading:
            return "loading"
        return "ready"

    def props(self):
        """What ``/props`` says: ``build_info`` (``b1-0c1e570``), ``model_path``, ``default_generation_settings`` …"""
        return self._json("GET", "/props", form=answers.PROPS)

    def models(self):
        """The available models, as a list of dicts with at least ``id``."""
        return self._json("GET", "/v1/models", form=answers.MODELS)["data"]

    def slots(self, model=None):
        """What each slot does, as a list of dicts (``is_processing``, ``id_task``, ``next_token`` …).

        Needs no slot, but the model: it wakes a server that sleeps. Old and odd servers may refuse it (501). A router
        wants to know the ``model``, and does not load it for this.
        """
        import urllib.parse  # noqa: PLC0415 - only here, and the commands have to start fast

        path = "/slots" + (f"?model={urllib.parse.quote(model, safe='')}&autoload=0" if model else "")
        return self._json("GET", path, form=answers.SLOTS)

    def complete(self, prompt, load=True, **options):
        """The whole reply of ``/completion``, which puts ``prompt`` into no chat template.

        Without ``load`` a router refuses (400) what it would have to load a model for; so do embed() and rerank().
        """
        body = {"prompt": prompt, **options}
        return self._json("POST", "/completion" + _loading(load), body, form=answers.COMPLETION)

    def complete_stream(self, prompt, **options):
        """Like :meth:`complete`, but yields the dicts of the stream; their ``content`` adds up to the whole."""
        return self._events("/completion", {"prompt": prompt, **options}, answers.COMPLETION_EVENT)

    def embed(self, text, load=True, **options):
        """The vector of ``text``, a list of numbers, by an embedding model."""
        return self.embed_all([text], load, **options)[0]

    def embed_all(self, texts, load=True, **options):
        """The vector of each of ``texts``, in their order."""
        body = {"input": texts, **options}
        reply = self._json("POST", "/v1/embeddings" + _loading(load), body, form=answers.EMBEDDING)
        vectors = {entry.get("index", place): entry["embedding"] for place, entry in enumerate(reply["data"])}
        found = [vectors.get(place) for place in range(len(texts))]
        if not all(found):
            raise self._not_understood(json.dumps(reply))
        return found

    def tokenize(self, text, **options):
        """The tokens of ``text``, as a list of their numbers; of dicts with ``id`` and ``piece`` when asked for.

        ``options`` are keys of the request: ``add_special``, ``parse_special``, ``with_pieces``, a router's ``model``.
        """
        return self._json("POST", "/tokenize", {"content": text, **options}, form=answers.TOKENS)["tokens"]

    def detokenize(self, tokens, **options):
        """The text of ``tokens``, a list of numbers."""
        return self._json("POST", "/detokenize", {"tokens": tokens, **options}, form=answers.COMPLETION)["content"]

    def load(self, model):
        """Have a router load ``model``; returns at once, :meth:`models` tells how it gets on."""
        self._json("POST", "/models/load", {"model": model})

    def unload(self, model):
        """Have a router unload ``model``, whatever it works at; returns at once."""
        self._json("POST", "/models/unload", {"model": model})

    def end_reasoning(self, completion, model=None):
        """Whether the model was told to stop reasoning and to answer.

        :param completion: the ``id`` in the events of a :meth:`chat_stream` with ``reasoning_control``.
        """
        body = {"id": completion, "action": "reasoning_end", **({"model": model} if model else {})}
        return self._json("POST", "/v1/chat/completions/control", body).get("success") is True

    def rerank(self, query, documents, load=True, **options):
        """How well each of ``documents`` answers ``query``, as numbers in their order, by a rerank model."""
        body = {"query": query, "documents": documents, **options}
        reply = self._json("POST", "/v1/rerank" + _loading(load), body, form=answers.RANKS)
        scores = {result["index"]: result.get("relevance_score") for result in reply["results"]}
        if not scores.keys() >= set(range(len(documents))):
            raise self._not_understood(json.dumps(reply))
        return [scores[index] for index in range(len(documents))]

    def chat(self, messages, **options):
        """The whole reply of ``/v1/chat/completions``; ``options`` are keys of the request (``max_tokens`` …)."""
        body = {"messages": messages, **options}
        reply = self._json("POST", "/v1/chat/completions", body, form=answers.CHAT)
        if not reply["choices"]:
            raise self._not_understood(json.dumps(reply))
        return reply

    def chat_stream(self, messages, **options):
        """Like :meth:`chat`, but yields the dicts of the stream as they come; their ``delta`` adds up to the answer.

        Closing the iterator closes the connection, on which the server stops working at the answer.
        """
        return self._events("/v1/chat/completions", {"messages": messages, **options}, answers.EVENT)

    def _events(self, path, body, form):
        """The JSON documents, of that ``form``, of an event stream."""
        with self._open("POST", path, {"stream": True, **body}) as response, contextlib.suppress(Incomplete):
            for data in sse_data(response, MOST_BYTES):
                if data == "[DONE]":
                    return
                event = self._parse(data)
                if "error" in event:
                    raise self._refusal(status_in(event) or response.status, event)
                yield self._formed(event, form)
                if event.get("stop") is True:  # of /completion, which says nothing more
                    return
        raise ServerError(f"{self.base_url} closed the connection in the middle of its answer.")

    def post(self, path, document):
        """The text that is answered when ``document``, JSON as bytes, is posted to ``path`` as it is."""
        with self._open("POST", path, document) as response:
            text = _whole(response)
        if len(text) > MOST_BYTES:
            raise ServerError(f"{self.base_url} gave an answer of more than {MOST_BYTES} bytes.", response.status)
        return text

    def _json(self, method, path, body=None, with_key=True, form=answers.OBJECT):
        """The JSON document, of that ``form``, that the server answers to one request."""
        with self._open(method, path, body, with_key) as response:
            return self._parse(_whole(response), form)

    @contextlib.contextmanager
    def _open(self, method, path, body=None, with_key=True):
        """Send one request and lend its response, whose status is 2xx; any other answer is raised."""
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if self._conversation:
            headers[CONVERSATION_HEADER] = self._conversation
        payload = body if body is None or isinstance(body, bytes) else json.dumps(body).encode("ascii")

        def send(connection):
            if connection.sock.gettimeout() != self._timeout:
                connection.sock.settimeout(self._timeout)
            if self._api_key and with_key:
                self._require_owner(connection)
                headers["Authorization"] = "Bearer " + self._api_key
            connection.request(method, self._url.prefix + path, payload, headers)
            return connection.getresponse()

        try:
            with self._connections.response(self._connect, send) as response:
                if not 200 <= response.status < 300:
                    text = _whole(response)
                    refusal = self._refusal(response.status, text)
                    refusal.answer, refusal.retry_after = text, _retry_after(response.headers)
                    raise refusal
                yield response
        except (OSError, BadAnswer) as error:
            raise self._failure(error) from error

    def _connect(self):
        """A connection to the server; over TLS it has proven itself."""
        if self._shown:
            connection = self._connect_with(self._tls.context_that_trusts_anybody())
            if connection.sock.getpeercert(binary_form=True) == self._shown:
                return connection
            connection.close()
        return self._connect_with(self._trust)

    def _connect_with(self, trust):
        patience = CONNECT_SECONDS if self._timeout is None else min(CONNECT_SECONDS, self._timeout)
        connection = Connection(self._url.host, self._url.port, patience, trust)
        try:
            connection.connect()
        except OSError as error:
            reason = self._tls.reason_of(error) if self._tls else None
            if reason:
                remedy = f" It does not show the certificate in {self._certificate}. {RENEWED}" if self._shown else ""
                text = f"No trusted connection to {self.base_url}: {reason}.{remedy}"
                raise ServerError(text, reason=reason) from error
            reason = error.strerror or str(error) or "timed out"
            text = f"No server answers at {self.base_url} ({reason.lower()})."
            raise NotRunning(text, reason=reason) from error
        return connection

    def _require_owner(self, connection):
        """Raise Stranger unless the other end of ``connection`` may be told the key."""
        if self._owner is None or self._url.https or getattr(connection, "is_of_owner", False):
            return
        found = owner_of_peer(connection.sock, self._timeout)
        connection.is_of_owner = found == self._owner
        if not connection.is_of_owner:
            whose = "cannot be told" if found is None else f"belongs to the user {found}"
            raise Stranger(
                f"Whatever answers at {self.base_url} is not known to be the server of the user {self._owner} (its "
                f"process {whose}), so the API key was not sent. To see who holds the port: sudo lsof -nP "
                f"-iTCP:{self._url.port} -sTCP:LISTEN"
            )

    def _parse(self, text, form=answers.OBJECT):
        try:
            value = parse(text, any_text=True)
        except NotStrict:
            raise self._not_understood(text) from None
        return self._formed(value, form)

    def _formed(self, value, form):
        if misfit(value, form):
            raise self._not_understood(json.dumps(value))
        return value

    def _refusal(self, status, body):
        return refusal(self.base_url, status, body, has_key=bool(self._api_key))

    def _failure(self, error):
        """The error for a connection that was made and then failed."""
        if isinstance(error, socket.timeout):
            what = "sent nothing for %g s"
            if isinstance(error, TooSlow):
                what = f"gave no whole answer within {WHOLE} times %g s"
            return NotAnswering(f"{self.base_url} {what % self._timeout}, so the request was canceled.")
        if isinstance(error, Incomplete):
            return ConnectionLost(f"{self.base_url} closed the connection in the middle of its answer.")
        if was_closed(error) or (self._tls and self._tls.reason_of(error)):
            text = (
                f"{self.base_url} closed the connection before it answered: the server is stopping, has crashed, "
                f"or does not speak {'https' if self._url.https else 'http'} on this port."
            )
            return ConnectionLost(text, reason=str(error))
        return self._not_understood(str(error) or type(error).__name__)

    def _not_understood(self, text):
        excerpt = " ".join(text[:EXCERPT_CHARACTERS].split())
        return ServerError(f"{self.base_url} does not answer like llama-server. It said: {excerpt or 'nothing'}")


def _retry_after(headers):
    """How many seconds the server asks to wait, or None."""
    from ..net.header_values import retry_after  # noqa: PLC0415 - for refusals alone, and the commands start fast

    return retry_after(headers.get("retry-after"))


def _whole(response):
    """The text of an answer, or more of its beginning than can be understood."""
    return response.read(MOST_BYTES + 1).decode("utf-8", "replace")


def _loading(load):
    """The query that keeps a router from loading a model; other servers do not know it."""
    return "" if load else "?autoload=0"
