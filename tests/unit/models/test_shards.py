# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""A model in several files is there as a whole or not at all; and whatever a file is, its header says so too."""

import contextlib
import functools
import hashlib
import json
import os
import subprocess
import sys
import threading

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.base.progress import LEASE_SUFFIX, Progress
from ansible_collections.macos_setup.llm.plugins.module_utils.base.wait import wait_until
from ansible_collections.macos_setup.llm.plugins.module_utils.models import install, parallel
from ansible_collections.macos_setup.llm.plugins.module_utils.models.install import FileInstall, Wanted
from ansible_collections.macos_setup.llm.plugins.module_utils.models.model import ModelInstall
from ansible_collections.macos_setup.llm.plugins.module_utils.models.shards import (
    shard_name,
    shard_names,
    shard_number,
    shards_of,
)
from ansible_collections.macos_setup.llm.plugins.module_utils.models.source import WebSource
from ansible_collections.macos_setup.llm.plugins.module_utils.net import disk_space
from ansible_collections.macos_setup.llm.plugins.module_utils.net.http import Web
from support.fault_server import Fault, FaultServer
from support.model_factory import adapter_bytes, model_bytes, projector_bytes, reranker_bytes, split_model
from support.models import gguf_model, request
from support.modules import PROGRAM
from support.paths import COLLECTIONS

pytestmark = pytest.mark.processes

COUNT, SIZE = 6, 200_000
NAMES = [f"big-0000{number + 1}-of-0000{COUNT}.gguf" for number in range(COUNT)]
PARTS, OTHERS = split_model(COUNT, SIZE, seed=1), split_model(COUNT, SIZE, seed=2)


@pytest.fixture
def server():
    with FaultServer() as running:
        offer(running, PARTS)
        yield running


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "models"


def offer(server, parts, faults=None, where=""):
    for number, (name, content) in enumerate(zip(NAMES, parts)):
        server.serve(
            f"{where}/{name}", content, faults=[(faults or {}).get(number)] if number in (faults or {}) else []
        )


