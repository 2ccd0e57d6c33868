# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Downloads against a server that misbehaves in every way it knows."""

import hashlib
import json
import os
import random

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.base.progress import Progress, WatcherGone
from ansible_collections.macos_setup.llm.plugins.module_utils.net import download as fetching
from ansible_collections.macos_setup.llm.plugins.module_utils.net.download import Download, DownloadFailed
from ansible_collections.macos_setup.llm.plugins.module_utils.net.http import Web
from ansible_collections.macos_setup.llm.plugins.module_utils.net.retry import ATTEMPTS
from support.fault_server import Fault, FaultServer

SIZE = 3 * 1024 * 1024 + 17
CONTENT = random.Random(1).randbytes(SIZE)
OTHER = random.Random(2).randbytes(SIZE)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server():
    with FaultServer() as running:
        yield running


@pytest.fixture
def part(tmp_path):
    return tmp_path / "model.gguf.part"


def download(part, sleep=None, timeout=5, **options):
    return Download(str(part), Web(timeout=timeout), sleep=sleep or (lambda _: None), **options)


def assert_is_right(part, fetched, content=CONTENT):
    assert part.read_bytes() == content
    assert (fetched.size, fetched.sha256) == (len(content), hashlib.sha256(content).hexdigest())


def ranges(server):
    return [request.headers.get("range") for request in server.requests]


def test_a_file_arrives_and_is_hashed_on_the_way(server, part):
    server.serve("/m", CONTENT)
    fetched = download(part).run([server.url("/m?sig=secret")])
    assert_is_right(part, fetched)
    assert (fetched.transferred, fetched.url) == (SIZE, server.url("/m"))
    assert "secret" not in (part.parent / "model.gguf.part.json").read_text()


