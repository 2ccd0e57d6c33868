# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""A service that was moved, and moved back, serves as it did before."""

import json
import plistlib

from support.provisioned_mac import SERVER, WATCHDOG


def test_it_answers(serving):
    assert serving.pid()
    assert serving.pid(WATCHDOG)


def test_the_definition_is_the_good_one_and_nothing_lies_beside_it(serving):
    assert sorted(path.name for path in serving.plists.iterdir()) == [SERVER + ".plist", WATCHDOG + ".plist"]
    output = plistlib.loads(serving.plist().read_bytes())["StandardOutPath"]
    assert output == str(serving.install / "logs" / "service.log")


def test_the_server_runs_with_the_command_line_of_before(serving):
    runner = json.loads((serving.install / "service" / "runner.json").read_text())
    assert runner["log_file"] == str(serving.log)
