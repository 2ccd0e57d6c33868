# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Check mode went through on a bare Mac; it only looked."""


def test_nothing_was_made(mac):
    made = {path for path in mac.directory.rglob("*") if mac.simulator.directory not in path.parents}
    assert not any(path.is_file() for path in made)
    assert list(mac.home.iterdir()) == []


def test_launchd_was_only_asked(mac):
    verbs = {call[0] for call in mac.simulator.calls()}
    assert "print" in verbs
    assert verbs <= {"print", "print-disabled"}
    assert mac.simulator.run("print", mac.domain)[1].count("com.llama.") == 0
