# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""A bundle is what its bytes are: what it says of itself is looked at before, and compared with them."""

import hashlib
import json
import os
import shutil
import tarfile

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base import commands
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.base.progress import Progress
from ansible_collections.macos_setup.llm.plugins.module_utils.engine.release import Release
from ansible_collections.macos_setup.llm.plugins.module_utils.models.verification import VerificationRecord
from ansible_collections.macos_setup.llm.plugins.module_utils.net.python_environment import PythonEnvironment
from ansible_collections.macos_setup.llm.plugins.module_utils.offline import bundle
from ansible_collections.macos_setup.llm.plugins.module_utils.offline.bundle import Bundle
from support.bundles import NAME, Source, a_bundle, special, tar
from support.models import unpack


@pytest.fixture
def source(tmp_path):
    return Source(tmp_path)


MODEL = {"sha256": "a" * 64, "bytes": 1, "origin": None, "revision": None}


@pytest.mark.parametrize(
    "facts",
    [
        {"format": 2},
        {"platform": None},
        {"platform": "x"},
        {"platform": {"system": "Linux"}},
        {"platform": {"system": "Li\nnux", "machine": "\udc00"}},
        {"release": None},
        {"release": ""},
        {"release": "../../../Documents"},
        {"release": ".hidden"},
        {"release": "r\n"},
        {"models": None},
        {"models": ["m.gguf"]},
        {"models": {"../m.gguf": MODEL}},
        {"models": {"m.gguf": None}},
        {"models": {"m.gguf": {**MODEL, "sha256": "A" * 64}}},
        {"models": {"m.gguf": {**MODEL, "bytes": True}}},
        {"models": {"m.gguf": {**MODEL, "bytes": 10**400}}},
        {"models": {"m.gguf": {**MODEL, "bytes": 1.0}}},
        {"models": {"m.gguf": {**MODEL, "origin": "a\nb"}}},
        {"models": {"m.gguf": MODEL}},
        {"python": 3.11},
    ],
)
def test_what_it_says_of_itself_is_looked_at(tmp_path, facts):
    with pytest.raises(LlamaCppError, match=r"is damaged: (its|it has no models/m\.gguf)") as caught:
        Bundle(a_bundle(tmp_path / "x.tar", **facts))
    assert str(caught.value).count("\n") == 0


FIRST_PAGES = {
    "empty": b"",
    "a list": b"[1]",
    "cut off": b"{",
    "deep": b"[" * 200000,
    "no number": b'{"format": NaN}',
    "digits": b'{"format": ' + b"1" * 5000 + b"}",
    "no platform": b'{"format": 1}',
    "no text": b"\xff",
    "long": b"0" * 5000000,
}


