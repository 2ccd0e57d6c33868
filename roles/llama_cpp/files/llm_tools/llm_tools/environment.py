# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What a command has around it: its streams, its terminal, its configuration, its server."""

from __future__ import annotations

import functools
import json
import os
import re
import sys

from . import client_config
from .core.base.errors import LlamaCppError
from .core.llama.client import LlamaServer
from .endpoint import (
    CONFIG_VARIABLE,
    KEY_VARIABLE,
    OPENAI_KEY_VARIABLE,
    OPENAI_URL_VARIABLE,
    URL_VARIABLE,
    Endpoint,
)
from .errors import UsageError

MANAGER = "llm-manager"

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
#: What is read from the environment, for the help and the documentation.
VARIABLES = {
    URL_VARIABLE: "address of another server, without /v1; the configured API key and model are not sent to it",
    KEY_VARIABLE: "API key of the server; overrides the configured key file",
    OPENAI_URL_VARIABLE: "address of a server, for hosts without a configured one",
    OPENAI_KEY_VARIABLE: f"API key of the server that {OPENAI_URL_VARIABLE} names",
    CONFIG_VARIABLE: "configuration file of the commands; set by their launchers",
    "NO_COLOR": "disable colours if not empty",
    "CLICOLOR_FORCE": "force colours without a terminal, unless empty or 0",
}

COLOURS = {"red": "31", "green": "32", "yellow": "33", "dim": "2"}


class Environment:
    """One run of a command.

    :ivar program: the name the command was called by, ``llm`` or ``llm-manager`` unless its owner chose another.
    """

    def __init__(self, program, environ=None, stdin=None, stdout=None, stderr=None):
        self.program = program
        self.environ = os.environ if environ is None else environ
        self.stdin = stdin or sys.stdin
        self.stdout = stdout or sys.stdout
        self.stderr = stderr or sys.stderr
        self._status_shown = False
        self._named = (None, None)

    # Output: data on stdout, everything else on stderr.

    def write(self, text):
        """Data, at once and as it is, except that a terminal is spared control characters."""
        self.status("")
        self.stdout.write(printable(text) if self.is_terminal(self.stdout) else text)
        self.stdout.flush()

    def write_table(self, rows):
        """Rows of (name, value, colour of the value or None), the values below one another."""
        width = max(len(name) for name, value, colour in rows)
        for name, value, colour in rows:
            self.stdout.write(f"{name.ljust(width)}  {self.paint(printable(value), colour, self.stdout)}\n")
        self.stdout.flush()

    def write_json(self, value):
        self.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")

    def say(self, text, end="\n", colour=None):
        """Something about the work: status, progress, a hint; lost where stderr is closed."""
        if self.stderr is None:
            return
        self.status("")
        self.stderr.write(self.paint(printable(text), colour, self.stderr) + end)
        self.stderr.flush()

    def status(self, text):
        """What is going on right now, on a terminal only; whatever is written next takes its place."""
        if self.can_draw(self.stderr) and (text or self._status_shown):
            self.stderr.write("\r\033[K" + printable(text))
            self.stderr.flush()
            self._status_shown = bool(text)

    def paint(self, text, colour, stream):
        """``text`` in ``colour``, if it has one and ``stream`` shows colours."""
        return f"\033[{COLOURS[colour]}m{text}\033[0m" if colour and self.has_colours(stream) else text

    def has_colours(self, stream):
        """NO_COLOR (https://no-color.org) wins; CLICOLOR_FORCE wants colours without a terminal too."""
        if self.environ.get("NO_COLOR"):
            return False
        return self.can_draw(stream) or self.environ.get("CLICOLOR_FORCE", "0") not in ("", "0")

    def can_draw(self, stream):
        """Whether ``stream`` is a terminal that understands more than text."""
        return self.is_terminal(stream) and self.environ.get("TERM") != "dumb"

    def is_terminal(self, stream):
        return stream is not None and stream.isatty()

    # Configuration: client.json, and what the command line and the environment name instead.

    @functools.cached_property
    def config(self):
        """The document that the play wrote for the commands; empty when no launcher says where it is."""
        path = self.environ.get(CONFIG_VARIABLE)
        if not path:
            return {}
        try:
            return client_config.read(path)
        except OSError as error:
            raise UsageError(f"{path}, named by {CONFIG_VARIABLE}, cannot be read: {error.strerror}.") from error

    def section(self, name):
        """One part of the configuration, as a dict."""
        return self.config.get(name) or {}

    @property
    def client(self):
        """The name of the client on this machine."""
        return self.section("client").get("command") or (self.program if self.program != MANAGER else "llm")

    def name_server(self, url, key_file):
        """Take the server of ``--server`` and the key of ``--key-file``; None: those that are configured."""
        self._named = (url, key_file)
        self.__dict__.pop("endpoint", None)

    @functools.cached_property
    def endpoint(self):
        """The server that this run is for, as an :class:`Endpoint`."""
        return Endpoint(self.environ, self.section("server"), *self._named)

    @property
    def elsewhere(self):
        """Whether another server than the configured one is meant, to which nothing of that one is sent."""
        return not self.endpoint.ours

    @property
    def default_model(self):
        """The model that is asked where none is named; None: the server's own."""
        if self.elsewhere:
            return None
        return self.section("client").get("default_model") or self.section("server").get("model")

    def models_for(self, purpose):
        """The names of the configured models for ``purpose``."""
        return [entry["name"] for entry in self.config.get("models") or () if self.purpose_of(entry["name"]) == purpose]

    def purpose_of(self, model):
        """What the configuration says that ``model`` is for: chat, where it says nothing."""
        purposes = {entry["name"]: entry.get("purpose") for entry in self.config.get("models") or ()}
        return purposes.get(model) or "chat"

    @property
    def key_source(self):
        """Where the API key comes from, in words, or None when there is none."""
        return self.endpoint.key_source

    @property
    def owner(self):
        """The user whose process the configured server must be to be told the key: the one whose configuration it is.

        None for a server that was named together with its key: that is the caller's own affair.
        """
        if self.elsewhere or self.endpoint.key_was_named or not self.environ.get(CONFIG_VARIABLE):
            return None
        return os.stat(self.environ[CONFIG_VARIABLE]).st_uid

    def require_url(self):
        """The address of the server. Raises UsageError where none is named."""
        if not self.endpoint.url:
            raise UsageError(
                f"No server is configured: neither --server nor {URL_VARIABLE} nor {CONFIG_VARIABLE} is given.\n"
                f"Try: {self.program} --server http://127.0.0.1:8080 …"
            )
        return self.endpoint.url

    def server(self, timeout=30.0):
        """The server to talk to. Raises UsageError when what is configured cannot be used."""
        url = self.require_url()
        try:
            proofs = {} if self.elsewhere else self.section("server")
            tls = {name: proofs.get(name) for name in ("ca_file", "certificate")}
            return LlamaServer(url, self.endpoint.key(), timeout, owner=self.owner, **tls)
        except LlamaCppError as error:
            raise UsageError(str(error)) from error


def printable(text):
    """``text`` without the control characters that could steer a terminal; line feeds and tabs stay."""
    return CONTROL.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r", ""))
