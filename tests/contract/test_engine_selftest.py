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
    REFERENCE,
    WrongAnswers,
    ask_all,
    check_engine,
    known_answers,
)
from ansible_collections.macos_setup.llm.plugins.module_utils.engine.temporary_server import TemporaryServer
from ansible_collections.macos_setup.llm.plugins.module_utils.engine.tensor_types import NAMES
from ansible_collections.macos_setup.llm.plugins.module_utils.models import gguf
from support.fake_server_process import FAKE
from support.modules import run_module
from support.paths import REPOSITORY

DIRECTORY = REPOSITORY / "roles" / "llama_cpp" / "files" / "selftest"
MODEL, ANSWERS = str(DIRECTORY / "selftest.gguf"), str(DIRECTORY / "answers.json")
F32, F16 = 0, 1  # of enum ggml_type

#: Where a block has the sign of its scale; MXFP4 has none, and its highest bit is the one of the exponent.
SIGN = {"F16": 1, "BF16": 1, "Q2_K": 81, "Q3_K": 109, "Q4_K": 1, "Q5_K": 1, "Q6_K": 209, "IQ4_XS": 1, "IQ4_NL": 1}
SIGN.update({"Q8_0": 1, "Q4_0": 1, "Q4_1": 1, "Q5_0": 1, "Q5_1": 1, "MXFP4": 0})

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


def damaged(directory, types, files=("selftest.gguf",)):
    """The model in a copy of its directory, where the tensors of ``types`` have the same error in each block."""
    for file in ("selftest.gguf", REFERENCE):
        content = bytearray((DIRECTORY / file).read_bytes())
        _, parts = gguf.parts(str(DIRECTORY / file))
        for part in parts if file in files else ():
            if NAMES.get(part.kind) in types:
                block = max(gguf.TENSOR_TYPES[part.kind][1], 4)  # every other one where each number has its sign
                begin = content.index(part.data)
                for position in range(begin + SIGN[NAMES[part.kind]], begin + len(part.data), block):
                    content[position] ^= 0x80
        (directory / file).write_bytes(content)
    return str(directory / "selftest.gguf")


def causes(error):
    """What the error of the self-test names as the cause."""
    return {line.partition(" on the CPU: asked")[0] for line in str(error).splitlines() if " on the CPU: asked" in line}


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


def test_the_models_differ_in_their_types_only():
    (head, model), (other, reference) = (gguf.parts(str(DIRECTORY / file)) for file in ("selftest.gguf", REFERENCE))
    assert head == other
    assert [part.shape for part in model] == [part.shape for part in reference]
    matrices = [part.kind for part in model if part.kind != F32]
    assert {NAMES[kind] for kind in matrices} == set(NAMES.values())
    assert {part.kind for part in reference} == {F32, F16}


@pytest.mark.parametrize("sound", [set(), {"Q8_0", "Q5_K", "BF16"}])
def test_an_error_is_told_of_each_type_that_has_it(binary, tmp_path, sound):
    types = set(NAMES.values()) - {"F16"} - sound  # each is judged by a model without the others
    with pytest.raises(WrongAnswers, match="known answers differ") as caught:
        check_engine(binary, damaged(tmp_path, types), ANSWERS, device="none")
    assert causes(caught.value) == types


def test_an_error_in_f16_is_told(binary, tmp_path):
    files = ("selftest.gguf", REFERENCE)
    with pytest.raises(WrongAnswers) as caught:
        check_engine(binary, damaged(tmp_path, {"F16"}, files), ANSWERS, device="none")
    assert causes(caught.value) == {"F16"}


def test_threads_and_batches_change_no_answer(binary):
    """A few questions, since two threads wait for each other on a busy machine; `make bench` asks all."""
    few = {**known_answers(ANSWERS), "answers": known_answers(ANSWERS)["answers"][::12]}
    with TemporaryServer(binary, MODEL, ["--parallel", "1", "--threads", "2", "--batch-size", "8"]) as running:
        assert not ask_all(running, few)["wrong"]


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
