# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Where a gateway lies and what runs it, on each kind of host."""

import json
import os
import plistlib
import re
import signal
import stat
import subprocess

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.base.wait import wait_until
from ansible_collections.macos_setup.llm.plugins.plugin_utils import rendering, role_variables
from ansible_collections.macos_setup.llm.plugins.plugin_utils.gateway import files, places, plan
from support.gateway import HOSTS_KEY, KEYS, VARIABLES, configured
from support.planning import LINUX, MAC

FOUND = {"haproxy": "/usr/sbin/haproxy", "version": "2.6.12-1+deb12u3", "systemd": True, "apt": True}
HASH = re.compile("[0-9a-f]{64}")
NOTHING = {**FOUND, "haproxy": None, "version": ""}


def placed(host=LINUX, found=FOUND, **variables):
    given = role_variables.typed_all({}, role_variables.GATEWAY)
    return places.place({**given, **variables}, host, found)


def completed(**place):
    made = plan.plan(VARIABLES, [configured()], placed(**place))
    return files.complete(made, HOSTS_KEY, "/Library/LaunchDaemons", "/bin/launchctl")


@pytest.mark.parametrize(
    ("host", "found", "wanted", "manager"),
    [
        (LINUX, FOUND, "auto", "systemd"),
        (LINUX, {**FOUND, "systemd": False}, "auto", "supervisor"),
        (LINUX, FOUND, "supervisor", "supervisor"),
        (MAC, FOUND, "auto", "launchd"),
        (MAC, FOUND, "supervisor", "supervisor"),
    ],
)
def test_what_runs_it(host, found, wanted, manager):
    assert placed(host, found, manager=wanted)["manager"] == manager


@pytest.mark.parametrize(("host", "wanted"), [(LINUX, "launchd"), (MAC, "systemd")])
def test_a_manager_that_the_host_does_not_have(host, wanted):
    with pytest.raises(LlamaCppError, match=f'llama_cpp_gateway_manager: "{wanted}" does not exist'):
        placed(host, manager=wanted)


@pytest.mark.parametrize(
    ("host", "found", "installer", "program"),
    [
        (LINUX, FOUND, None, "/usr/sbin/haproxy"),
        (LINUX, NOTHING, "apt", "/usr/sbin/haproxy"),
        (MAC, {**NOTHING, "apt": False}, "homebrew", "/opt/homebrew/bin/haproxy"),
        ({**MAC, "architecture": "x86_64"}, {**NOTHING, "apt": False}, "homebrew", "/usr/local/bin/haproxy"),
    ],
)
def test_what_installs_it(host, found, installer, program):
    found = placed(host, found)
    assert (found["install"], found["haproxy"]) == (installer, program)


@pytest.mark.parametrize(
    ("found", "variables", "words"),
    [
        ({**NOTHING, "apt": False}, {}, "HAProxy is missing"),
        (NOTHING, {"install_packages": False}, "llama_cpp_gateway_install_packages"),
        ({**FOUND, "version": "2.4.22-0ubuntu0.22.04.3"}, {}, "HAProxy 2.4.22-0ubuntu0.22.04.3 is too old"),
    ],
)
def test_a_host_without_an_haproxy_that_will_do(found, variables, words):
    with pytest.raises(LlamaCppError, match=words):
        placed(found=found, **variables)


def test_newer_versions_will_do():
    for version in ("3.0.5", "2.10.1", "3.4-dev5"):
        assert placed(found={**FOUND, "version": version})["install"] is None


def test_under_systemd_everything_is_roots_and_haproxy_gives_root_up():
    found = completed()
    assert {file["dest"]: file.get("mode") for file in found["file_set"]["files"]} == {
        "/etc/llama-cpp-gateway/haproxy.cfg": "0600",
        "/etc/systemd/system/llama-cpp-gateway.service": None,
        "/usr/local/lib/llama-cpp-gateway/client.json": None,
        "/usr/local/bin/llm-manager": "0755",
    }
    configuration, unit = (file["content"] for file in found["file_set"]["files"][:2])
    assert "    user haproxy\n    group haproxy\n" in configuration
    assert "bind 'unix@/run/llama-cpp-gateway/peers.sock' mode 600 user haproxy\n" in configuration
    assert f"ExecStart=/usr/sbin/haproxy -Ws -S {found['reload']['master_socket']},mode,600 -f /etc/" in unit
    directories = {item["path"]: item.get("mode") for item in found["file_set"]["directories"]}
    assert found["as_root"] and directories == {
        "/etc/llama-cpp-gateway": "0700",
        "/usr/local/lib/llama-cpp-gateway": None,
        "/usr/local/bin": None,
    }


