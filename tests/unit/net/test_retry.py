# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Trying again: how often and after what waits."""

import json

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.progress import Progress
from ansible_collections.macos_setup.llm.plugins.module_utils.net.http import WebError
from ansible_collections.macos_setup.llm.plugins.module_utils.net.retry import Retry


class Transient(WebError):
    transient = True

    def __init__(self, retry_after=None):
        super().__init__("the line is bad")
        self.retry_after = retry_after


@pytest.fixture
def slept():
    return []


def waits(retry, slept, error):
    slept.clear()
    retry.after(error)
    return sum(slept)


def test_waits_grow_and_attempts_end(slept):
    retry = Retry(4, sleep=slept.append)
    assert [waits(retry, slept, Transient()) for _ in range(3)] == [1, 2, 4]
    with pytest.raises(Transient):
        retry.after(Transient())


def test_progress_gives_every_attempt_back(slept):
    retry = Retry(3, sleep=slept.append)
    assert [waits(retry, slept, Transient()) for _ in range(2)] == [1, 2]
    retry.reset()
    assert [waits(retry, slept, Transient()) for _ in range(2)] == [1, 2]


def test_what_cannot_get_better_is_not_waited_for(slept):
    with pytest.raises(WebError):
        Retry(sleep=slept.append).after(WebError("gone"))
    assert slept == []


def test_the_server_may_ask_for_a_longer_wait_but_not_for_any(slept):
    retry = Retry(5, sleep=slept.append)
    assert waits(retry, slept, Transient(30)) == 30
    assert waits(retry, slept, Transient(0)) == 2
    with pytest.raises(Transient):
        retry.after(Transient(86400))


def test_waiting_is_told(tmp_path, slept):
    path = tmp_path / "progress"
    Retry(5, Progress(str(path), "tiny"), slept.append).after(Transient())
    state = json.loads(path.read_text())
    assert state["stage"] == "waiting"
    assert "attempt 2 of 5" in state["detail"]
    assert "the line is bad" in state["detail"]
