# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What one look at a server sees, whatever it is doing."""

import contextlib
import socket

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.llama.client import LlamaServer
from ansible_collections.macos_setup.llm.plugins.module_utils.watchdog.policy import (
    ANSWERED,
    DOWN,
    FAILING,
    LOADING,
    RESTING,
    SILENT,
    SLEEPING,
    UNCLEAR,
    WAKING,
    WORKING,
)
from ansible_collections.macos_setup.llm.plugins.module_utils.watchdog.probe import last_work_logged, look_at
from support.fake_server_process import fake_server
from support.scripted_server import CLOSE, ScriptedServer, response

BRIEFLY = 0.3  # for servers that will never answer
PATIENTLY = 30.0


def seen(url, timeout=PATIENTLY, key=None, **how):
    return look_at(LlamaServer(url, key, timeout), "1 a", **how)


@pytest.mark.parametrize(
    ("mode", "timeout", "found", "loaded"),
    [
        ("ready", PATIENTLY, ANSWERED, True),
        ("nonsense", PATIENTLY, ANSWERED, True),
        ("loading-forever", PATIENTLY, LOADING, False),
        ("sleeping", PATIENTLY, SLEEPING, True),
        ("busy", PATIENTLY, WORKING, True),
        ("stuck", PATIENTLY, WORKING, True),
        ("wedged", BRIEFLY, SILENT, True),
        ("waking", BRIEFLY, SILENT, True),
        ("no-slots", BRIEFLY, UNCLEAR, True),
        ("terse-slots", PATIENTLY, UNCLEAR, True),
        ("crashes", PATIENTLY, DOWN, True),
    ],
)
def test_each_way_of_being(tmp_path, mode, timeout, found, loaded):
    with fake_server(tmp_path, mode) as url:
        look = seen(url, timeout)
    assert (look.seen, look.loaded, look.process) == (found, loaded, "1 a")


def test_who_unloads_its_model_may_be_loading_it_again(tmp_path):
    with fake_server(tmp_path, "waking") as url:
        assert seen(url, BRIEFLY, sleeps=True).seen == WAKING


def test_work_that_moves_differs_from_look_to_look(tmp_path):
    with fake_server(tmp_path, "busy") as url:
        assert seen(url).work != seen(url).work
    with fake_server(tmp_path, "stuck") as url:
        assert seen(url).work == seen(url).work == ((7, 8, 40),)


def test_a_server_that_fails_after_it_could(tmp_path):
    with fake_server(tmp_path, "failing") as url:
        assert [seen(url).seen for _ in range(3)] == [ANSWERED, FAILING, FAILING]
        assert "Compute error." in seen(url).reason


def test_a_sleeper_sleeps_on(tmp_path):
    with fake_server(tmp_path, "sleeping") as url:
        assert [seen(url).seen for _ in range(3)] == [SLEEPING] * 3


def test_what_rests_is_not_asked(tmp_path):
    with fake_server(tmp_path, "wedged") as url:
        assert seen(url, ask=False).seen == RESTING


@pytest.mark.parametrize(("key", "found"), [("s3cret", ANSWERED), ("wrong", UNCLEAR), (None, UNCLEAR)])
def test_a_key_that_is_refused_says_nothing_of_the_server(tmp_path, key, found):
    with fake_server(tmp_path, key="s3cret") as url:
        look = seen(url, key=key)
    assert look.seen == found
    assert "s3cret" not in look.reason


def test_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert seen(f"http://127.0.0.1:{port}").seen == DOWN


def test_a_stopped_process_is_connected_by_the_kernel_and_silent():
    with socket.create_server(("127.0.0.1", 0)) as listener:  # nobody accepts
        look = seen("http://127.0.0.1:%d" % listener.getsockname()[1], BRIEFLY)
    assert (look.seen, look.loaded) == (SILENT, False)


def test_a_stopped_process_is_silent_too_when_its_queue_is_full():
    with contextlib.ExitStack() as opened:
        listener = opened.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(8):
            waiting = opened.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        assert seen("http://127.0.0.1:%d" % listener.getsockname()[1], BRIEFLY).seen == SILENT


def test_who_hangs_up_is_gone():
    with ScriptedServer(CLOSE) as server:
        assert seen(server.url).seen == DOWN


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}"])
def test_nothing_follows_from_an_answer_that_is_not_understood(body):
    with ScriptedServer(response(200, body)) as server:
        assert seen(server.url).seen == UNCLEAR


def test_an_unknown_host_is_no_dead_server():
    assert seen("http://host.invalid:1").seen == UNCLEAR


# What the log tells of slots at work; lines of llama.cpp 0c1e570 behind the times of the runner.


def test_the_last_word_of_a_slot_at_work(tmp_path):
    log = tmp_path / "server.log"
    assert last_work_logged(str(log)) == ""
    idle = (
        "T1 0.00.127.351 I slot get_availabl: id  0 | task -1 | selected slot by LRU, t_last = -1\n"
        "T2 0.00.138.956 W srv    load_model: the slot context (2048) exceeds the training context\n"
    )
    log.write_text(idle)
    assert last_work_logged(str(log)) == ""
    log.write_text(
        "T3 0.03.129.345 I slot print_timing: id  0 | task 0 | n_gen =   3224, tg = 1073.82 t/s, tg_3s = 1074.16 t/s\n"
        "T4 [49213] 0.06.130.516 I slot print_timing: id  0 | task 12 | n_gen =   4449, tg = 741.01 t/s\n" + idle
    )
    assert last_work_logged(str(log)) == "T4"
