# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What is wrong is said before anything is touched; what fails later says why and leaves what served before."""

import contextlib
import socket

from support.plays import processes_below


def test_a_broken_configuration_touches_nothing(host):
    host.config["llm_settings"]["server_port"] = "8080"
    host.config["models"]["selftest"]["contxt_size"] = 5
    output = host.play(expect=2)
    assert 'llm_settings.server_port: "8080" is text' in output
    assert 'did you mean "context_size"' in output
    assert not host.install.exists()
    assert not host.bin.exists()


def test_braces_in_the_configuration_are_never_evaluated(host):
    trap = host.directory / "evaluated"
    prompt = f"{{{{ lookup('ansible.builtin.pipe', 'touch {trap}') }}}}"
    host.config["client"] = {"system_prompt": prompt}
    host.config["models"]["selftest"]["description"] = prompt
    host.play()
    assert not trap.exists()
    assert "lookup('ansible.builtin.pipe'" in (host.install / "tools" / "client.json").read_text()


def test_a_port_that_is_taken_is_named(host):
    with contextlib.closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", host.port))
        taken.listen()
        output = host.play("-e", "llama_cpp_ready_timeout=20", expect=2)
    assert str(host.port) in output
    assert "couldn't bind" in output


def test_check_mode_on_a_bare_host_touches_nothing(host):
    host.play("--check", "--diff")
    assert not host.install.exists()
    assert not host.bin.exists()
    assert processes_below(host.directory) == []


def test_check_mode_on_an_installed_host_predicts_the_restart_and_makes_none(host):
    host.play()
    before = processes_below(host.directory)
    host.config["server"]["parallel"] = 2
    output = host.play("--check", "--diff")
    assert any(line.startswith("+") and '"--parallel"' in line for line in output.splitlines()), output
    assert processes_below(host.directory) == before
