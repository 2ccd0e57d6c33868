# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The gateway: a real HAProxy with the configuration of the collection, in front of hosts on loopback addresses."""

import collections
import http.client
import json
import re
import ssl
import statistics
import threading
import time
import urllib.request

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.base.wait import wait_until
from ansible_collections.macos_setup.llm.plugins.module_utils.gateway.rotation import Rotation
from support.gateway import HOSTS_KEY, KEYS, FakeHost, fleet
from support.haproxy import HAPROXY
from support.planning import MODEL
from support.scripted_server import self_signed

pytestmark = pytest.mark.skipif(HAPROXY is None, reason="There is no HAProxy on this machine.")

OTHER = {"url": "https://models.example/other.gguf"}
WAIT_SECONDS = 20
LIMIT = 1024 * 1024
CURRENT_QUEUE = re.compile(r'haproxy_(server|backend)_current_queue\{proxy="model_tiny"')


@pytest.fixture(scope="module")
def three():
    """Three hosts with one model, the first with another one besides."""
    models = {"mini1": {"tiny": {**MODEL, "aliases": ["small"]}, "other": OTHER}}
    with fleet("mini1", "mini2", "mini3", models=models) as found:
        yield found


@pytest.fixture
def gateway(three):
    for host in three[1].values():
        host.asked.clear()
    return three[0]


@pytest.fixture
def hosts(three):
    return three[1]


def asked(hosts):
    return [request for host in hosts.values() for request in host.asked]