OFFSETS = [0, 1, 16 * 1024, 1024 * 1024, SIZE // 2, SIZE - 1]


@pytest.mark.parametrize("sha256", [None, SHA256], ids=["unknown hash", "known hash"])
@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("kind", ["reset_after", "close_after", "stall_after", "drip_after"])
def test_a_broken_connection_is_continued(server, part, kind, offset, sha256):
    server.serve("/m", CONTENT, faults=[Fault(**{kind: offset})])
    # A busy machine must not look like a silent server; where one is silent, it is waited for as long.
    patience = 1 if kind in ("stall_after", "drip_after") else 30
    fetched = download(part, timeout=patience, sha256=sha256, stall_seconds=patience).run([server.url("/m")])
    assert_is_right(part, fetched)
    assert len(server.requests) <= 2
    assert fetched.transferred == SIZE


def test_a_connection_that_breaks_again_and_again_but_gets_on_is_not_given_up(server, part):
    server.serve("/m", CONTENT, faults=[Fault(close_after=400_000)] * 20)
    assert_is_right(part, download(part).run([server.url("/m")]))
    assert server.sent < 1.1 * SIZE


@pytest.mark.parametrize("coding", ["aws-chunked", "", "Identity", "identity, aws-chunked"])
def test_a_coding_that_leaves_the_bytes_alone_does_not_matter(server, part, coding):
    server.serve("/m", CONTENT, headers=[("Content-Encoding", coding)])
    assert_is_right(part, download(part).run([server.url("/m")]))


def test_nodes_that_give_one_file_different_etags_are_told_by_the_hash(server, part):
    faults = [Fault(close_after=1_250_000, headers=[("ETag", '"node %d"' % node)]) for node in range(2)]
    server.serve("/m", CONTENT, etag="", faults=[*faults, Fault(headers=[("ETag", '"node 2"')])])
    assert_is_right(part, download(part, sha256=SHA256).run([server.url("/m")]))
    assert ranges(server) == [None, "bytes=1250000-", "bytes=2500000-"]


def test_the_wrong_file_in_pieces_of_several_nodes_is_begun_again_only_once(server, part):
    breaks = [Fault(close_after=2_000_000, headers=[("ETag", '"node %d"' % node)]) for node in range(9)]
    whole = [Fault(headers=[("ETag", '"other"')])] * 9
    server.serve("/m", OTHER, etag="", faults=[fault for pair in zip(breaks, whole) for fault in pair])
    with pytest.raises(DownloadFailed, match="not the expected file"):
        download(part, sha256=SHA256).run([server.url("/m")])
    assert ranges(server) == [None, "bytes=2000000-"] * 2


@pytest.mark.parametrize("status", [429, 500, 503, 504])
def test_a_busy_server_is_asked_again_after_the_wait_it_asks_for(server, part, status):
    slept = []
    server.serve("/m", CONTENT, faults=[Fault(status=status, headers=[("Retry-After", "20")])])
    assert_is_right(part, download(part, sleep=slept.append).run([server.url("/m")]))
    assert sum(slept) == 20


@pytest.mark.parametrize(
    "fault", [Fault(status=404), Fault(status=403), Fault(headers=[("Content-Encoding", "aws-chunked, gzip")])]
)
def test_what_cannot_get_better_ends_at_once_and_leaves_nothing(server, part, fault):
    server.serve("/m", CONTENT, faults=[fault])
    with pytest.raises(DownloadFailed, match=r"127\.0\.0\.1"):
        download(part).run([server.url("/m")])
    assert len(server.requests) == 1
    assert os.listdir(part.parent) == []


def test_a_server_that_never_recovers_is_given_up_and_the_bytes_are_kept(server, part):
    server.serve("/m", CONTENT, faults=[Fault(close_after=1000)] + [Fault(status=503)] * 99)
    with pytest.raises(DownloadFailed, match="HTTP 503") as caught:
        download(part).run([server.url("/m")])
    assert len(server.requests) == ATTEMPTS
    assert "1000 bytes are kept in %s" % part in str(caught.value)
    assert part.read_bytes() == CONTENT[:1000]


def test_a_server_without_ranges_is_given_up_too(server, part):
    faults = [Fault(ignore_range=True, close_after=2 * 1024 * 1024)] * 99
    server.serve("/m", CONTENT, etag="", faults=faults)
    with pytest.raises(DownloadFailed):
        download(part).run([server.url("/m")])
    assert len(server.requests) <= 2 * ATTEMPTS


# ---- the server answers something else than what was asked for


@pytest.mark.parametrize("fault", [Fault(ignore_range=True), Fault(wrong_range=True)])
def test_another_piece_than_the_one_asked_for_is_not_joined(server, part, fault):
    server.serve("/m", CONTENT, faults=[Fault(close_after=1_000_000), fault])
    assert_is_right(part, download(part).run([server.url("/m")]))


@pytest.mark.parametrize("etag", [None, "", 'W/"weak"'], ids=["another ETag", "no ETag", "weak ETag"])
def test_two_versions_are_never_joined(server, part, etag):
    server.serve("/m", OTHER, etag=etag, faults=[Fault(close_after=1_000_000)])
    fetched = download(part, sleep=lambda _: server.serve("/m", CONTENT, etag=etag)).run([server.url("/m")])
    assert_is_right(part, fetched)


def test_a_server_that_ignores_if_range_is_caught_by_its_etag(server, part):
    server.serve("/m", OTHER, etag='"one"', faults=[Fault(close_after=1_000_000)])
    rude = [Fault(status=206, headers=[("ETag", '"two"'), ("Content-Range", "bytes 1000000-%d/%d" % (SIZE - 1, SIZE))])]
    fetched = download(part, sleep=lambda _: server.serve("/m", CONTENT, faults=rude and [rude.pop()]))
    assert_is_right(part, fetched.run([server.url("/m")]))


def test_a_file_that_shrank_is_begun_again(server, part):
    server.serve("/m", OTHER, etag="", faults=[Fault(close_after=1_000_000)])
    short = CONTENT[:500_000]
    wanted = hashlib.sha256(short).hexdigest()
    fetched = download(part, sleep=lambda _: server.serve("/m", short, etag=""), sha256=wanted).run([server.url("/m")])
    assert_is_right(part, fetched, short)


def test_a_piece_is_asked_for_only_of_the_same_file(server, part):
    server.serve("/m", CONTENT, etag='"one"', faults=[Fault(close_after=1_000_000)])
    download(part).run([server.url("/m")])
    assert [request.headers.get("if-range") for request in server.requests] == [None, '"one"']
    assert ranges(server) == [None, "bytes=1000000-"]


def test_a_length_that_is_never_reached_is_an_error(server, part):
    server.serve("/m", CONTENT, faults=[Fault(claim=SIZE + 5, ignore_range=True)] * 99)
    with pytest.raises(DownloadFailed):
        download(part).run([server.url("/m")])


def test_a_server_that_does_not_tell_the_length(server, part):
    server.serve("/m", CONTENT, faults=[Fault(no_length=True)])
    assert_is_right(part, download(part).run([server.url("/m")]))


def test_too_little_without_a_length_is_noticed_by_the_hash(server, part):
    server.serve("/m", CONTENT, faults=[Fault(no_length=True, close_after=1000)])
    assert_is_right(part, download(part, size=SIZE).run([server.url("/m")]))


def test_too_much_is_refused(server, part):
    server.serve("/m", CONTENT, faults=[Fault(no_length=True)])
    with pytest.raises(DownloadFailed, match="more than"):
        download(part, size=1000).run([server.url("/m")])
    assert not part.exists()


def test_another_size_than_expected_is_refused_before_the_transfer(server, part):
    server.serve("/m", CONTENT)
    with pytest.raises(DownloadFailed, match=str(SIZE)):
        download(part, size=SIZE + 1).run([server.url("/m")])
    assert not part.exists()


def test_the_wrong_file_is_thrown_away_and_both_hashes_are_named(server, part):
    server.serve("/m", OTHER)
    with pytest.raises(DownloadFailed) as caught:
        download(part, sha256=SHA256).run([server.url("/m")])
    assert SHA256 in str(caught.value)
    assert hashlib.sha256(OTHER).hexdigest() in str(caught.value)
    assert len(server.requests) == 1
    assert os.listdir(part.parent) == []


def test_a_file_for_which_there_is_no_room_is_refused(server, part):
    server.serve("/m", CONTENT, faults=[Fault(claim=2**60)])
    with pytest.raises(LlamaCppError, match="free"):
        download(part).run([server.url("/m")])
    assert len(server.requests) == 1


def test_room_is_needed_only_for_what_is_missing(server, part, monkeypatch):
    server.serve("/m", CONTENT, faults=[Fault(close_after=SIZE - 1000), Fault(status=404)])
    with pytest.raises(DownloadFailed):
        download(part).run([server.url("/m")])
    usage = type("usage", (), {"free": 1000})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    assert_is_right(part, download(part).run([server.url("/m")]))


def test_a_place_that_cannot_be_written(server, tmp_path):
    server.serve("/m", CONTENT)
    with pytest.raises(LlamaCppError, match="nowhere"):
        download(tmp_path / "nowhere" / "m.part").run([server.url("/m")])


# ---- later runs


def interrupted(server, part, after, **options):
    """A run that ends after so many bytes because whoever started it is gone."""

    class Leaving(Progress):
        def update(self, stage, done=0, *_, **__):
            if stage == "downloading" and done >= after:
                raise WatcherGone("gone")

    with pytest.raises(WatcherGone):
        download(part, progress=Leaving(), **options).run([server.url("/m")])
    return part.stat().st_size


@pytest.mark.parametrize("sha256", [None, SHA256], ids=["unknown hash", "known hash"])
def test_a_later_run_continues(server, part, sha256):
    server.serve("/m", CONTENT)
    kept = interrupted(server, part, 1_000_000, sha256=sha256)
    fetched = download(part, sha256=sha256).run([server.url("/m")])
    assert_is_right(part, fetched)
    assert fetched.transferred == SIZE - kept
    assert ranges(server) == [None, "bytes=%d-" % kept]


def test_a_complete_part_needs_no_request(server, part):
    server.serve("/m", CONTENT)
    download(part).run([server.url("/m")])
    fetched = download(part).run([server.url("/m")])
    assert_is_right(part, fetched)
    assert (fetched.transferred, len(server.requests)) == (0, 1)


def test_a_part_of_another_wanted_file_is_not_used(server, part):
    server.serve("/m", OTHER)
    interrupted(server, part, 1_000_000, sha256=hashlib.sha256(OTHER).hexdigest())
    server.serve("/m", CONTENT)
    assert_is_right(part, download(part, sha256=SHA256).run([server.url("/m")]))
    assert ranges(server) == [None, None]


def test_a_part_of_unknown_origin_is_not_used(server, part):
    server.serve("/m", CONTENT)
    part.write_bytes(OTHER[:1000])
    assert_is_right(part, download(part).run([server.url("/m")]))


def test_a_part_from_another_address_is_used_only_if_the_hash_can_prove_it(server, part):
    server.serve("/m", CONTENT)
    server.serve("/copy", CONTENT)
    kept = interrupted(server, part, 1_000_000)
    assert download(part).run([server.url("/copy")]).transferred == SIZE
    part.unlink()
    kept = interrupted(server, part, 1_000_000, sha256=SHA256)
    assert download(part, sha256=SHA256).run([server.url("/copy")]).transferred == SIZE - kept


def test_a_damaged_part_is_noticed_and_fetched_again(server, part):
    server.serve("/m", CONTENT)
    kept = interrupted(server, part, 1_000_000, sha256=SHA256)
    part.write_bytes(bytes(kept))
    assert_is_right(part, download(part, sha256=SHA256).run([server.url("/m")]))


def test_interrupted_while_it_looks_at_the_part_it_loses_nothing(server, part):
    server.serve("/m", CONTENT)
    kept = interrupted(server, part, 1_000_000)

    class Interrupted(Progress):
        def update(self, stage, *_, **__):
            raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            download(part, progress=Interrupted()).run([server.url("/m")])
    assert download(part).run([server.url("/m")]).transferred == SIZE - kept


@pytest.mark.parametrize(
    "headers", [[("Content-Range", "bytes x")], [("Content-Range", "bytes 1000000-2/" + "9" * 5000)]]
)
def test_absurd_headers_are_no_crash(server, part, headers):
    absurd = Fault(status=206, headers=headers)
    server.serve("/m", CONTENT, faults=[Fault(close_after=1_000_000), absurd])
    assert_is_right(part, download(part).run([server.url("/m")]))


@pytest.mark.parametrize("note", ["", "[]", "{", "null"])
def test_a_damaged_note_only_costs_the_bytes(server, part, note):
    server.serve("/m", CONTENT)
    interrupted(server, part, 1_000_000)
    (part.parent / "model.gguf.part.json").write_text(note)
    assert_is_right(part, download(part).run([server.url("/m")]))


# ---- several sources


def test_the_first_source_that_works_is_used(server, part):
    server.serve("/mirror", CONTENT)
    server.serve("/m", CONTENT)
    fetched = download(part, sha256=SHA256).run([server.url("/mirror"), server.url("/m")])
    assert fetched.url == server.url("/mirror")
    assert server.requests_for("/m") == []


@pytest.mark.parametrize(
    "faults",
    [
        [Fault(status=404)],
        [Fault(status=503)] * 99,
        [Fault(wrong_bytes=True)],
        [Fault(close_after=1_000_000)] + [Fault(status=503)] * 99,
        [Fault(wrong_bytes=True, close_after=1_000_000)] + [Fault(status=503)] * 99,
        [Fault(claim=2**50)],
    ],
    ids=["absent", "down", "wrong", "vanishing", "wrong and vanishing", "boastful"],
)
def test_a_bad_mirror_is_left_for_the_next_source(server, part, faults):
    server.serve("/mirror", CONTENT, faults=faults)
    server.serve("/m", CONTENT)
    urls = [server.url("/mirror"), server.url("/m")]
    assert_is_right(part, download(part, sha256=SHA256, size=SIZE).run(urls))
    assert len(server.requests_for("/mirror")) <= 4


def test_a_size_that_only_a_mirror_tells_does_not_keep_from_the_next_source(server, part):
    server.serve("/mirror", CONTENT, faults=[Fault(claim=2**60)])
    server.serve("/m", CONTENT)
    assert_is_right(part, download(part, sha256=SHA256).run([server.url("/mirror"), server.url("/m")]))


def test_a_file_without_an_end_does_not_fill_the_disk(server, part, monkeypatch):
    monkeypatch.setattr(fetching, "UNTOLD", 100_000)
    monkeypatch.setattr(fetching, "READ_BYTES", 10_000)
    usage = type("usage", (), {"free": property(lambda _: SIZE // 2 - os.path.getsize(part))})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage())
    server.serve("/m", CONTENT, faults=[Fault(no_length=True)] * 2)
    with pytest.raises(DownloadFailed, match="free"):
        download(part).run([server.url("/m")])
    assert os.listdir(part.parent) == []


def test_every_source_is_named_when_all_fail(server, part):
    server.serve("/m", CONTENT, faults=[Fault(status=403)])
    with pytest.raises(DownloadFailed) as caught:
        download(part, sha256=SHA256).run([server.url("/none", host="localhost"), server.url("/m")])
    assert "localhost answered HTTP 404" in str(caught.value)
    assert "127.0.0.1 answered HTTP 403" in str(caught.value)


def test_progress_is_told(server, part, tmp_path):
    server.serve("/m", CONTENT)
    state = tmp_path / "progress"
    download(part, progress=Progress(str(state), "tiny", interval=0)).run([server.url("/m")])
    told = json.loads(state.read_text())
    assert (told["subject"], told["stage"], told["unit"]) == ("tiny", "downloading", "bytes")
    assert (told["done"], told["total"]) == (SIZE, SIZE)
