# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""An answer as it arrives: its text on stdout, the reasoning and the progress of the server on stderr."""

from __future__ import annotations

import itertools

from .answer import Answer, tool_call_line
from .waiting import Waiting
from .writers import open_writer, prepare_writer


def stream(environment, server, body, raw=False, answer=None):
    """Send the request ``body`` and show its answer while it comes.

    :param raw: show Markdown as it is.
    :param answer: the :class:`Answer` to put it into, for one who wants to have its beginning after an interrupt.
    :returns: the answer.
    """
    if environment.is_terminal(environment.stderr) and not environment.elsewhere:  # others may refuse an unknown key
        body = {**body, "return_progress": True}
    answer = Answer() if answer is None else answer
    thinking = False
    events = server.chat_stream(**body)
    with Waiting(environment, server, body.get("model")):
        prepare_writer(environment, raw)
        first = [*itertools.islice(events, 1)]
    try:
        with open_writer(environment, raw) as writer:
            for event in itertools.chain(first, events):
                show_progress(environment, event.get("prompt_progress"))
                for kind, text in answer.feed(event):
                    if kind == "reasoning":
                        if not thinking:
                            writer.settle()
                        thinking = True
                        environment.say(text, end="", colour="dim")
                    else:
                        if thinking:
                            thinking = end_reasoning(environment, answer)
                        writer.write(text)
    finally:
        if thinking:
            end_reasoning(environment, answer)
    show_calls(environment, answer)
    return answer


def end_reasoning(environment, answer):
    """End the text of the reasoning, with an empty line before the answer; returns False."""
    blank = "\n" if answer.content else ""
    environment.say(blank if answer.reasoning.endswith("\n") else blank + "\n", end="")
    return False


def show_progress(environment, progress):
    """How much of the prompt the server has processed so far."""
    if progress and progress["processed"] < progress["total"]:
        environment.status(f"processing the prompt: {100 * progress['processed'] // progress['total']} %")
    else:
        environment.status("")


def show_calls(environment, answer):
    """The tools that the model wants to have called, each as a line of JSON."""
    for call in answer.tool_calls:
        environment.write(tool_call_line(call) + "\n")