def sums(parts):
    return [{"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)} for content in parts]


def wanted(server, directory, **more):
    source = {"url": server.url("/" + NAMES[0])}
    return {"name": "big", "dest": str(directory / NAMES[0]), "source": source, **more}


def have(server, directory, check=False, **more):
    return gguf_model(wanted(server, directory, **more), check=check, diff=True)


def there(directory):
    return {path.name: path.read_bytes() for path in directory.glob("*.gguf")}


def test_names():
    assert shard_names("/x/big-00001-of-00003.gguf") == [f"/x/big-0000{number}-of-00003.gguf" for number in (1, 2, 3)]
    assert shard_names("/x/one.gguf") == ["/x/one.gguf"]
    assert shard_names("/x/one-00001-of-00001.gguf") == ["/x/one-00001-of-00001.gguf"]
    assert shard_number("https://h/big-00002-of-00003.gguf?download=true") == (2, 3)
    assert shard_name("https://h/big-00001-of-00003.gguf?a=-00001-of-00003", 3).startswith(
        "https://h/big-00003-of-00003"
    )
    assert shard_number("big-0001-of-0003.gguf") is None


def test_a_file_of_the_plan_is_one_on_the_disk_or_several():
    assert shards_of({"dest": "/x/a.gguf", "bytes": 7, "sha256": "a", "shards": None}) == [
        ("/x/a.gguf", 0, 1, 7, "a"),
    ]
    split = {"dest": "/x/big-00001-of-00002.gguf", "bytes": None, "sha256": None}
    first, second = "/x/big-00001-of-00002.gguf", "/x/big-00002-of-00002.gguf"
    assert shards_of(split) == [(first, 0, 2, None, None), (second, 1, 2, None, None)]
    known = {**split, "shards": [{"bytes": 7}, {"sha256": "b"}]}
    assert shards_of(known) == [(first, 0, 2, 7, None), (second, 1, 2, None, "b")]


@pytest.mark.parametrize("shards", [None, sums(PARTS)], ids=["unknown hashes", "known hashes"])
def test_check_real_check_real(server, directory, shards):
    results = [have(server, directory, check, shards=shards) for check in (True, False, True, False)]
    assert [result["changed"] for result in results] == [True, True, False, False]
    total = sum(map(len, PARTS))
    assert [result["transferred"] for result in results] == [0, total, 0, 0]
    assert (results[1]["dest"], results[1]["bytes"]) == (str(directory / NAMES[0]), total)
    assert (results[1]["architecture"], results[1]["context_length"], results[1]["verified"]) == ("llama", 128, True)
    assert there(directory) == dict(zip(NAMES, PARTS))
    assert len(list((directory / ".llama_cpp").glob("*.json"))) == COUNT
    assert [file["dest"] for file in results[1]["diff"]["after"]] == [str(directory / name) for name in NAMES]
    assert results[3]["diff"] is None


def test_until_every_file_is_right_none_has_its_name(server, directory):
    offer(server, PARTS, {4: Fault(status=404)})
    failed = have(server, directory)
    assert failed["failed"] and "404" in failed["msg"] and "Model big" in failed["msg"]
    assert there(directory) == {}
    offer(server, PARTS)
    assert have(server, directory)["changed"]
    assert there(directory) == dict(zip(NAMES, PARTS))


def test_an_interrupted_set_fetches_only_what_is_missing(server, directory):
    offer(server, PARTS, {5: Fault(status=404)})
    assert have(server, directory, shards=sums(PARTS))["failed"]
    kept = sum(path.stat().st_size for path in directory.glob("*.part"))
    assert kept > 0
    again = have(server, directory, shards=sums(PARTS))
    assert again["transferred"] <= sum(map(len, PARTS)) - kept
    assert there(directory) == dict(zip(NAMES, PARTS))


def test_a_killed_run_is_completed_by_the_next(server, directory):
    offer(server, PARTS, {1: Fault(stall_after=SIZE // 2), 2: Fault(stall_after=SIZE // 2)})
    arguments = {"ANSIBLE_MODULE_ARGS": request(wanted(server, directory, shards=sums(PARTS)))}
    run = subprocess.Popen(
        [sys.executable, PROGRAM, "gguf_model"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(COLLECTIONS)},
    )
    run.stdin.write(json.dumps(arguments).encode())
    run.stdin.close()

    def begun():
        return sum(path.stat().st_size for path in directory.glob("*.part")) >= sum(map(len, PARTS)) - 2 * SIZE

    assert wait_until(begun, 60)
    run.kill()
    run.wait()
    assert there(directory) == {}
    again = have(server, directory, shards=sums(PARTS))
    assert again["transferred"] < sum(map(len, PARTS)) / 2
    assert there(directory) == dict(zip(NAMES, PARTS))


def test_the_old_set_stands_until_the_new_one_is_whole(server, directory):
    assert have(server, directory, shards=sums(PARTS))["changed"]
    offer(server, [*OTHERS[:-1], OTHERS[-1][:-1]])
    assert have(server, directory, shards=sums(OTHERS))["failed"]
    assert there(directory) == dict(zip(NAMES, PARTS))
    offer(server, OTHERS)
    assert have(server, directory, shards=sums(OTHERS))["changed"]
    assert there(directory) == dict(zip(NAMES, OTHERS))


def test_a_lost_file_is_fetched_alone(server, directory):
    have(server, directory, shards=sums(PARTS))
    (directory / NAMES[3]).unlink()
    again = have(server, directory, shards=sums(PARTS))
    assert (again["changed"], again["transferred"]) == (True, len(PARTS[3]))


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ([PARTS[1], PARTS[0], *PARTS[2:]], "file 2 of 6"),
        ([model_bytes(SIZE), *PARTS[1:]], "a model in one file"),
        (split_model(COUNT, SIZE, lies={"count": 7}), "of 7"),
        (split_model(COUNT, SIZE, lies={"tensors.count": 9}), "9 tensors"),
        ([*PARTS[:-1], PARTS[-1][:-1]], "cut short"),
    ],
)
def test_files_that_do_not_belong_together_are_thrown_away(server, directory, parts, says):
    offer(server, parts)
    failed = have(server, directory)
    assert failed["failed"] and says in failed["msg"] and failed["msg"].startswith("Model big: ")
    assert there(directory) == {}


def test_one_of_several_is_no_model_of_its_own(server, directory):
    server.serve("/one.gguf", PARTS[0])
    source = {"url": server.url("/one.gguf")}
    result = gguf_model({"name": "one", "dest": str(directory / "one.gguf"), "source": source})
    assert result["failed"] and "file 1 of 6" in result["msg"]


def test_mirrors_have_all_files_too(server, directory):
    offer(server, PARTS, where="/mirror")
    offer(server, OTHERS)
    mirrors = [server.url("/mirror/" + NAMES[0])]
    assert have(server, directory, shards=sums(PARTS), mirrors=mirrors)["changed"]
    assert there(directory) == dict(zip(NAMES, PARTS))


def a_model(server, directory, facts):
    """The ModelInstall, in this process, of files of which ``facts`` are known."""
    reservation = disk_space.DiskReservation()
    files = [
        FileInstall(
            Wanted("big", str(directory / name), number=number, count=COUNT, **known),
            WebSource(server.url("/" + name), Web(timeout=5)),
            reservation=reservation,
        )
        for number, (name, known) in enumerate(zip(NAMES, facts))
    ]
    return ModelInstall("big", files)


@pytest.mark.parametrize("changed", [[0, 4], [4]], ids=["the first and another", "another"])
def test_no_mixture_of_two_sets_ever_has_all_names(server, directory, monkeypatch, changed):
    have(server, directory, shards=sums(PARTS))
    after = [OTHERS[number] if number in changed else content for number, content in enumerate(PARTS)]
    offer(server, after)
    seen = []
    replace = os.replace

    def look_and_replace(source, target):
        names = there(directory)
        if len(names) == COUNT:
            seen.append([names[name] for name in NAMES])
        replace(source, target)

    monkeypatch.setattr(install.os, "replace", look_and_replace)
    assert a_model(server, directory, sums(after)).present()["changed"]
    assert there(directory) == dict(zip(NAMES, after))
    assert seen and all(names in (PARTS, after) for names in seen)
    assert not a_model(server, directory, sums(after)).present()["changed"]


@pytest.mark.parametrize("known", [True, False], ids=["sizes known", "sizes told by the server"])
def test_a_disk_that_takes_some_of_the_files_gets_none(server, directory, monkeypatch, known):
    def usage(_directory):
        """A disk of two and a half files."""
        used = 0
        for path in directory.glob("*.part"):
            with contextlib.suppress(FileNotFoundError):  # another file's thread has given up meanwhile
                used += path.stat().st_size
        return type("usage", (), {"free": SIZE * 5 // 2 - used})

    monkeypatch.setattr("shutil.disk_usage", usage)
    facts = [{"bytes": len(content) if known else None} for content in PARTS]
    with pytest.raises(LlamaCppError, match="files, but only"):
        a_model(server, directory, facts).present()
    assert not any((directory / name).exists() for name in NAMES)
    if known:
        assert server.requests == []


def test_so_many_files_are_worked_on_at_the_same_time_and_no_more():
    count = 2 * parallel.PARALLEL_DOWNLOADS
    begun, most = [], []
    together = threading.Barrier(parallel.PARALLEL_DOWNLOADS, lambda: most.append(len(begun)))

    def work(number):
        begun.append(number)
        together.wait(60)
        return number

    calls = [functools.partial(work, number) for number in range(count)]
    assert parallel.at_once(calls, lambda: None) == list(range(count))
    assert most == [count // 2, count]


def test_the_first_failure_stops_the_work_on_the_others():
    stopped = threading.Event()

    def wait():
        stopped.wait(60)
        raise parallel.Stopped("in the middle")

    def fail():
        raise LlamaCppError("the cause")

    with pytest.raises(LlamaCppError, match="the cause"):
        parallel.at_once([wait, fail, wait], stopped.set)
    assert stopped.is_set()


def test_progress_is_one_line_for_all(tmp_path):
    (tmp_path / ("progress" + LEASE_SUFFIX)).touch()
    progress = Progress(str(tmp_path / "progress"), "big", interval=0)
    shared = parallel.SharedProgress(progress, 2)
    for share, done, total in ((0, 10, 100), (1, 50, 300), (0, 100, 100)):
        shared.share(share).update("downloading", done, total, "bytes", "from somewhere")
        if share == 1:
            shared.share(0).update("waiting", detail="attempt 2")
            assert json.loads((tmp_path / "progress").read_text())["detail"] == "0 of 2 files complete, attempt 2"
    told = json.loads((tmp_path / "progress").read_text())
    assert (told["done"], told["total"], told["detail"]) == (150, 400, "1 of 2 files complete")
    shared.stop()
    with pytest.raises(parallel.Stopped):
        shared.share(1).update("downloading", 60, 300, "bytes")


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"shards": sums(PARTS)[:-1]}, "by its name it has 6 files"),
        ({"sha256": "0" * 64}, "in shards"),
        ({"shards": [{"sha256": "x", "bytes": None}] * COUNT}, "not 64 hexadecimal digits"),
    ],
)
def test_what_is_told_has_to_fit(server, directory, facts, says):
    failed = have(server, directory, **facts)
    assert failed["failed"] and says in failed["msg"]
    assert not directory.exists() and not server.requests


# ---- from the host itself


@pytest.fixture
def own(tmp_path):
    place = tmp_path / "own & mine"
    place.mkdir()
    for name, content in zip(NAMES, PARTS):
        (place / name).write_bytes(content)
    return place


def linked(directory, own, check=False, **more):
    arguments = {"name": "big", "dest": str(directory / NAMES[0]), "source": {"path": str(own / NAMES[0])}, **more}
    return gguf_model(arguments, check=check)


def test_own_files_are_linked_all_or_none(directory, own):
    results = [linked(directory, own, check) for check in (True, False, True, False)]
    assert [result["changed"] for result in results] == [True, True, False, False]
    assert {name: os.readlink(directory / name) for name in NAMES} == {name: str(own / name) for name in NAMES}
    assert results[1]["transferred"] == 0


@pytest.mark.parametrize("damage", ["missing", "short", "foreign"])
def test_a_damaged_set_of_the_owner_is_not_linked(directory, own, damage):
    victim = own / NAMES[4]
    if damage == "missing":
        victim.unlink()
    else:
        victim.write_bytes(PARTS[4][:-1] if damage == "short" else model_bytes(SIZE))
    failed = linked(directory, own)
    assert failed["failed"] and str(victim) in failed["msg"]
    assert list(directory.glob("*.gguf")) == [] if directory.exists() else True
    assert len(list(own.iterdir())) == COUNT - (damage == "missing")


def test_absent_takes_all_files_away(server, directory):
    have(server, directory)
    gone = have(server, directory, state="absent")
    assert gone["changed"] and there(directory) == {}


# ---- what a file is


@pytest.mark.parametrize("kind", ["model", "mmproj", "adapter"])
def test_a_file_has_to_be_of_its_kind(server, directory, kind):
    contents = {"model": model_bytes(), "mmproj": projector_bytes(), "adapter": adapter_bytes()}
    for found, content in contents.items():
        server.serve("/it.gguf", content)
        dest = str(directory / f"{found}.gguf")
        source = {"url": server.url("/it.gguf")}
        result = gguf_model({"name": "it", "dest": dest, "source": source, "kind": kind})
        assert bool(result.get("failed")) == (found != kind), result
        assert os.path.exists(dest) == (found == kind)
        if found != kind:
            assert "is a" in result["msg"] and "and not a" in result["msg"]


def test_a_reranker_needs_what_makes_its_scores(server, directory):
    dest = str(directory / "it.gguf")
    arguments = {"name": "it", "dest": dest, "source": {"url": server.url("/it.gguf")}, "kind": "reranker"}
    for content, why in [(projector_bytes(), "not a model"), (model_bytes(), "no classification head")]:
        server.serve("/it.gguf", content)
        result = gguf_model(arguments)
        assert result["failed"] and why in result["msg"] and not os.path.exists(dest)
    server.serve("/it.gguf", reranker_bytes())
    assert [gguf_model(arguments).get("changed") for _ in range(2)] == [True, False]


def test_a_chat_model_in_place_is_no_reranker_from_now_on(server, directory):
    server.serve("/it.gguf", model_bytes())
    arguments = {"name": "it", "dest": str(directory / "it.gguf"), "source": {"url": server.url("/it.gguf")}}
    gguf_model(arguments)
    for check in (True, False):
        result = gguf_model({**arguments, "kind": "reranker"}, check=check)
        assert result["failed"] and 'purpose to "chat"' in result["msg"]
    assert gguf_model(arguments)["changed"] is False
