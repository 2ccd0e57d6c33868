# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Conversations with a model, kept as plain JSON Lines files.

    store = Store(directory)              # store.py: make, find, list, search, delete
    conversation = store.create(model="qwen3", system="Be brief.")
    conversation.append([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}])
    server.chat(messages=conversation.request_messages(), …)

A conversation becomes a file with its first messages (conversation.py); images and audio stay where they are
(content.py). ``export.py`` writes it in other forms; ``imports/`` reads the histories of other programs.
"""
