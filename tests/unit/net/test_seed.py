# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""A host that has its models lets others fetch them; whatever goes wrong there, the origin is still asked."""

import hashlib
import os
import urllib.error
import urllib.request

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base import processes
from ansible_collections.macos_setup.llm.plugins.module_utils.base.wait import wait_until
from ansible_collections.macos_setup.llm.plugins.module_utils.models.source import WebSource
from ansible_collections.macos_setup.llm.plugins.module_utils.net.http import AddressRefused, Web
from ansible_collections.macos_setup.llm.plugins.module_utils.net.seed import Seed
from support.fault_server import Fault, FaultServer
from support.model_factory import model_bytes
from support.models import install
from support.modules import run_module

pytestmark = pytest.mark.processes

SIZE = 2 * 1024 * 1024
MODEL, OTHER = model_bytes(SIZE, seed=1), model_bytes(SIZE, seed=2)
SHA256 = hashlib.sha256(MODEL).hexdigest()


@pytest.fixture
def origin():
    with FaultServer() as running:
        running.serve("/m.gguf", MODEL)
        yield running


def fetched(origin, path, seed=None, **demands):
    web = Web(timeout=5, neighbour=seed and seed.url)
    return install(path, WebSource(origin.url("/m.gguf"), web, seed=seed), **demands)


@pytest.fixture
def model(origin, tmp_path):
    """The model as the seed has it, fetched from the origin."""
    path = tmp_path / "seed" / "m.gguf"
    fetched(origin, path)
    origin.sent = 0
    return path


class Started:
    def __init__(self, result):
        self.offer, self.process = result["offer"], result["process"]

    @property
    def seed(self):
        return Seed(**self.offer)

    @property
    def runs(self):
        return processes.identity(self.process["pid"]) == self.process["identity"]

    def ask(self, sha256=SHA256, token=None, **headers):
        address = "{}{}?{}".format(self.offer["url"], sha256, token or self.offer["token"])
        request = urllib.request.Request(address, headers={name.replace("_", "-"): v for name, v in headers.items()})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read()

    def stop(self):
        return run_module("seed", {"state": "stopped", "process": self.process})


@pytest.fixture
def started(model):
    running = Started(run_module("seed", {"state": "started", "models": [str(model)]}))
    yield running
    running.stop()


def test_it_offers_what_was_verified_and_nothing_else(model, origin, tmp_path):
    foreign = tmp_path / "seed" / "foreign.gguf"
    foreign.write_bytes(OTHER)
    paths = [str(model), str(foreign), str(tmp_path / "none.gguf")]
    running = Started(run_module("seed", {"state": "started", "models": paths}))
    assert running.offer["files"] == [{"sha256": SHA256, "origin": origin.url("/m.gguf")}]
    assert running.stop()["changed"] is False
    assert wait_until(lambda: not running.runs, 10)
    assert running.stop()["changed"] is False


def test_with_nothing_to_offer_and_in_check_mode_no_server_runs(model):
    assert run_module("seed", {"state": "started"})["process"] is None
    assert run_module("seed", {"state": "started", "models": [str(model)]}, check=True)["process"] is None


def test_it_listens_on_the_address_at_which_the_controller_came(model):
    wanted = {"state": "started", "models": [str(model)]}
    running = Started(run_module("seed", wanted, environment={"SSH_CONNECTION": "192.0.2.1 50000 127.0.0.2 22"}))
    try:
        assert running.offer["url"].startswith("http://127.0.0.2:")
        assert running.ask() == (200, MODEL)
    finally:
        running.stop()


@pytest.mark.parametrize("address", ["192.0.2.7", "a..b"])
def test_an_address_of_another_machine_is_refused_and_the_variable_named(model, address):
    result = run_module("seed", {"state": "started", "models": [str(model)], "address": address})
    assert address in result["msg"]
    assert "llama_cpp_seed_address" in result["msg"]


def test_its_token_is_in_no_command_line(started):
    assert not processes.find(lambda process: process.mentions(started.offer["token"]))


@pytest.mark.parametrize(
    "wrong",
    [{"token": "guess"}, {"token": "é".encode().decode("latin-1")}, {"sha256": "0" * 64}, {"sha256": "../m.gguf"}],
)
def test_who_does_not_know_what_to_ask_finds_nothing(started, wrong):
    with pytest.raises((urllib.error.HTTPError, UnicodeError)) as caught:
        started.ask(**wrong)
    assert getattr(caught.value, "code", 404) == 404


