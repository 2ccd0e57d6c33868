# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT

import hashlib
import json
import os
import shutil
import subprocess
import tarfile

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.base.progress import Progress
from ansible_collections.macos_setup.llm.plugins.module_utils.engine.release import Release
from ansible_collections.macos_setup.llm.plugins.module_utils.offline import bundle
from ansible_collections.macos_setup.llm.plugins.module_utils.offline.bundle import Bundle
from support.bundles import NAME, Source
from support.model_factory import write_model
from support.models import unpack
from support.modules import run_module

pytestmark = pytest.mark.processes


@pytest.fixture
def source(tmp_path):
    return Source(tmp_path)


def answer(path):
    """What a host says that is to be installed from the bundle ``path``."""
    engine = {"engine": {"source": "pypi", "version": "x", "keep_releases": 3}, "system": "Linux"}
    wanted = {"manifest": "/nowhere/manifest.json", "bundle": str(path)}
    return run_module("host_info", {**wanted, "engine": {**engine, "engine_dir": "/nowhere/engine"}})


def release_of(source, directory):
    return Release(answer(source.path)["engine"], str(directory), "Linux")


def test_a_bundle_check_real_check_real(source):
    answers = [source.pack(check=check) for check in (True, False, True, False)]
    assert [answer["changed"] for answer in answers] == [True, True, False, False]
    assert answers[0]["diff"]["before"] == "" and NAME in answers[0]["diff"]["after"]
    write_model(source.model, seed=1)
    assert source.pack(check=True)["changed"] is True


def test_everyone_can_check_it(source, tmp_path):
    source.pack()
    (tmp_path / "out").mkdir()
    subprocess.run(["tar", "-xf", source.path, "-C", tmp_path / "out"], check=True)
    tool = ["sha256sum"] if shutil.which("sha256sum") else ["shasum", "-a", "256"]
    subprocess.run([*tool, "--check", bundle.SUMS], cwd=tmp_path / "out", check=True)
    assert (tmp_path / "out" / "llm_config.json").read_text() == "{}\n"


def test_the_release_is_taken_and_has_to_pass_the_selftest_again(source, tmp_path):
    source.pack()
    release = release_of(source, tmp_path / "other")
    assert not release.state()["usable"]
    release.unpack(Bundle(source.path))
    assert release.name == NAME
    state = release.state()
    assert (state["usable"], state["selftested"], state["build_info"]) == (True, False, "b7-abc")


def test_a_release_that_does_not_run_here_is_not_installed(source, tmp_path):
    source.server("#!/bin/sh\nexit 1\n")
    source.pack()
    with pytest.raises(LlamaCppError, match="does not run on this host"):
        release_of(source, tmp_path / "other").unpack(Bundle(source.path))
    assert os.listdir(tmp_path / "other" / "releases") == []


def test_a_model_is_taken_as_if_it_had_been_fetched(source, tmp_path):
    source.pack()
    path = tmp_path / "other" / "tiny.gguf"
    path.parent.mkdir()
    sha256 = hashlib.sha256(source.model.read_bytes()).hexdigest()
    assert unpack(path, source.path, check_only=True)["changed"] is True
    assert not path.exists()
    result = unpack(path, source.path, sha256=sha256)
    assert (result["changed"], result["sha256"], result["verified"]) == (True, sha256, True)
    assert path.read_bytes() == source.model.read_bytes()
    assert unpack(path, source.path)["changed"] is False


def test_a_model_is_not_written_through_a_link_that_somebody_put_there(source, tmp_path):
    source.pack()
    models = tmp_path / "other"
    models.mkdir()
    (tmp_path / "victim").write_text("important")
    (models / "tiny.gguf.part").symlink_to(tmp_path / "victim")
    before = os.umask(0)
    try:
        unpack(models / "tiny.gguf", source.path)
    finally:
        os.umask(before)
    assert os.stat(models / "tiny.gguf").st_mode & 0o777 == 0o644
    assert (tmp_path / "victim").read_text() == "important"
    assert not (models / "tiny.gguf").is_symlink() and (models / "tiny.gguf").read_bytes() == source.model.read_bytes()


def test_a_model_that_is_not_the_configured_one_is_refused(source, tmp_path):
    source.pack()
    with pytest.raises(LlamaCppError, match="is not the expected file"):
        unpack(tmp_path / "tiny.gguf", source.path, sha256="0" * 64)
    assert not (tmp_path / "tiny.gguf").exists()


@pytest.mark.parametrize("name", ["models/tiny.gguf", f"engine/{NAME}/bin/llama-server"])
def test_damage_is_found(source, tmp_path, name):
    source.pack()
    with tarfile.open(source.path) as archive:
        content = archive.extractfile(name).read()
    source.rewrite(name, content[:-1] + b"x", sums=False)
    with pytest.raises(LlamaCppError, match="is damaged: " + name):
        if name.startswith("models"):
            unpack(tmp_path / "tiny.gguf", source.path)
        else:
            release_of(source, tmp_path / "other").unpack(Bundle(source.path))
    assert not (tmp_path / "tiny.gguf").exists()


def test_a_name_that_leads_out_of_the_directory_is_refused(source, tmp_path):
    facts = {"format": 1, "platform": bundle.this_platform(), "release": NAME, "models": {}}
    bundle.pack(source.path, facts, {"wheels/../../escaped": "x"}, {}, Progress())
    (tmp_path / "into").mkdir()
    with pytest.raises(LlamaCppError, match="is damaged"):
        Bundle(source.path).extract("wheels", str(tmp_path / "into"))
    assert not (tmp_path.parent / "escaped").exists()


@pytest.mark.parametrize("what", ["nothing", "text", "another archive"])
def test_what_is_no_bundle_is_refused_with_a_remedy(source, tmp_path, what):
    path = tmp_path / "x.tar"
    if what == "text":
        path.write_text("hello")
    if what == "another archive":
        with tarfile.open(path, "w") as archive:
            archive.add(source.model, "tiny.gguf")
    result = answer(path)
    assert result["failed"] and str(path) in result["msg"] and "playbooks/bundle.yml" in result["msg"]


def test_a_bundle_for_another_kind_of_host_is_refused(source):
    source.pack()
    with tarfile.open(source.path) as archive:
        facts = json.load(archive.extractfile(bundle.FACTS))
    facts["platform"] = {"system": "Plan9", "machine": "mips"}
    source.rewrite(bundle.FACTS, json.dumps(facts).encode())
    result = answer(source.path)
    assert result["failed"] and "Plan9 on mips" in result["msg"]


def test_an_installation_that_is_not_complete_is_not_packed(source):
    source.model.unlink()
    result = source.pack()
    assert result["failed"] and str(source.model) in result["msg"]
    assert not os.path.exists(source.path)