def together(count, ask):
    """The results of ``ask(index)`` from ``count`` threads, in the order of their indexes."""
    results = [None] * count

    def one(index):
        results[index] = ask(index)

    threads = [threading.Thread(target=one, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_a_long_conversation_goes_to_the_host_that_has_its_model_however_late_it_is_named(gateway, hosts):
    for length in (100, 300_000, 1_000_000):
        body = json.dumps({"messages": [{"role": "user", "content": "x" * length}], "model": "other"})
        assert gateway.ask(body).host == "mini1"
    assert len(hosts["mini1"].asked[-1][2]) > 1_000_000
    assert not hosts["mini2"].asked and not hosts["mini3"].asked


def test_aliases_and_paths_name_a_model_too(gateway, hosts):
    assert {gateway.ask(model="small").status, gateway.ask(path="/m/small/v1/chat/completions").status} == {200}
    assert gateway.ask(b"no json", path="/m/other/v1/audio/transcriptions").host == "mini1"
    assert hosts["mini1"].asked[-1][0] == "/v1/audio/transcriptions"
    assert gateway.ask(method="GET", path="/m/other/props").host == "mini1"
    assert hosts["mini1"].asked[-1][0] == "/props?model=other"


def test_a_name_inside_a_message_is_none(gateway):
    body = '{"messages": [{"model": "other"}], "model": "nobody"}'
    assert "nobody" in gateway.ask(body).error["message"]


def test_hosts_are_told_their_own_key_and_none_of_the_clients(gateway, hosts):
    assert gateway.ask().status == 200
    assert gateway.ask(key=None, headers={"X-Api-Key": KEYS["jobs"]}, path="/v1/messages").status == 200
    for _path, headers, _body in asked(hosts):
        assert headers.get_all("Authorization") == [f"Bearer {HOSTS_KEY}"]
        assert "X-Api-Key" not in headers
    assert not [key for key in [*KEYS.values(), HOSTS_KEY] if key in gateway.log.read_text() + gateway.file.read_text()]


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        ({"key": "of somebody else"}, 401, "invalid_api_key"),
        ({"key": None}, 401, "invalid_api_key"),
        ({"model": "nobody"}, 404, "model_not_found"),
        ({"path": "/m/nobody/v1/chat/completions"}, 404, "model_not_found"),
        ({"body": b"hello"}, 400, "invalid_json"),
        ({"body": b'{"model": "tiny", "messages": ['}, 400, "invalid_json"),
        ({"body": b"[1]"}, 400, "invalid_json"),
        ({"body": b""}, 400, "invalid_json"),
        ({"body": b'{"messages": []}'}, 400, "missing_model"),
        ({"body": b"{" + b"x" * LIMIT}, 413, "request_too_large"),
        ({"body": b"{" + b"x" * LIMIT, "path": "/m/tiny/v1/audio/transcriptions"}, 413, "request_too_large"),
        ({"path": "/models/load"}, 404, "unknown_path"),
        ({"method": "GET", "path": "/slots"}, 404, "unknown_path"),
        ({"method": "GET", "path": "/m/tiny/slots"}, 404, "unknown_path"),
        ({"method": "DELETE", "path": "/v1/stream"}, 404, "unknown_path"),
        ({"path": "/m/tiny/v1/streams/lookup"}, 404, "unknown_path"),
        ({"path": "/v1/%73treams/lookup"}, 404, "unknown_path"),
        ({"path": "/m/tiny/v1/%73treams/lookup"}, 404, "unknown_path"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_wrong_reaches_no_host(gateway, hosts, request_, status, code):
    reply = gateway.ask(**request_)
    assert (reply.status, reply.error["code"]) == (status, code)
    assert reply.headers["Content-Type"] == "application/json" and json.loads(reply.text)["type"] == "error"
    assert not asked(hosts)


def test_an_unknown_model_is_answered_with_those_that_there_are(gateway):
    message = gateway.ask(json.dumps({"model": 'a"\\%' + "x" * 500})).error["message"]
    assert message.startswith('The model a"\\%x') and message.endswith("The gateway has: other, tiny.")
    assert len(message) < 250


def test_a_body_that_does_not_tell_its_length_has_the_same_limit(gateway, hosts):
    pieces = (b" " * 65536 for _ in range(100))
    assert gateway.ask(pieces, encode_chunked=True, headers={"Transfer-Encoding": "chunked"}).status == 413
    assert not asked(hosts)


def test_a_hundred_megabytes_are_refused_before_they_are_sent(gateway, hosts):
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
    connection.putrequest("POST", "/v1/chat/completions")
    connection.putheader("Authorization", f"Bearer {KEYS['anna']}")
    connection.putheader("Content-Length", "100000000")
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()
    assert not asked(hosts)


def test_all_models_are_in_one_list(gateway, hosts):
    reply = gateway.ask(method="GET", path="/v1/models")
    listed = json.loads(reply.text)["data"]
    assert [(model["id"], model["aliases"]) for model in listed] == [("other", []), ("tiny", ["small"])]
    assert gateway.ask(method="GET", path="/v1/models", key=None).status == 401
    assert not asked(hosts)


def test_ten_conversations_at_once_stay_where_their_caches_are(gateway, hosts):
    def turn():
        return together(10, lambda index: gateway.ask(conversation=f"conversation {index}").host)

    first = turn()
    assert set(first) == set(hosts)
    assert [turn() for _ in range(4)] == [first] * 4


def test_a_conversation_leaves_a_host_that_is_overloaded(gateway, hosts):
    home = gateway.ask(conversation="long").host
    hosts[home].free.clear()
    # As many as it computes at once, and as many again that wait for it.
    crowd = [threading.Thread(target=gateway.ask, kwargs={"conversation": "long"}) for _ in range(4)]
    for thread in crowd:
        thread.start()
    assert wait_until(lambda: len(hosts[home].asked) == 3 and queued(gateway) == 2, WAIT_SECONDS, 0.02)
    assert gateway.ask(conversation="long").host != home
    hosts[home].free.set()
    for thread in crowd:
        thread.join()


def queued(gateway):
    """How many requests wait for a host."""
    url = f"http://127.0.0.1:{gateway.statistics_port}/metrics"
    with urllib.request.urlopen(url) as reply:
        lines = reply.read().decode().splitlines()
    return sum(int(line.split()[-1]) for line in lines if CURRENT_QUEUE.match(line))


def test_the_log_tells_who_asked_which_model_of_which_host_and_for_how_much(gateway):
    reply, line = gateway.logs(lambda: gateway.ask(conversation="secret text"))
    found = {name: line[name] for name in ("client", "model", "host", "status", "prompt_tokens", "completion_tokens")}
    wanted = {"client": "anna", "model": "tiny", "host": reply.host, "status": 200}
    assert found == {**wanted, "prompt_tokens": 8, "completion_tokens": 2}
    assert line["path"] == "/v1/chat/completions" and abs(line["time"] - time.time()) < 60
    assert 0 <= line["first_byte_ms"] <= line["total_ms"]
    assert "secret text" not in gateway.log.read_text()


TIMINGS = b'"timings":{"cache_n":40,"prompt_n":9,"prompt_ms":1.5,"predicted_n":120}'


@pytest.mark.parametrize(
    ("pieces", "tokens"),
    [
        # llama-server's last event without and with `stream_options.include_usage`, in two pieces; its own completion.
        ([b'data: {"choices":[{"delta":{"content":"Yes"}}]}\n\n', b"data: {" + TIMINGS + b"}\n\n"], (49, 120)),
        ([b'data: {"usage":{"completion_tokens":12', b'3,"prompt_tokens":4567},' + TIMINGS + b"}\n\n"], (4567, 123)),
        ([b'data: {"content":"","stop":true,' + TIMINGS + b"}\n\n"], (49, 120)),
        # Anthropic's: what was cached is not in its input_tokens.
        (
            [
                b'data: {"usage":{"cache_read_input_tokens":40,"input_tokens":9,"output_tokens":0}}\n\n',
                b'data: {"usage":{"output_tokens":7}}\n\n',
            ],
            (49, 7),
        ),
        # One that ended early, and a text that looks like numbers.
        ([b'data: {"usage":{"input_tokens":9,"output_tokens":0}}\n\n'], (9, None)),
        ([b'data: {"choices":[{"delta":{"content":"{\\"prompt_tokens\\":5}"}}]}\n\n'], (None, None)),
    ],
    ids=["timings", "usage", "completion", "anthropic", "cut", "text"],
)
def test_the_log_tells_the_tokens_of_a_stream(gateway, hosts, pieces, tokens):
    for host in hosts.values():
        host.pieces = pieces
    try:
        reply, line = gateway.logs(gateway.ask)
    finally:
        for host in hosts.values():
            host.pieces = None
    assert (line["prompt_tokens"], line["completion_tokens"]) == tokens
    assert reply.text.encode() == b"".join(pieces)


def test_a_line_of_the_log_is_whole_however_long_its_parts_are(gateway):
    path = "/m/" + '"' * 300 + "/v1/chat/completions"
    for reply, line in (
        gateway.logs(lambda: gateway.ask(json.dumps({"model": "\1" * 400}))),
        gateway.logs(lambda: gateway.ask(path=path)),
    ):
        assert (reply.status, line["status"]) == (404, 404)


def test_pages_in_a_browser_may_call_if_the_hosts_let_them(gateway, hosts):
    page = "http://localhost:3000"
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,x-stainless-os"}
    preflight = gateway.ask(method="OPTIONS", key=None, headers={"Origin": page, **asks})
    assert preflight.status == 200 and "POST" in preflight.headers["Access-Control-Allow-Methods"]
    assert preflight.headers["Access-Control-Allow-Headers"] == asks["Access-Control-Request-Headers"]
    for more in ({}, {"method": "GET", "path": "/v1/models"}, {"key": None}, {"model": "nobody"}):
        assert gateway.ask(headers={"Origin": page}, **more).headers.get_all("Access-Control-Allow-Origin") == [page]
    for origin in ("http://evil.example", "http://localhost.evil.example", "null"):
        for more in ({}, {"method": "OPTIONS", "key": None}):
            reply = gateway.ask(headers={"Origin": origin}, **more)
            assert "Access-Control-Allow-Origin" not in reply.headers
    assert not [headers for _path, headers, body in asked(hosts) if not body]


def test_a_client_that_leaves_ends_its_request_at_the_host_too(gateway, hosts):
    home = gateway.ask(conversation="left").host
    hosts[home].free.clear()
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
    headers = {"Authorization": f"Bearer {KEYS['anna']}", "X-LLM-Conversation": "left"}
    connection.request("POST", "/v1/chat/completions", '{"model": "tiny"}', headers)
    assert wait_until(lambda: len(hosts[home].asked) == 2, WAIT_SECONDS, 0.02)
    connection.close()
    try:
        assert wait_until(lambda: gateway.logged()[-1]["ended"].startswith("C"), WAIT_SECONDS, 0.02)
    finally:
        hosts[home].free.set()


def test_a_token_is_not_held_back_until_the_next_one_comes(gateway, hosts):
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
    body = json.dumps({"model": "other", "stream": True})
    connection.request("POST", "/v1/chat/completions", body, {"Authorization": f"Bearer {KEYS['anna']}"})
    response = connection.getresponse()
    waited = []
    while True:
        begun = time.monotonic()
        if not response.read1():
            break
        waited.append(time.monotonic() - begun)
        hosts["mini1"].heard.release()
    connection.close()
    # Linux holds a packet back for 200 ms; one that a busy machine keeps is not every one.
    assert len(waited) == FakeHost.PIECES and statistics.median(waited) < 0.1


def test_health_needs_no_key(gateway):
    assert gateway.ask(method="GET", path="/health", key=None).status == 200


def test_it_serves_https(tmp_path):
    certificate, authority = self_signed(tmp_path)
    with fleet("mini1", certificate=str(certificate)) as (gateway, _hosts):
        request = urllib.request.Request(f"https://127.0.0.1:{gateway.port}/v1/models")
        request.add_header("Authorization", f"Bearer {KEYS['anna']}")
        with urllib.request.urlopen(request, context=ssl.create_default_context(cafile=authority)) as reply:
            assert [model["id"] for model in json.load(reply)["data"]] == ["tiny"]


def test_a_host_that_dies_costs_no_new_request_and_is_used_again():
    with fleet("mini1", "mini2") as (gateway, hosts):
        over, failures, answered = threading.Event(), [], collections.Counter()

        def keep_asking(index):
            while not over.is_set():
                begun = time.monotonic()
                reply = gateway.ask(conversation=f"conversation {index}")
                answered[reply.host] += 1
                if reply.status != 200:
                    failures.append((begun, reply.text))

        threads = [threading.Thread(target=keep_asking, args=(index,)) for index in range(4)]
        for thread in threads:
            thread.start()
        try:
            assert wait_until(lambda: min(answered["mini1"], answered["mini2"]) > 20, WAIT_SECONDS, 0.02)
            hosts["mini1"].stop()
            killed = time.monotonic()
            assert wait_until(lambda: is_down(gateway, "mini1"), WAIT_SECONDS, 0.05)
            hosts["mini1"].start()
            assert wait_until(lambda: not is_down(gateway, "mini1"), WAIT_SECONDS, 0.05)
        finally:
            over.set()
            for thread in threads:
                thread.join()
        assert not [text for begun, text in failures if begun > killed]
        assert {gateway.ask(conversation=f"new {index}").host for index in range(6)} == set(hosts)
        hosts["mini1"].stop()
        hosts["mini2"].stop()
        assert wait_until(lambda: all(is_down(gateway, name) for name in hosts), WAIT_SECONDS, 0.05)
        reply = gateway.ask()
        assert (reply.status, reply.error["code"]) == (503, "no_host") and int(reply.headers["Retry-After"]) > 0
        assert gateway.ask(method="GET", path="/health", key=None).status == 503


def is_down(gateway, host):
    return gateway.haproxy.hosts()[host]["model_tiny"].startswith("DOWN")


def test_a_host_whose_watchdog_gets_no_token_or_that_is_drained_is_asked_nothing_new():
    with fleet("mini1", "mini2", agents=True) as (gateway, hosts):
        hosts["mini1"].memory = hosts["mini1"].memory._replace(state="given up")  # whose last word means something else
        assert wait_until(lambda: is_down(gateway, "mini1"), WAIT_SECONDS, 0.05)
        assert {gateway.ask(conversation=str(index)).host for index in range(4)} == {"mini2"}
        hosts["mini1"].memory = hosts["mini1"].memory._replace(state="answering")
        assert wait_until(lambda: not is_down(gateway, "mini1"), WAIT_SECONDS, 0.05)
        home = gateway.ask(conversation="long").host
        hosts[home].free.clear()
        running = []
        thread = threading.Thread(target=lambda: running.append(gateway.ask(conversation="long")))
        thread.start()
        assert wait_until(lambda: hosts[home].asked[-1:] and queued(gateway) == 0, WAIT_SECONDS, 0.02)
        hosts[home].drain_file.touch()
        assert wait_until(lambda: is_down(gateway, home), WAIT_SECONDS, 0.05)
        # The conversation goes on elsewhere, and what had begun there ends well.
        assert gateway.ask(conversation="long").host not in (home, None)
        hosts[home].free.set()
        thread.join()
        assert [(reply.status, reply.host) for reply in running] == [(200, home)]


def test_a_queue_has_an_end_and_jobs_wait_behind_people():
    with fleet("mini1", slots=1, queue=4) as (gateway, hosts):
        mini = hosts["mini1"]
        mini.free.clear()
        replies, lock = [], threading.Lock()

        def ask(key, number):
            reply = gateway.ask(key=KEYS[key], conversation=str(number))
            with lock:
                replies.append((key, reply.status))

        threads = []
        # The first is computed; then two jobs wait, and two people who came after them.
        for number, key in enumerate(("anna", "jobs", "jobs", "anna", "anna")):
            threads.append(threading.Thread(target=ask, args=(key, number)))
            threads[-1].start()
            assert wait_until(lambda number=number: queued(gateway) == number and mini.asked, WAIT_SECONDS, 0.02)
        full = gateway.ask()
        assert (full.status, full.error["code"]) == (503, "queue_full") and int(full.headers["Retry-After"]) > 0
        mini.free.set()
        for thread in threads:
            thread.join()
        assert {status for _key, status in replies} == {200}
        # As the host saw them: the log may tell of two at once in another order, and a moment later.
        assert [headers["X-LLM-Conversation"] for _path, headers, _body in mini.asked] == ["0", "3", "4", "1", "2"]


def test_a_client_has_so_many_requests_in_a_minute_and_at_once():
    limits = [
        {"name": "anna", "key": KEYS["anna"], "requests_per_minute": 5},
        {"name": "jobs", "key": KEYS["jobs"], "parallel": 2},
    ]
    with fleet("mini1", slots=8, clients=limits) as (gateway, hosts):
        replies = [gateway.ask() for _ in range(8)]
        assert [reply.status for reply in replies] == [200] * 5 + [429] * 3
        assert replies[-1].error["code"] == "rate_limit_exceeded" and int(replies[-1].headers["Retry-After"]) > 0
        hosts["mini1"].free.clear()
        threads = [threading.Thread(target=gateway.ask, kwargs={"key": KEYS["jobs"]}) for _ in range(2)]
        for thread in threads:
            thread.start()
        assert wait_until(lambda: len(hosts["mini1"].asked) == 7, WAIT_SECONDS, 0.02)
        assert gateway.ask(key=KEYS["jobs"]).error["code"] == "too_many_requests"
        hosts["mini1"].free.set()
        for thread in threads:
            thread.join()
        assert gateway.ask(key=KEYS["jobs"]).status == 200


def test_a_reload_under_load_loses_no_request_and_no_conversation():
    with fleet("mini1", "mini2") as (gateway, hosts):
        before = [gateway.ask(conversation=f"quiet {index}").host for index in range(6)]
        hosts["mini1"].free.clear()
        hosts["mini2"].free.clear()
        long_answers = []
        slow = threading.Thread(target=lambda: long_answers.append(gateway.ask(conversation="slow")))
        slow.start()
        assert wait_until(lambda: sum(len(host.asked) for host in hosts.values()) == 7, WAIT_SECONDS, 0.02)
        over, statuses = threading.Event(), collections.Counter()

        def keep_asking(_index):
            while not over.is_set():
                statuses[gateway.ask(method="GET", path="/v1/models").status] += 1

        load = threading.Thread(target=together, args=(3, keep_asking))
        load.start()
        wanted = gateway.configure(gateway.described, queue=7)
        assert gateway.haproxy.fingerprint() != wanted
        assert gateway.haproxy.converge(wanted, check_only=True) and gateway.haproxy.fingerprint() != wanted
        assert gateway.haproxy.converge(wanted, check_only=False)
        assert gateway.haproxy.fingerprint() == wanted
        assert not gateway.haproxy.converge(wanted, check_only=False)
        over.set()
        load.join()
        for host in hosts.values():
            host.free.set()
        slow.join()
        assert set(statuses) == {200}
        assert [reply.status for reply in long_answers] == [200]
        assert [gateway.ask(conversation=f"quiet {index}").host for index in range(6)] == before


def test_a_host_goes_out_of_rotation_when_its_answers_have_ended_and_comes_back():
    with fleet("mini1", "mini2") as (gateway, hosts):
        home = gateway.ask(conversation="long").host
        (other,) = set(hosts) - {home}
        hosts[home].free.clear()
        running = []
        thread = threading.Thread(target=lambda: running.append(gateway.ask(conversation="long")))
        thread.start()
        assert wait_until(lambda: len(hosts[home].asked) == 2, WAIT_SECONDS, 0.02)
        # The answer goes on in the process before the reload, and the one after it knows what was said to that.
        rotation = Rotation(gateway.haproxy, home)
        with pytest.raises(LlamaCppError, match="still has 1 running answers"):
            rotation.take_away(0)
        assert gateway.haproxy.converge(gateway.configure(gateway.described, queue=7), check_only=False)
        assert rotation.is_away and gateway.haproxy.running(home) == 1
        assert {gateway.ask(conversation=str(index)).host for index in range(4)} == {other}
        with pytest.raises(LlamaCppError, match=rf"{home} \(MAINT\)"):
            Rotation(gateway.haproxy, other).last_of()
        hosts[home].free.set()
        assert rotation.take_away(WAIT_SECONDS) == 0
        thread.join()
        assert [(reply.status, reply.host) for reply in running] == [(200, home)]
        rotation.put_back(WAIT_SECONDS, 1)
        assert {gateway.ask(conversation=f"new {index}").host for index in range(4)} == set(hosts)
