# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What the user sees, on a terminal, while a server loads a model or has not begun to answer."""

from __future__ import annotations

import time

from .core.base.errors import LlamaCppError
from .core.llama.errors import StillLoading
from .core.llama.readiness import model_state, wait_until_ready

PATIENCE_SECONDS = 1.0  # before anything is shown
LOOK_SECONDS = 2.0


def when_ready(environment, server, request, seconds, model=None):
    """The result of ``request()``; while the server loads its model, it is waited for, at most ``seconds``."""
    try:
        return request()
    except StillLoading:
        if not seconds:
            raise
    wait_until_ready(server, seconds, waiting_line(environment), model)
    environment.status("")
    return request()


def waiting_line(environment):
    """For :func:`wait_until_ready`: shows the state of the server."""
    return lambda state, seconds: environment.status(f"{state}, {seconds:.0f} s")


class Waiting:
    """``with Waiting(environment, server, model) as waiting``: shows how long nothing comes, and what a router does.

    ``waiting.end()`` with the first thing that comes; nothing is shown from then on.
    """

    def __init__(self, environment, server, model=None):
        self._environment, self._server, self._model = environment, server, model
        self._over = self._drawing = None

    def __enter__(self):
        if self._environment.can_draw(self._environment.stderr):
            import threading  # noqa: PLC0415 - only for a terminal, and the commands have to start fast

            self._over, self._drawing = threading.Event(), threading.Lock()
            threading.Thread(target=self._show, daemon=True).start()
        return self

    def __exit__(self, *failure):
        self.end()

    def end(self):
        if self._over is None:
            return
        with self._drawing:
            if not self._over.is_set():
                self._over.set()
                self._environment.status("")

    def _show(self):
        began, looked, what = time.monotonic(), 0.0, "waiting for the first token"
        while not self._over.wait(PATIENCE_SECONDS):
            if self._model and time.monotonic() - looked > LOOK_SECONDS:
                what, looked = self._doing() or what, time.monotonic()
            with self._drawing:
                if not self._over.is_set():
                    self._environment.status(f"{what}, {time.monotonic() - began:.0f} s")

    def _doing(self):
        try:
            state = model_state(self._server.within(LOOK_SECONDS), self._model)
        except LlamaCppError:
            return None
        return f"loading {self._model}" if state == "loading" else "waiting for the first token"
