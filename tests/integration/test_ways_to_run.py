# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""From the built and installed artifact, by name. (By path from the checkout: test_demo.py.)"""

import json
import subprocess
import tarfile

import pytest
from support.known_answer import ANSWER, QUESTION
from support.paths import REPOSITORY
from support.plays import BIN, free_port, recap

PLAYBOOK = """
- name: Use the role as others do
  hosts: localhost
  connection: local
  gather_facts: false
  vars:
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
  roles:
    - role: macos_setup.llm.llama_cpp
"""


@pytest.fixture(scope="module")
def artifact(tmp_path_factory, clone):
    directory = tmp_path_factory.mktemp("artifact")
    build = [BIN / "ansible-galaxy", "collection", "build", "--output-path", directory]
    subprocess.run(build, cwd=clone, check=True, capture_output=True, timeout=120)
    (path,) = directory.glob("macos_setup-llm-*.tar.gz")
    return path


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory, artifact):
    """A directory with nothing but the installed collection."""
    directory = tmp_path_factory.mktemp("elsewhere")
    install = [BIN / "ansible-galaxy", "collection", "install", "--offline", "--no-deps", artifact]
    subprocess.run([*install, "-p", directory / "collections"], cwd=directory, check=True, capture_output=True)
    return directory


def test_a_playbook_of_ones_own_with_the_artifact(host, elsewhere):
    """The host's variables win over the file, its command is left alone, its settings do not reach the server."""
    playbook = elsewhere / "site.yml"
    playbook.write_text(PLAYBOOK)
    host.bin.mkdir()
    theirs = host.bin / "llm"
    theirs.write_text("#!/bin/sh\necho theirs\n")
    theirs.chmod(0o755)
    settings = host.directory / "home" / ".config" / "llama.cpp" / "config.ini"
    settings.parent.mkdir(parents=True)
    settings.write_text("[*]\nport = 1\n")
    environment = {
        "ANSIBLE_COLLECTIONS_PATH": str(elsewhere / "collections"),
        "XDG_CONFIG_HOME": str(settings.parents[1]),
        "LLAMA_ARG_PORT": "2",
    }
    port = str(free_port())
    variables = {"llama_cpp_server_port": port, "llama_cpp_overrides": {"client": {"system_prompt": "Be brief."}}}

    given = ["-e", json.dumps(variables)]
    output = host.play(*given, playbook=playbook, directory=elsewhere, environment=environment)
    assert str(REPOSITORY) not in output
    assert host.option("--port") == port
    assert "Be brief." in (host.install / "tools" / "client.json").read_text()
    assert theirs.read_text() == "#!/bin/sh\necho theirs\n"
    assert "llm-client" in output and str(theirs) in output
    pages = {path.name for path in (host.directory / "share" / "man" / "man1").iterdir()}
    assert pages == {"llm-client.1", "llm-manager.1"}
    assert host.run("llm-client", QUESTION).stdout == ANSWER + "\n"


def test_the_artifacts_playbook_by_its_name(host, elsewhere):
    environment = {"ANSIBLE_COLLECTIONS_PATH": str(elsewhere / "collections")}
    name = "macos_setup.llm.macos_setup"
    output = host.play("--tags", "llm_config", playbook=name, directory=elsewhere, environment=environment)
    assert recap(output)["failed"] == 0
    assert str(REPOSITORY) not in output


def test_the_artifact_holds_what_is_used_and_nothing_else(artifact):
    with tarfile.open(artifact) as archive:
        names = archive.getnames()
    for wanted in ("config/llm_config.schema.json", "templates/client.json.j2", "playbooks/macos_setup.yml"):
        assert wanted in names
    assert "roles/llama_cpp/files/selftest/selftest.gguf" in names
    for name in names:
        assert not name.startswith((".venv", ".demo", ".cache", ".collections", ".git"))
        assert "__pycache__" not in name
