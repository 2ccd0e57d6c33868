# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The one question that tests ask of a server with the self-test's model."""

from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.llama.api_keys import read_api_key
from ansible_collections.macos_setup.llm.plugins.module_utils.llama.client import LlamaServer

QUESTION, ANSWER = "What is the capital of France?", "The capital of France is Paris."
MODEL = "selftest"
PATIENCE_SECONDS = 20


def answers(url, key_file):
    """Whether the server at ``url`` gives the right answer to who knows its key; asked over HTTP, not by a command."""
    try:
        server = LlamaServer(url, read_api_key(str(key_file)), PATIENCE_SECONDS)
        question = [{"role": "user", "content": QUESTION}]
        reply = server.chat(question, model=MODEL, max_tokens=60, temperature=0)
    except LlamaCppError:
        return False
    return reply["choices"][0]["message"]["content"] == ANSWER
