# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""From the build that serves to another one and back, in this order and under requests without a pause."""

import json

from support.load import Load
from support.paths import REPOSITORY
from support.plays import announced_gap

ROLLBACK = REPOSITORY / "playbooks" / "rollback.yml"

# An option that concerns few files: a compiler cache has the others.
OVERRIDES = {"engine": {"cmake_options": {"GGML_SCHED_MAX_COPIES": 2}}}
SECOND = ("-e", json.dumps({"llama_cpp_overrides": OVERRIDES}))


def test_the_first_serves_while_the_second_is_compiled_and_then_gives_way(host):
    first = host.releases()["current"]
    assert host.serving_build() == first["build"]
    with Load(host) as load:
        output = host.play(*SECOND)
    assert load.answered
    assert load.outage <= announced_gap(output)
    releases = host.releases()
    assert releases["previous"]["name"] == first["name"]
    assert host.serving_build() == releases["current"]["build"] != first["build"]
    assert host.answers()
    stamp = json.loads((host.install / "engine" / "current" / "stamp.json").read_text())
    assert stamp["identity"]["options"]["GGML_SCHED_MAX_COPIES"] == "2"


def test_the_first_comes_back_without_a_compile(host):
    before, programs = host.releases(), host.programs()
    with Load(host) as load:
        output = host.play(*SECOND, playbook=ROLLBACK)
    assert load.answered
    assert load.outage <= announced_gap(output)
    releases = host.releases()
    assert releases["current"]["name"] == before["previous"]["name"]
    assert releases["previous"]["name"] == before["current"]["name"]
    assert host.serving_build() == before["previous"]["build"]
    assert host.answers()
    assert host.programs() == programs
