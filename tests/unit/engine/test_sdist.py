# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""A source distribution is fetched by pip, verified, and never executed."""

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.engine.sdist import downloaded
from support import packages
from support.modules import run_module

pytestmark = pytest.mark.processes

PYPROJECT = '[build-system]\nrequires = ["not-to-be-had"]\nbuild-backend = "scikit_build_core.build"\n'


@pytest.fixture
def sdist(tmp_path):
    setup = "open({!r}, 'w').close()\n".format(str(tmp_path / "executed"))
    files = {"pyproject.toml": PYPROJECT, "setup.py": setup, "vendor/tree/CMakeLists.txt": "#\n"}
    return packages.make_sdist(tmp_path / "index", "some-source", "1.2.3", files)


def run(tmp_path, sha256, check=False):
    dest = tmp_path / "downloads here"
    dest.mkdir(exist_ok=True)
    arguments = {"package": "some-source", "version": "1.2.3", "sha256": sha256, "dest": str(dest)}
    return run_module("pip_source", arguments, check=check, environment=packages.environment(tmp_path / "index"))


def test_check_real_check_real(tmp_path, sdist):
    digest = packages.sha256(sdist)
    assert run(tmp_path, digest, check=True)["changed"] is True
    result = run(tmp_path, digest)
    assert result["changed"] is True, result
    assert (tmp_path / "downloads here" / sdist.name).read_bytes() == sdist.read_bytes()
    assert run(tmp_path, digest, check=True)["changed"] is False
    assert run(tmp_path, digest)["changed"] is False
    assert not (tmp_path / "executed").exists()


IN_TREE = '[build-system]\nrequires = []\nbuild-backend = "inside"\nbackend-path = ["."]\n'


@pytest.mark.parametrize("pyproject", [{"pyproject.toml": IN_TREE}, {}], ids=["a backend of its own", "setup.py"])
def test_whatever_would_build_it_is_not_run(tmp_path, pyproject):
    evil = "open({!r}, 'w').close()\n".format(str(tmp_path / "executed"))
    files = {**pyproject, "inside.py": evil, "setup.py": evil, "sitecustomize.py": evil}
    sdist = packages.make_sdist(tmp_path / "index", "some-source", "1.2.3", files)
    result = run(tmp_path, packages.sha256(sdist))
    assert result.get("changed") is True, result
    assert not (tmp_path / "executed").exists()


def test_a_wrong_hash_is_refused(tmp_path, sdist):
    result = run(tmp_path, "0" * 64)
    assert result["failed"]
    assert packages.sha256(sdist) in result["msg"]
    assert list((tmp_path / "downloads here").iterdir()) == []


def test_a_damaged_file_is_fetched_again(tmp_path, sdist):
    digest = packages.sha256(sdist)
    run(tmp_path, digest)
    damaged = tmp_path / "downloads here" / sdist.name
    damaged.write_bytes(b"cut off")
    assert run(tmp_path, digest)["changed"] is True
    assert damaged.read_bytes() == sdist.read_bytes()


def test_a_file_is_known_by_its_hash_and_not_by_its_name(tmp_path):
    wanted = {"package": "some-source", "version": "1.2.3", "directory": str(tmp_path)}
    (tmp_path / "some-source-1.2.3.tar.gz").write_bytes(b"another file")
    (tmp_path / "some.source-1.2.3.tar.gz").mkdir()
    right = tmp_path / "some_source-1.2.3.tar.gz"
    right.write_bytes(b"right")
    assert downloaded(sha256=packages.sha256(right), **wanted) == str(right)
    assert downloaded(sha256="0" * 64, **wanted) is None


def test_an_unreachable_index_is_explained(tmp_path):
    (tmp_path / "index").mkdir()
    result = run(tmp_path, "0" * 64)
    assert result["failed"]
    assert "pip config list" in result["msg"]
