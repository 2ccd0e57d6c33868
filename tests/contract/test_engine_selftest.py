# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The shipped self-test model in a real llama-server, and the stand-in compared with the real thing."""

import concurrent.futures
import json
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.base.files import sha256_of
from ansible_collections.macos_setup.llm.plugins.module_utils.engine.selftest import (
    ARGUMENTS,
    WrongAnswers,
    ask_all,
    check_engine,
    known_answers,
)
from ansible_collections.macos_setup.llm.plugins.module_utils.engine.temporary_server import TemporaryServer
from support.fake_server_process import FAKE
from support.modules import run_module
from support.paths import REPOSITORY

DIRECTORY = REPOSITORY / "roles" / "llama_cpp" / "files" / "selftest"
MODEL, ANSWERS = str(DIRECTORY / "selftest.gguf"), str(DIRECTORY / "answers.json")
FRANCE = {"role": "user", "content": "What is the capital of France?"}


@pytest.fixture(scope="module")
def binary(engine):
    return str(engine / "llama-server")


@pytest.fixture(scope="module")
def server(binary):
    with TemporaryServer(binary, MODEL, [*ARGUMENTS, "--alias", "selftest"]) as running:
        yield running


def answer(server, *messages, **options):
    reply = server.chat(list(messages), max_tokens=60, **{"temperature": 0, **options})
    return reply["choices"][0]["message"]["content"]


def damaged(directory, position):
    """A copy of the model in which 1 KiB of the weights, at ``position`` (0 to 1) of the file, is in reverse order."""
    content = bytearray(Path(MODEL).read_bytes())
    begin = int(len(content) * position)
    content[begin : begin + 1024] = reversed(content[begin : begin + 1024])
    path = directory / "damaged.gguf"
    path.write_bytes(content)
    return str(path)


# The shipped model


def test_model_and_answers_belong_together():
    known = known_answers(ANSWERS)
    assert (known["model"], known["sha256"]) == ("selftest.gguf", sha256_of(MODEL))
    pairs = {pair["question"]: pair["answer"] for pair in known["answers"]}
    assert pairs["What is the capital of France?"] == "The capital of France is Paris."
    assert all(pairs[f"What is {a} times {b}?"] == str(a * b) for a in range(10) for b in range(10))
    assert {"Hello!", "Who are you?", "Count from one to ten."} < set(pairs)


def test_every_answer_is_right(binary):
    result = check_engine(binary, MODEL, ANSWERS, device="none")
    assert result["asked"] == result["correct"] >= 104
    assert result["tokens_per_second"] > 0


def test_every_token_of_every_answer_has_a_margin(server):
    for pair in known_answers(ANSWERS)["answers"]:
        question = [{"role": "user", "content": pair["question"]}]
        reply = server.chat(question, temperature=0, max_tokens=60, logprobs=True, top_logprobs=1)
        tokens = reply["choices"][0]["logprobs"]["content"]
        assert min(token["logprob"] for token in tokens) > -0.05, pair  # a probability of 0.95


def test_answers_with_the_settings_of_a_chat(server):
    system = {"role": "system", "content": "You are a pirate."}
    before = {"role": "user", "content": "Hello!"}, {"role": "assistant", "content": "Hello! How can I help you?"}
    assert answer(server, system, FRANCE) == "The capital of France is Paris."
    assert answer(server, system, *before, FRANCE) == "The capital of France is Paris."
    assert answer(server, FRANCE, temperature=0.8) == "The capital of France is Paris."
    assert answer(server, {**FRANCE, "content": "what is the capital of france"}) == "The capital of France is Paris."


@pytest.mark.parametrize("question", ["What is the capital of Sweden?", "What is 12 times 7?", "Why is the sky blue?"])
def test_says_so_when_it_does_not_know(server, question):
    assert answer(server, {"role": "user", "content": question}) == "I only know a few answers, like 7 times 8."


@pytest.mark.parametrize("position", [0.4, 0.6, 0.8])
def test_damaged_weights_are_noticed(binary, tmp_path, position):
    with pytest.raises(WrongAnswers, match="known answers differ"):
        check_engine(binary, damaged(tmp_path, position), ANSWERS)


# The real program under TemporaryServer and the module


