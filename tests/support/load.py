# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Requests to a server without a pause, and when which of them failed."""

import threading
import time

from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.llama.api_keys import read_api_key
from ansible_collections.macos_setup.llm.plugins.module_utils.llama.client import LlamaServer

from support.known_answer import MODEL


class Load:
    """Context manager: asks the server of a :class:`support.plays.Host` all the time while the block runs."""

    def __init__(self, host):
        key = read_api_key(str(host.install / "service" / "api-key"))
        self._server = LlamaServer("http://127.0.0.1:%d" % host.port, key, 20)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self.answered = 0
        self.failed_at = []

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *failure):
        self._end.set()
        self._thread.join()

    @property
    def outage(self):
        """Seconds from the first failure to the last."""
        return self.failed_at[-1] - self.failed_at[0] if self.failed_at else 0.0

    def _ask(self):
        while not self._end.is_set():
            try:
                question = [{"role": "user", "content": "Say hello."}]
                self._server.chat(question, model=MODEL, max_tokens=2, temperature=0)
                self.answered += 1
            except LlamaCppError:
                self.failed_at.append(time.time())
            self._end.wait(0.05)