def test_pieces(started):
    assert started.ask(Range="bytes=1000-") == (206, MODEL[1000:])
    assert started.ask(Range="bytes=1000-", If_Range='"%s"' % SHA256) == (206, MODEL[1000:])
    assert started.ask(Range="bytes=1000-", If_Range='"another"') == (200, MODEL)
    with pytest.raises(urllib.error.HTTPError, match="416"):
        started.ask(Range="bytes=%d-" % SIZE)


def test_a_file_that_changed_is_served_no_more(started, model):
    os.utime(model, (1, 1))
    with pytest.raises(urllib.error.HTTPError, match="404"):
        started.ask()


def test_it_ends_by_itself_when_nobody_fetches(model):
    running = Started(run_module("seed", {"state": "started", "models": [str(model)], "idle_seconds": 1}))
    assert running.ask() == (200, MODEL)
    assert wait_until(lambda: not running.runs, 20)


# ---- the hosts that fetch


@pytest.mark.parametrize("sha256", [None, SHA256], ids=["unknown hash", "known hash"])
def test_others_fetch_from_it_and_the_origin_sends_nothing(started, origin, tmp_path, sha256):
    result = fetched(origin, tmp_path / "other" / "m.gguf", started.seed, sha256=sha256)
    assert (result["changed"], result["sha256"], result["transferred"]) == (True, SHA256, SIZE)
    assert (result["origin"], result["warnings"]) == (origin.url("/m.gguf"), [])
    assert origin.sent == 0


def test_what_is_in_place_is_not_judged_by_what_the_seed_has(started, origin, tmp_path):
    path = tmp_path / "other.gguf"
    path.write_bytes(OTHER)
    result = fetched(origin, path, started.seed)
    assert (result["changed"], result["verified"]) == (False, True)


def test_what_the_seed_does_not_have_comes_from_the_origin(started, origin, tmp_path):
    origin.serve("/m.gguf", OTHER)
    wanted = hashlib.sha256(OTHER).hexdigest()
    result = fetched(origin, tmp_path / "other" / "m.gguf", started.seed, sha256=wanted)
    assert (result["sha256"], result["warnings"]) == (wanted, [])


def test_a_seed_that_vanished_costs_a_warning_and_no_secret_is_in_it(started, origin, tmp_path):
    started.stop()
    result = fetched(origin, tmp_path / "other" / "m.gguf", started.seed)
    assert (result["changed"], result["sha256"]) == (True, SHA256)
    assert "fetched from its origin" in result["warnings"][0]
    assert started.offer["token"] not in result["warnings"][0]


@pytest.mark.parametrize("sha256", [None, SHA256], ids=["unknown hash", "known hash"])
@pytest.mark.parametrize(
    "faults",
    [
        [Fault(wrong_bytes=True)],
        [Fault(close_after=1_000_000), Fault(status=404)],
        [Fault(wrong_bytes=True, close_after=1_000_000), Fault(status=404)],
        [Fault(claim=SIZE + 1)] * 9,
        [Fault(status=302, headers=[("Location", "http://192.0.2.1/m.gguf")])],
    ],
    ids=["wrong bytes", "vanishing", "wrong and vanishing", "another length", "leading astray"],
)
def test_a_bad_seed_costs_only_time(origin, tmp_path, faults, sha256):
    path = tmp_path / "other" / "m.gguf"
    with FaultServer() as bad:
        bad.serve("/" + SHA256, MODEL, faults=faults)
        seed = Seed(bad.url("/"), "token", ({"sha256": SHA256, "origin": origin.url("/m.gguf")},))
        result = fetched(origin, path, seed, sha256=sha256)
    assert (result["changed"], result["sha256"], len(result["warnings"])) == (True, SHA256, 1)
    assert path.read_bytes() == MODEL
    assert sorted(os.listdir(path.parent)) == [".llama_cpp", "m.gguf"]


def test_only_the_seed_may_be_asked_in_plain_http():
    web = Web(neighbour="http://192.0.2.9:8000/")
    assert web.accepted("http://192.0.2.9:8000/abc?token")
    for other in ("http://192.0.2.9:8001/", "http://192.0.2.8:8000/"):
        with pytest.raises(AddressRefused):
            web.accepted(other)