def test_elsewhere_it_is_the_users_and_runs_as_that_user():
    for place in ({"host": MAC}, {"manager": "supervisor"}):
        found = completed(**place)
        home = found["host"]["home"]
        assert not found["as_root"] and "    user " not in found["file_set"]["files"][0]["content"]
        assert all(file["dest"].startswith(f"{home}/llama-cpp-gateway/") for file in found["file_set"]["files"])
    job = completed(host=MAC)["job"]
    plist = plistlib.loads(job["content"].encode())
    assert plist["UserName"] == MAC["user"] and job["plist"] == "/Library/LaunchDaemons/com.llama.gateway.plist"
    assert plist["ProgramArguments"] == ["/Users/sam/llama-cpp-gateway/llama-cpp-gateway"]


def test_what_starts_haproxy_has_a_fingerprint_by_which_a_restart_is_known_to_be_due():
    def fingerprint(**place):
        found = completed(**place)
        unit = found["file_set"]["files"][1]["content"]
        assert found["reload"]["unit"] == (HASH.search(unit)[0] if found["manager"] == "systemd" else None)
        # The other managers compare their definition of the job.
        return found["reload"]["unit"] or HASH.search(found["job"]["content"])[0]

    for place in ({}, {"host": MAC}, {"manager": "supervisor"}):
        assert fingerprint(**place) == fingerprint(**place)
        assert fingerprint(**place) != fingerprint(found={**FOUND, "haproxy": "/opt/haproxy"}, **place)


def test_every_file_with_a_secret_is_closed_and_the_configuration_is_checked_first():
    made = plan.plan(VARIABLES, [configured()], placed())
    key, _lua = files.needed_file_set(made, HOSTS_KEY)["files"]
    assert int(key["mode"], 8) & (stat.S_IRWXG | stat.S_IRWXO) == 0 and HOSTS_KEY in key["content"]
    found = completed()
    assert found["file_set"]["files"][0]["validate"] == ["/usr/sbin/haproxy", "-c", "-q", "-f"]
    assert not [secret for secret in (HOSTS_KEY, *KEYS.values()) if secret in repr(found)]


def test_the_command_is_for_all_who_may_read_the_log():
    found = completed()
    client, launcher = found["file_set"]["files"][-2:]
    assert (client["dest"], launcher["dest"]) == (
        "/usr/local/lib/llama-cpp-gateway/client.json",
        "/usr/local/bin/llm-manager",
    )
    assert json.loads(client["content"])["gateway"]["unit"] == "llama-cpp-gateway.service"
    assert "exec /usr/bin/python3 -I -S /usr/local/lib/llama-cpp-gateway/lib llm-manager" in launcher["content"]
    client, launcher = completed(host=MAC, bin_dir="~/bin")["file_set"]["files"][-2:]
    log = json.loads(client["content"])["gateway"]["log"]
    assert (log, launcher["dest"]) == ("/Users/sam/llama-cpp-gateway/logs/access.log", "/Users/sam/bin/llm-manager")


def test_under_launchd_the_log_is_put_aside_while_haproxy_goes_on(tmp_path):
    program = tmp_path / "haproxy"
    program.write_text("#!/bin/sh\nwhile printf '%s goes on%90s\\n' $$; do sleep 0.01; done\n")
    program.chmod(0o755)
    log = tmp_path / "logs" / "access.log"
    log.parent.mkdir()
    made = placed(
        host={**MAC, "home": str(tmp_path)}, found={**FOUND, "haproxy": str(program)}, directory=str(tmp_path)
    )
    service = {**places.service(made), "stdout": {"bytes": 500, "backups": 3, "look_seconds": 0.02}}
    script = rendering.render("llama-cpp-gateway.sh.j2", plan={**made, "service": service})
    process = subprocess.Popen(["/bin/sh", "-c", script], start_new_session=True)
    kept = [log, *(log.with_name(f"access.log.{number}") for number in (1, 2, 3))]
    try:
        assert wait_until(kept[-1].exists, 20, 0.01)
        first = kept[-1].stat().st_ino
        assert wait_until(lambda: kept[-1].stat().st_ino != first, 20, 0.01)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert set(log.parent.iterdir()) <= set(kept)
    assert {line.strip() for line in kept[-1].read_text().splitlines()[1:-1]} == {f"{process.pid} goes on"}


def test_sockets_of_a_long_path_lie_elsewhere():
    directory = "/home/sam/" + "d" * 60
    for manager, home in (("supervisor", "/tmp/llama-cpp-"), ("systemd", "/run/llama-cpp-gateway")):
        paths = placed(manager=manager, directory=directory)["paths"]
        assert all(paths[name].startswith(home) for name in ("admin_socket", "master_socket", "peers_socket"))
