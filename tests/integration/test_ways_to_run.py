# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""By path from the checkout, by name, and from the built and installed artifact."""

import subprocess
import tarfile

import pytest
from support.paths import REPOSITORY
from support.plays import BIN

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
def installed(tmp_path_factory, artifact):
    """A directory with nothing but the installed collection."""
    directory = tmp_path_factory.mktemp("elsewhere")
    install = [BIN / "ansible-galaxy", "collection", "install", "--offline", "--no-deps", artifact]
    subprocess.run([*install, "-p", directory / "collections"], cwd=directory, check=True, capture_output=True)
    return directory


def test_by_path_from_the_checkout(host):
    host.play("--tags", "llm")
    assert host.answers()


def test_by_name_from_the_checkout(host):
    host.play(playbook="macos_setup.llm.macos_setup")
    assert host.answers()


@pytest.mark.parametrize("by", ["playbook of the collection", "playbook of one's own"])
def test_from_the_artifact(host, installed, by):
    playbook = "macos_setup.llm.macos_setup"
    if by == "playbook of one's own":
        playbook = installed / "site.yml"
        playbook.write_text(PLAYBOOK)
    environment = {"ANSIBLE_COLLECTIONS_PATH": str(installed / "collections")}
    output = host.play(playbook=playbook, directory=installed, environment=environment)
    assert str(REPOSITORY) not in output
    assert host.answers()


def test_the_artifact_holds_what_is_used_and_nothing_else(artifact):
    with tarfile.open(artifact) as archive:
        names = archive.getnames()
    for wanted in ("config/llm_config.schema.json", "templates/client.json.j2", "playbooks/macos_setup.yml"):
        assert wanted in names
    assert "roles/llama_cpp/files/selftest/selftest.gguf" in names
    for name in names:
        assert not name.startswith((".venv", ".demo", ".cache", ".collections", ".git"))
        assert "__pycache__" not in name
