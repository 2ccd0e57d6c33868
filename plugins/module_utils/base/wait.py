# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Waiting for a condition instead of for a length of time."""

from __future__ import annotations

import time


def wait_until(condition, seconds, poll=0.1):
    """Ask ``condition()`` every ``poll`` seconds until its answer is true or ``seconds`` are over.

    Returns the last answer; it is asked at least once, so ``seconds`` may be 0.
    """
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer or time.monotonic() >= deadline:
            return answer
        time.sleep(min(poll, max(0.0, deadline - time.monotonic())))


def stays(condition, seconds, poll=0.1):
    """True when ``condition()`` is true now and at every look during ``seconds``; ends at the first false."""
    return not wait_until(lambda: not condition(), seconds, poll)
