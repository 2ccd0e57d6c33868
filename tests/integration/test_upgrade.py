# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""From one release to another and back, under requests without a pause: nothing is lost but what was announced."""

import json
import random

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.waiting import wait_until
from support.load import Load
from support.paths import REPOSITORY
from support.plays import Play, announced_gap, recap

ROLLBACK = REPOSITORY / "playbooks" / "rollback.yml"


@pytest.fixture
def serving(host, source):
    """The host serves a first version; its release."""
    host.config["engine"]["version"] = source.commit("first")
    host.play()
    return host.release()


def test_a_good_upgrade_and_the_way_back(host, source, serving):
    host.config["engine"]["version"] = source.commit("second")
    with Load(host) as load:
        output = host.play()
    assert host.release() != serving
    assert load.answered
    assert load.outage <= announced_gap(output)
    assert host.answers()

    second, log = host.release(), json.loads(host.run("llm-manager", "releases", "--json").stdout)
    assert {(entry["name"], entry["current"], entry["previous"]) for entry in log} == {
        (second, True, False),
        (serving, False, True),
    }
    with Load(host) as load:
        done = host.run("llm-manager", "rollback", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["before"], told["release"], told["changed"]) == (second, serving, True)
    assert load.outage <= told["gap"]["seconds"]
    assert host.release() == serving
    assert host.answers()

    with Load(host) as load:
        output = host.play("-e", f"llama_cpp_release={second[:9]}", playbook=ROLLBACK)
    assert host.release() == second
    assert load.outage <= announced_gap(output)
    assert recap(host.play("-e", f"llama_cpp_release={second}", playbook=ROLLBACK))["changed"] == 0
    assert host.answers()
    output = host.play()
    assert recap(output)["changed"] == 0, output


def test_an_ordinary_play_after_a_rollback_goes_to_the_configured_version(host, source, serving):
    host.config["engine"]["version"] = source.commit("second")
    host.play()
    second = host.release()
    assert recap(host.play("--check", playbook=ROLLBACK))["changed"] == 1
    assert host.release() == second
    host.play(playbook=ROLLBACK)
    assert host.release() == serving
    host.play()
    assert host.release() == second
    assert host.answers()


@pytest.mark.parametrize(
    ("kind", "says"),
    [("prints nonsense", "self-test"), ("has lost an option", "does not know 1 of the configured options")],
)
def test_a_bad_build_is_found_before_the_switch(host, source, serving, kind, says):
    host.config["engine"]["version"] = source.commit("bad", kind)
    with Load(host) as load:
        output = host.play(expect=2)
    assert says in output
    assert (load.failed_at, host.release(), host.starts()) == ([], serving, 1)


def test_a_release_that_dies_in_service_gives_way_to_the_one_before(host, source, serving):
    host.config["engine"]["version"] = source.commit("bad", "dies with the real configuration")
    host.config["server"]["parallel"] = 3
    with Load(host) as load:
        output = host.play(expect=2)
    assert "I do not like this configuration" in output
    assert f"It answers, with the release {serving}" in output
    assert load.outage <= announced_gap(output)
    assert host.release() == serving
    assert host.answers()
    assert "--parallel" not in json.loads((host.install / "service" / "runner.json").read_text())["argv"]

    host.config["engine"]["version"] = source.commit("good again")
    host.play()
    assert host.release() != serving
    assert host.option("--parallel") == "3"
    assert host.answers()


def test_old_releases_go_but_never_the_one_before(host, source, serving):
    host.config["engine"]["keep_releases"] = 1
    releases = [serving]
    for name in ("second", "third"):
        host.config["engine"]["version"] = source.commit(name)
        host.play()
        releases.append(host.release())
        assert {path.name for path in (host.install / "engine" / "releases").iterdir()} == set(releases[-2:])
    assert host.answers()


@pytest.mark.parametrize("half", range(2))  # of ten points, side by side
def test_interrupted_at_random_points(host, source, serving, half):
    chance = random.Random(0)
    host.config["engine"]["version"] = source.commit("undisturbed")
    tasks = [line for line in host.play().splitlines() if line.startswith("TASK [")]
    for number, task in enumerate(chance.sample(tasks, 10)[half::2]):
        host.config["engine"]["version"] = source.commit(f"version {number}")
        play = Play(host.command(), REPOSITORY)
        assert play.until(lambda line, task=task: line == task), play.output
        (play.kill if chance.random() < 0.5 else play.interrupt)()
        assert wait_until(host.answers, 60, poll=1), task
    host.play()
    assert host.release().startswith(host.config["engine"]["version"][:7])
    assert host.answers()
    output = host.play()
    assert recap(output)["changed"] == 0, output
