# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``ansible-test sanity`` finds nothing but what tests/sanity/ignore-*.txt lists, each with its reason.

ansible-test installs the requirements of its tests into environments of its own below the home directory; here they are
kept in .cache. It would bootstrap pip with a script from the web: one that links the pip at hand takes its place.
"""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import ansible_test
import pip
import pytest
import yaml
from support import checkout
from support.paths import REPOSITORY
from support.plays import BIN

# Others do the work of the rest: ruff, antsibull-changelog, and ansible-lint, which knows meta/runtime.yml.
TESTS = [
    "action-plugin-docs",
    "ansible-doc",
    "compile",
    "empty-init",
    "ignores",
    "import",
    "line-endings",
    "no-illegal-filenames",
    "shebang",
    "symlinks",
    "validate-modules",
    "yamllint",
]
HOME = REPOSITORY / ".cache" / "ansible-test"
BOOTSTRAP = "import os, sysconfig\n\nos.symlink({!r}, os.path.join(sysconfig.get_path('purelib'), 'pip'))\n"


@pytest.mark.processes  # and asks the package index, the first time
def test_sanity(tmp_path):
    collection = tmp_path / "ansible_collections" / "macos_setup" / "llm"
    checkout.copy_to(collection, left_out=yaml.safe_load((REPOSITORY / "galaxy.yml").read_text())["build_ignore"])
    write_bootstrap()
    write_pip_configuration()
    command = [BIN / "ansible-test", "sanity", "--color", "no", "--python", "%d.%d" % sys.version_info[:2]]
    command += [word for name in TESTS for word in ("--test", name)]
    done = subprocess.run(
        command,
        cwd=collection,
        env={**os.environ, "HOME": str(HOME)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def write_bootstrap():
    """The script that ansible-test takes for a downloaded one: its name holds the version of pip that is wanted."""
    source = Path(ansible_test.__path__[0], "_internal", "python_requirements.py").read_text()
    version = re.search(r"pip='([0-9.]+)'", source)[1].replace(".", "_")
    path = HOME / ".ansible" / "test" / "cache" / f"get_pip_{version}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(BOOTSTRAP.format(pip.__path__[0]))


def write_pip_configuration():
    """How the user has configured pip, by files and by environment variables, which win: ansible-test hides both."""
    listing = [sys.executable, "-m", "pip", "config", "list"]
    lines = subprocess.run(listing, capture_output=True, text=True, check=True).stdout.splitlines()
    options = {}
    for name, _, value in (line.partition("=") for line in sorted(lines, reverse=True)):  # ":env:.…" comes last
        options[name.rpartition(".")[2]] = ast.literal_eval(value).replace("\n", " ")
    path = HOME / ".config" / "pip" / "pip.conf"
    path.parent.mkdir(parents=True, exist_ok=True)
    options["no-compile"] = "true"  # of a library that a test imports once
    path.write_text("[global]\n" + "".join(f"{name} = {value}\n" for name, value in options.items()))
