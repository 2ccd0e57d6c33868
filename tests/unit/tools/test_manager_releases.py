# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm-manager releases``, and what ``rollback`` refuses. (What it does: tests/integration/test_upgrade.py.)"""

import json
import os

import pytest

pytestmark = pytest.mark.processes


@pytest.fixture
def engine(commands, tmp_path):
    """Two releases, the older one of which served before; the directory of the engine."""
    for number, name in enumerate(("b1-aaaa", "b2-bbbb")):
        (tmp_path / "engine" / "releases" / name).mkdir(parents=True)
        stamp = tmp_path / "engine" / "releases" / name / "stamp.json"
        stamp.write_text(json.dumps({"build_info": name, **({"selftest": {"asked": 1}} if number else {})}))
        os.utime(stamp, (number, number))
    (tmp_path / "engine" / "current").symlink_to("releases/b2-bbbb")
    record = tmp_path / "proven.json"
    record.write_text(json.dumps({"release": "b2-bbbb", "previous": "b1-aaaa"}))
    commands.config["rollback"] = {
        "rollout": {"engine_dir": str(tmp_path / "engine"), "record": str(record), "files": []},
        "selftest": {"model": "none.gguf", "answers": "none.json", "device": None},
        "arguments": [],
    }
    return tmp_path / "engine"


def test_the_newest_first_with_what_is_known_of_each(commands, engine):
    done = commands.run("llm-manager", "releases")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "b2-bbbb  b2-bbbb, current\nb1-aaaa  b1-aaaa, previous, not tested\n"
    told = json.loads(commands.run("llm-manager", "releases", "--json").stdout)
    assert told[1] == {
        "name": "b1-aaaa",
        "build": "b1-aaaa",
        "current": False,
        "previous": True,
        "selftested": False,
    }


def test_what_is_not_there_cannot_serve(commands, engine):
    done = commands.run("llm-manager", "rollback", "b9")
    assert (done.returncode, done.stdout) == (1, "")
    assert "b2-bbbb (current), b1-aaaa" in done.stderr


def test_what_does_not_pass_the_self_test_does_not_serve(commands, engine):
    done = commands.run("llm-manager", "rollback")
    assert (done.returncode, done.stdout) == (1, "")
    assert os.readlink(engine / "current") == "releases/b2-bbbb"


@pytest.mark.parametrize("command", ["releases", "rollback"])
def test_without_a_play(commands, command):
    done = commands.run("llm-manager", command)
    assert done.returncode == 2
    assert "llm_tools" in done.stderr
