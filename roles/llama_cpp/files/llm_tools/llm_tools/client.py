# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The server for programs: ``from llm_tools import Client``.

    client = Client()                       # the server that the play has set up on this machine
    print(client.chat("What is the capital of France?").content)
    for kind, text in client.chat_stream("Tell me a story."):
        print(text, end="")

Needs nothing but Python 3.9: put ``<install_dir>/tools/lib`` into PYTHONPATH. Every failure is an ``LlamaCppError``;
its kinds tell what to do: ``NotRunning``, ``StillLoading``, ``NotAuthorised``, ``NotAnswering``, ``ContextExceeded``,
and ``ServerError`` for what else the server refuses.
"""

from __future__ import annotations

import os

from .answer import Answer
from .core.llama.client import LlamaServer
from .endpoint import CONFIG_VARIABLE
from .environment import Environment
from .llm.complete import as_chat

OWN_CONFIG = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(__file__))), "client.json")


class Client:
    """One server.

    :param url: ``http[s]://host:port``, with or without ``/v1``. None: LLM_BASE_URL, else the configured server, else
        OPENAI_BASE_URL.
    :param api_key: its API key. None: the one that is configured for it, or in LLM_API_KEY or OPENAI_API_KEY.
    :param model: the model that is asked where a call names none. None: the default one.
    :param timeout: seconds without data from the server after which a call fails.
    :param ca_file: PEM file of an authority to trust besides the system's.
    :param conversation: any text that is the same for all requests of a conversation; a gateway sends them where the
        prompt is cached.
    :raises LlamaCppError: no server is configured, or what is given cannot be used. Nothing is sent yet.

    Several threads may use one object; each call has a connection of its own. ``options`` of a call are keys of the
    server's request: ``max_tokens``, ``temperature``, ``seed``, ``response_format`` …
    """

    def __init__(self, url=None, api_key=None, *, model=None, timeout=600.0, ca_file=None, conversation=None):
        environ = {**os.environ}
        if os.path.isfile(OWN_CONFIG):
            environ.setdefault(CONFIG_VARIABLE, OWN_CONFIG)
        environment = Environment("llm", environ)
        environment.name_server(url, None)
        if api_key is None and ca_file is None:
            self._server = environment.server(timeout)
        else:
            key = environment.endpoint.key() if api_key is None else api_key
            self._server = LlamaServer(environment.require_url(), key, timeout, ca_file=ca_file)
        self._server = self._server.in_conversation(conversation)
        self.url = self._server.base_url
        self.model = model or environment.default_model

    def health(self):
        """``"ready"`` or ``"loading"``. Raises NotRunning when no process listens."""
        return self._server.health()

    def models(self):
        """The models that the server offers, as a list of dicts with at least ``id``."""
        return self._server.models()

    def load(self, model):
        """Have a router load ``model``; returns at once, :meth:`models` tells how it gets on."""
        self._server.load(model)

    def unload(self, model):
        """Have a router remove ``model`` from memory; returns at once."""
        self._server.unload(model)

    def chat(self, messages, **options):
        """The :class:`Answer` to ``messages``: a prompt, or a list of dicts with ``role`` and ``content``.

        It may be cut off or empty: its ``finish_reason`` tells, and ``require_complete`` raises Incomplete then.
        """
        return Answer.of_reply(self._server.chat(_messages(messages), **self._options(options)))

    def chat_stream(self, messages, answer=None, **options):
        """Yields the pieces of the answer as they come, as ("reasoning" or "content", text).

        :param answer: an :class:`Answer` that is put together on the way; its figures are there at the end.

        Closing the iterator ends the work of the server.
        """
        answer = Answer() if answer is None else answer
        for event in self._server.chat_stream(_messages(messages), **self._options(options)):
            yield from answer.feed(event)

    def complete(self, prompt, **options):
        """The :class:`Answer` that continues the text ``prompt``, without a chat template.

        The limit of tokens is called ``n_predict`` here.
        """
        return Answer.of_reply(as_chat(self._server.complete(prompt, **self._options(options))))

    def complete_stream(self, prompt, answer=None, **options):
        """Yields the pieces of the continuation as they come; otherwise like :meth:`chat_stream`."""
        answer = Answer() if answer is None else answer
        for event in self._server.complete_stream(prompt, **self._options(options)):
            for _kind, text in answer.feed(as_chat(event)):
                yield text

    def embed(self, texts, **options):
        """The vector of a text, a list of numbers; of a list of texts a list of vectors, in their order."""
        if isinstance(texts, str):
            return self._server.embed(texts, **self._options(options))
        return self._server.embed_all(list(texts), **self._options(options))

    def rerank(self, query, documents, **options):
        """How well each of ``documents`` answers ``query``, as numbers in their order; higher is better."""
        return self._server.rerank(query, list(documents), **self._options(options))

    def tokenize(self, text, **options):
        """The tokens of ``text``, as a list of their numbers."""
        return self._server.tokenize(text, **self._options(options))

    def detokenize(self, tokens, **options):
        """The text of ``tokens``, a list of numbers."""
        return self._server.detokenize(tokens, **self._options(options))

    def _options(self, options):
        return {"model": self.model, **options} if self.model else options


def _messages(messages):
    return [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