@pytest.mark.parametrize("text", FIRST_PAGES.values(), ids=FIRST_PAGES)
def test_a_first_page_that_is_none_is_one_clear_line(tmp_path, text):
    tar(tmp_path / "x.tar", [(bundle.FACTS, text)])
    with pytest.raises(LlamaCppError, match="is damaged") as caught:
        Bundle(str(tmp_path / "x.tar"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "files",
    [
        [("wheels/requirements.txt", b"evil==1")],
        [("wheels/sub/a-1-py3-none-any.whl", b"")],
        [("models/other.gguf", b"")],
        [("engine/../../escaped", b"")],
        [("/tmp/escaped", b"")],
        [("./engine/x", b"")],
        [("engine/x", b"a"), ("engine/x", b"b")],
        [(special("engine/x", tarfile.SYMTYPE, "/etc"), b"")],
        [(special("engine/x", tarfile.LNKTYPE, bundle.FACTS), b"")],
        [(special("engine/x", tarfile.FIFOTYPE), b"")],
        [(special("engine/x", tarfile.CHRTYPE), b"")],
        [(special("engine/x", tarfile.DIRTYPE), b"")],
    ],
    ids=lambda files: str(getattr(files[0][0], "name", files[0][0])),
)
def test_what_no_bundle_holds_is_refused_before_anything_is_used(tmp_path, files):
    with pytest.raises(LlamaCppError, match="is damaged"):
        Bundle(a_bundle(tmp_path / "x.tar", files))


def test_what_is_not_in_the_list_has_no_way_in(source):
    source.made()
    with tarfile.open(source.path) as archive:
        members = [(member, archive.extractfile(member).read()) for member in archive]
    for changed in (
        members[:-1],
        [*members, ("engine/more", b"x")],
        [pair for pair in members if "models" not in pair[0].name],
    ):
        tar(source.path, changed)
        with pytest.raises(LlamaCppError, match="is damaged"):
            Bundle(source.path)


def test_a_bundle_that_is_cut_off_is_refused(source, tmp_path):
    """At every place where copying may have ended; that it ends before its list of hashes is enough."""
    source.made()
    with open(source.path, "rb") as stream:
        content = stream.read()
    end = content.rindex(bundle.SUMS.encode())
    for kept in (0, 1, 511, 512, 700, end // 2, end - 1, end + 100, end + 520):
        (tmp_path / "cut.tar").write_bytes(content[:kept])
        with pytest.raises(LlamaCppError, match="is damaged"):
            Bundle(str(tmp_path / "cut.tar"))


@pytest.mark.parametrize(
    "size",
    [b"\x80" + b"\xff" * 11, b"\xff" * 12, b"\x80\0\0\0\0\0\xff" + b"\xff" * 5],
    ids=["huge", "negative", "large"],
)
@pytest.mark.parametrize("kind", [b"0", b"x", b"L", b"S"])
def test_a_size_that_only_a_header_claims_is_refused(tmp_path, kind, size):
    path = tmp_path / "x.tar"
    a_bundle(path, [("engine/x", b"x")])
    content = bytearray(path.read_bytes())
    start = content.index(b"engine/x\0")
    header = content[start : start + 512]
    header[124:136], header[156:157], header[148:156] = size, kind, b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    content[start : start + 512] = header
    path.write_bytes(content)
    with pytest.raises(LlamaCppError, match="is damaged"):
        Bundle(str(path))


def test_nobody_waits_for_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "x.tar")
    with pytest.raises(LlamaCppError, match="is no bundle"):
        Bundle(str(tmp_path / "x.tar"))


def test_the_bytes_of_a_model_count_and_not_what_is_said_of_them(source, tmp_path):
    """Pinned, and in bundle.json: the good one. In the bundle: another one, which fits the list of hashes."""
    good = source.model.read_bytes()
    bad = good[:-100] + b"\x55" * 100
    facts = {**MODEL, "sha256": hashlib.sha256(good).hexdigest(), "bytes": len(good)}
    path = a_bundle(tmp_path / "x.tar", [("models/tiny.gguf", bad)], models={"tiny.gguf": facts})
    target = tmp_path / "other" / "tiny.gguf"
    target.parent.mkdir()
    with pytest.raises(LlamaCppError, match=r"speak of different files as models/tiny\.gguf"):
        unpack(target, path, sha256=facts["sha256"])
    assert not target.exists()


def test_a_link_in_the_place_of_the_part_file_is_not_followed(source, tmp_path):
    source.made()
    (tmp_path / "other").mkdir()
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "other" / "tiny.gguf.part").symlink_to(tmp_path / "precious")
    unpack(tmp_path / "other" / "tiny.gguf", source.path)
    assert (tmp_path / "precious").read_text() == "precious"


def rot(path):
    """Change a byte, and nothing that a record holds."""
    status = os.stat(path)
    with open(path, "r+b") as stream:
        stream.seek(-3, os.SEEK_END)
        stream.write(b"\x55")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize("what", ["model", "program"])
def test_what_the_disk_has_lost_is_not_packed(source, what):
    path = source.model if what == "model" else source.release / "bin" / "llama-server"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if what == "model":
        record = VerificationRecord(str(path))
        record.make_directory()
        record.write(sha256=digest, origin="https://huggingface.co/x", placed=True, revision=None)
    else:
        stamp = source.release / "stamp.json"
        stamp.write_text(json.dumps({**json.loads(stamp.read_text()), "sha256": {"llama-server": digest}}))
    rot(path)
    with pytest.raises(LlamaCppError, match="is not what it was") as caught:
        source.made()
    assert str(path) in str(caught.value) and digest in str(caught.value)
    assert not os.path.exists(source.path)
    assert [name for name in os.listdir(source.directory) if name.startswith(".llm")] == []


