# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""From one release to another and back, under requests without a pause: nothing is lost but what was announced. (From
one real build to another, and back by the playbook rollback.yml: test_demo.py.)
"""

import json
import random

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.wait import wait_until
from support.engine_source import EngineSource
from support.load import Load
from support.plays import announced_gap

#: The stages that an upgrade concerns.
UPGRADE = ["--tags", "llm_engine,llm_service,llm_verify"]


@pytest.fixture(scope="module")
def prepare(engine):
    def prepare(host):
        host.source = EngineSource(host.directory / "llama.cpp", engine)
        host.config["engine"] = host.source.engine(host.source.commit("first"))

    return prepare


def upgrade(host, comment, kind="works", **arguments):
    """Commit a version and play it; returns what the play said."""
    host.config["engine"]["version"] = host.source.commit(comment, kind)
    return host.play(*UPGRADE, **arguments)


def tasks_of(output):
    return [line for line in output.splitlines() if line.startswith("TASK [")]


def test_a_good_upgrade_and_the_way_back_by_the_command(installed):
    first = installed.release()
    with Load(installed) as load:
        output = upgrade(installed, "second")
    installed.upgrade_tasks = tasks_of(output)
    second = installed.release()
    assert second != first
    assert load.answered
    assert load.outage <= announced_gap(output)
    assert installed.answers()

    log = json.loads(installed.run("llm-manager", "releases", "--json").stdout)
    marks = {entry["name"]: (entry["current"], entry["previous"]) for entry in log}
    assert (marks[second], marks[first]) == ((True, False), (False, True))
    with Load(installed) as load:
        done = installed.run("llm-manager", "rollback", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["before"], told["release"], told["changed"]) == (second, first, True)
    assert load.outage <= told["gap"]["seconds"]
    assert installed.release() == first
    assert installed.answers()


def test_a_bad_build_is_found_before_the_switch(installed):
    serving, starts = installed.release(), installed.starts()
    with Load(installed) as load:
        output = upgrade(installed, "bad", "prints nonsense", expect=2)
    assert "self-test" in output
    assert (load.failed_at, installed.release(), installed.starts()) == ([], serving, starts)


def test_interrupted_at_random_points(installed):
    seed = random.SystemRandom().randrange(2**32)
    print("seed", seed)
    chance = random.Random(seed)
    tasks = getattr(installed, "upgrade_tasks", None) or tasks_of(upgrade(installed, "undisturbed"))
    for number, task in enumerate(chance.sample(tasks, 2)):
        installed.config["engine"]["version"] = installed.source.commit(f"version {number}")
        play = installed.begin(*UPGRADE)
        assert play.until(lambda line, task=task: line == task), play.output
        (play.kill if chance.random() < 0.5 else play.interrupt)()
        assert wait_until(installed.answers, 60, poll=1), task
    installed.play(*UPGRADE)
    assert installed.release().startswith(installed.config["engine"]["version"][:7])
    assert installed.answers()