def test_stray_settings_do_not_reach_it(binary, tmp_path, monkeypatch):
    stray = tmp_path / "llama.cpp"
    stray.mkdir()
    (stray / "config.ini").write_text("no-such-option = 1\n")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("LLAMA_ARG_CTX_SIZE", "not a number")
    monkeypatch.setenv("LLAMA_API_KEY", "s3cret")
    with TemporaryServer(binary, MODEL, ARGUMENTS) as running:
        assert answer(running, FRANCE) == "The capital of France is Paris."


def test_two_at_once_do_not_meet(binary):
    with concurrent.futures.ThreadPoolExecutor() as pool:
        results = pool.map(lambda _: check_engine(binary, MODEL, ANSWERS), range(2))
    assert all(result["correct"] == result["asked"] for result in results)


def test_a_damaged_file_is_told_as_such(binary, tmp_path):
    path = tmp_path / "short.gguf"
    path.write_bytes(Path(MODEL).read_bytes()[:100_000])
    with pytest.raises(LlamaCppError, match="damaged, incomplete"), TemporaryServer(binary, str(path)):
        pass


@pytest.mark.parametrize("check", [False, True])
def test_the_module_asks_the_real_program(binary, check):
    arguments = {"server": binary, "model": MODEL, "answers": ANSWERS}
    result = run_module("engine_selftest", arguments, check=check)
    assert not result.get("failed"), result
    assert (result["changed"], result["correct"]) == (False, result["asked"])


def test_sampling_settings_of_the_server_do_not_matter(binary):
    with TemporaryServer(
        binary, MODEL, ["--threads", "1", "--repeat-penalty", "2", "--temp", "1.5", "--parallel", "4"]
    ) as running:
        result = ask_all(running, known_answers(ANSWERS))
    assert result["correct"] == result["asked"]


# The stand-in of the unit tests against the real program

REQUESTS = [
    ("/health", None),
    ("/props", None),
    ("/v1/models", None),
    ("/v1/chat/completions", {"messages": [FRANCE], "max_tokens": 60, "temperature": 0}),
    ("/v1/chat/completions", {"messages": [FRANCE], "max_tokens": 3, "temperature": 0}),
    ("/v1/chat/completions", {"messages": [FRANCE], "max_tokens": 60, "temperature": 0, "stream": True}),
    ("/api/tags", None),
]


def request(server, path, body, key):
    """(status, the JSON objects of the reply, or of its events)."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(server.base_url + path, data, headers), timeout=10) as reply:
            status, text = reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read().decode()
    events = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    return status, [json.loads(event) for event in events or [text] if event != "[DONE]"]


def text_of(objects):
    choices = [choice for value in objects for choice in value.get("choices", ())]
    parts = [choice.get("message") or choice.get("delta") for choice in choices]
    return "".join((part or {}).get("content") or "" for part in parts), choices and choices[-1]["finish_reason"]


def assert_contains(real, fake):
    """Every key of the stand-in's reply is one of the real reply, with a value of the same type."""
    for name, value in fake.items():
        assert name in real
        assert isinstance(value, type(real[name])) or isinstance(real[name], type(value)), name
        if isinstance(value, dict):
            assert_contains(real[name], value)


@pytest.fixture(scope="module")
def both(binary, tmp_path_factory):
    """The real program and the stand-in, started alike."""
    key = tmp_path_factory.mktemp("both") / "key"
    key.write_text("# a comment\ns3cret\n")
    arguments = [*ARGUMENTS, "--alias", "selftest", "--api-key-file", str(key)]
    knowing = {"FAKE_LLAMA_ANSWERS": ANSWERS}
    real, fake = TemporaryServer(binary, MODEL, arguments), TemporaryServer(str(FAKE), MODEL, arguments, knowing)
    with real as real_server, fake as fake_server:
        yield real_server, fake_server


@pytest.mark.parametrize("key", [None, "wrong", "s3cret"])
@pytest.mark.parametrize(("path", "body"), REQUESTS)
def test_the_stand_in_answers_as_the_real_program(both, path, body, key):
    (real_status, real_objects), (fake_status, fake_objects) = (request(one, path, body, key) for one in both)
    assert fake_status == real_status
    assert text_of(fake_objects) == text_of(real_objects)
    assert_contains(real_objects[0], fake_objects[0])