def test_a_bundle_that_the_disk_has_spoiled_is_made_anew(source):
    path = source.made()
    facts = Bundle(path).facts
    rot(path)  # in its padding: not a byte of the content
    assert bundle.intact_facts(path, facts, Progress()) == facts
    with tarfile.open(path) as archive:
        member = archive.getmember("models/tiny.gguf")
    with open(path, "r+b") as stream:
        stream.seek(member.offset_data + member.size - 1)
        stream.write(b"\x55")
    assert bundle.intact_facts(path, facts, Progress()) is None
    assert bundle.intact_facts(path, {**facts, "content": "other"}, Progress()) == facts
    with open(path, "r+b") as stream:
        stream.truncate(1000)
    assert bundle.intact_facts(path, facts, Progress()) is None


@pytest.mark.parametrize(
    "make", [lambda path: path.write_text("thesis"), os.mkdir, os.mkfifo, lambda path: path.symlink_to("x")]
)
def test_no_bundle_takes_the_place_of_something_else(tmp_path, make):
    make(tmp_path / "x.tar")
    with pytest.raises(LlamaCppError, match="left as it is"):
        bundle.intact_facts(str(tmp_path / "x.tar"), {}, Progress())


@pytest.mark.parametrize("programs", [None, [], ["llama-server", "../../../etc/passwd"], [1], "llama-server"])
def test_the_names_in_a_stamp_are_no_paths(source, tmp_path, programs):
    (source.release / "stamp.json").write_text(json.dumps({"programs": programs}))
    engine = {"source": "bundle", "version": NAME, "targets": [], "options": {}}
    release = Release(engine, str(tmp_path / "other"), "Linux")
    with pytest.raises(LlamaCppError, match="does not name its programs"):
        release.unpack(Bundle(source.made()))
    assert os.listdir(tmp_path / "other" / "releases") == []


def test_a_stamp_out_of_a_bundle_is_kept_as_far_as_it_can_be_true(source, tmp_path):
    told = {"programs": ["llama-server"], "build_info": ["b9-def"], "sha256": ["x"], "selftest": {"passed": 1}}
    source.made()
    source.rewrite(f"engine/{NAME}/stamp.json", json.dumps(told).encode())
    engine = {"source": "bundle", "version": NAME, "targets": [], "options": {}}
    Release(engine, str(tmp_path / "other"), "Linux").unpack(Bundle(source.path))
    kept = json.loads((tmp_path / "other" / "releases" / NAME / "stamp.json").read_text())
    assert kept == {"programs": ["llama-server"], "build_info": "b7-abc", "identity": None}


def test_packages_of_a_bundle_lie_beside_the_pinned_list(tmp_path, monkeypatch):
    """Nothing of a bundle is ever read as a list of requirements."""
    path = a_bundle(tmp_path / "x.tar", [("wheels/marker-1.0-py3-none-any.whl", b"")])
    seen = []

    def check(command, *_arguments, **_more):
        if "-r" in command:
            file = command[command.index("-r") + 1]
            wheels = command[command.index("--find-links") + 1]
            with open(file, encoding="utf-8") as stream:
                seen.append((stream.read(), os.listdir(wheels), os.path.dirname(file) != wheels))

    monkeypatch.setattr(commands, "check", check)
    environment = PythonEnvironment(str(tmp_path / "venv"), "marker==1.0 --hash=sha256:0\n", Bundle(path))
    (tmp_path / "venv").mkdir()
    monkeypatch.setattr(shutil, "rmtree", lambda *_arguments, **_more: None)
    environment.install(Progress())
    assert seen == [("marker==1.0 --hash=sha256:0\n", ["marker-1.0-py3-none-any.whl"], True)]
