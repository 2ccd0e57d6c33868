# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The log rotates while the server works, and is complete."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor

import requests
from ansible_collections.macos_setup.llm.plugins.module_utils.base.wait import wait_until
from support.provisioned_mac import PATIENCE, WATCHDOG

STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d ")
TASK = re.compile(r"\| task (\d+) \| (processing task|prompt eval time|stop processing)")
WHOLE = ["processing task", "prompt eval time", "stop processing"]
CLIENTS = 3
ROTATIONS = 1


def tasks(lines):
    """{task: what the log says of it}; a task is what the server makes of one prompt, and their numbers rise."""
    found = {}
    for line in lines:
        assert STAMP.match(line), line
        task = TASK.search(line)
        if task:
            found.setdefault(int(task[1]), []).append(task[2])
    return found


def test_a_rotation_under_load_loses_no_line(serving):
    files = len(serving.log_files())
    enough = threading.Event()

    def ask():
        asked = 0
        with requests.Session() as session:
            while not enough.is_set():
                assert serving.complete(session, n_predict=1).status_code == 200
                asked += 1
        return asked

    with serving.asleep(serving.pid(WATCHDOG)):  # it asks too
        before = serving.log_lines()
        last = [*tasks(before)][-1]
        with ThreadPoolExecutor(CLIENTS) as pool:
            clients = [pool.submit(ask) for _ in range(CLIENTS)]
            wait_until(lambda: len(serving.log_files()) >= files + ROTATIONS, PATIENCE)
            enough.set()
            asked = sum(client.result() for client in clients)

        def found():
            new = tasks(serving.log_lines()[len(before) :])
            return {task: said for task, said in new.items() if task > last}

        assert wait_until(lambda: len(found()) == asked and [*found().values()][-1] == WHOLE, PATIENCE)
    assert len(serving.log_files()) >= files + ROTATIONS
    assert all(said == WHOLE for said in found().values())
