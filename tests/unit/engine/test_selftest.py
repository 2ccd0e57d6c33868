# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Known answers: compared to the letter, and a difference told so that its reader can act."""

import json
import os

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.base.progress import Progress, WatcherGone
from ansible_collections.macos_setup.llm.plugins.module_utils.engine import selftest
from ansible_collections.macos_setup.llm.plugins.module_utils.llama.client import LlamaServer
from ansible_collections.macos_setup.llm.plugins.module_utils.llama.errors import ServerError
from support.fake_server_process import FAKE, fake_server
from support.model_factory import typed_model
from support.scripted_server import ScriptedServer, response

ANSWERS = {f"What is {number} plus 1?": str(number + 1) for number in range(12)}
KNOWN = {"answers": [{"question": question, "answer": answer} for question, answer in ANSWERS.items()]}


F16, Q8_0, Q4_K = 1, 8, 12  # of enum ggml_type


def scripted_reply(text):
    return response(200, json.dumps({"choices": [{"message": {"content": text}}]}).encode())


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Model and answers for ``check_engine``, which the stand-in knows too."""
    model, answers = tmp_path / "selftest.gguf", tmp_path / "answers.json"
    model.write_bytes(b"GGUF")
    answers.write_text(json.dumps({**KNOWN, "system": None, "max_tokens": 8}))
    monkeypatch.setenv("FAKE_LLAMA_ANSWERS", str(answers))
    for name in ("FAKE_LLAMA_DEVICES", "FAKE_LLAMA_WRONG"):
        monkeypatch.delenv(name, raising=False)
    return str(model), str(answers)


@pytest.mark.parametrize(
    "text", [None, "no JSON", "[]", "{}", '{"answers": []}', '{"answers": [{"question": "?"}]}', '{"answers": ["?"]}']
)
def test_an_unusable_answers_file_is_refused(tmp_path, text):
    path = tmp_path / "answers.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(LlamaCppError, match=str(path)):
        selftest.known_answers(str(path))


def test_every_answer_right(tmp_path):
    seen = []
    with fake_server(tmp_path, answers=ANSWERS) as url:
        result = selftest.ask_all(LlamaServer(url), KNOWN, seen.append)
    assert (result["asked"], result["correct"], result["wrong"]) == (12, 12, [])
    assert result["tokens_per_second"] == 2000.0  # as the stand-in claims in its timings
    assert seen == list(range(13))
    selftest.require_all_correct(result, "the engine", "")


def test_one_wrong_answer_is_found(tmp_path):
    with fake_server(tmp_path, "one-wrong", ANSWERS) as url:
        result = selftest.ask_all(LlamaServer(url), KNOWN)
    assert result["correct"] == 11
    assert result["wrong"] == [{"question": "What is 11 plus 1?", "expected": "12", "got": "1"}]


def test_the_first_wrong_answer_can_be_enough(tmp_path):
    with fake_server(tmp_path, "nonsense", ANSWERS) as url:
        result = selftest.ask_all(LlamaServer(url), KNOWN, until_wrong=True)
    assert (result["asked"], result["correct"], len(result["wrong"])) == (1, 0, 1)


def test_the_list_of_wrong_answers_is_bounded(tmp_path):
    with fake_server(tmp_path, "nonsense", ANSWERS) as url:
        result = selftest.ask_all(LlamaServer(url), KNOWN)
    assert result["correct"] == 0
    assert [answer["question"] for answer in result["wrong"]] == list(ANSWERS)[: selftest.SHOWN]


@pytest.mark.parametrize("got", ["paris", "Paris ", " Paris", "Paris\n", "Paris.", ""])
def test_answers_are_compared_to_the_letter(got):
    known = {"answers": [{"question": "What is the capital of France?", "answer": "Paris"}]}
    with ScriptedServer(scripted_reply(got)) as server:
        result = selftest.ask_all(LlamaServer(server.url), known)
    assert result["correct"] == 0
    assert result["wrong"][0]["got"] == got


def test_questions_are_asked_greedily_and_each_from_its_start():
    known = {"answers": [{"question": "Who?", "answer": "Me."}], "system": "Be brief.", "max_tokens": 7}
    with ScriptedServer(scripted_reply("Me.")) as server:
        selftest.ask_all(LlamaServer(server.url), known, model="tiny")
    _first, _headers, body = server.requests[0]
    request = json.loads(body)
    assert [message["content"] for message in request["messages"]] == ["Be brief.", "Who?"]
    assert (request["temperature"], request["cache_prompt"], request["max_tokens"]) == (0, False, 7)
    assert request["model"] == "tiny"


def test_a_silent_server_is_an_error_not_a_wrong_answer(tmp_path):
    with fake_server(tmp_path, "wedged") as url, pytest.raises(ServerError):
        selftest.ask_all(LlamaServer(url, timeout=0.3), KNOWN)


def test_the_report_shows_the_first_differences():
    wrong = [{"question": "Who?", "expected": "Me.", "got": "You."}]
    result = {"asked": 10, "correct": 7, "wrong": wrong, "tokens_per_second": 1.0}
    with pytest.raises(selftest.WrongAnswers) as caught:
        selftest.require_all_correct(result, "This build", "Build it again.")
    text = str(caught.value)
    for fact in ("This build", "3 of 10", "Who?", "Me.", "You.", "2 more", "Build it again."):
        assert fact in text


def test_an_engine_that_computes(files):
    assert selftest.check_engine(str(FAKE), *files) == {
        "asked": 12,
        "correct": 12,
        "tokens_per_second": 2000.0,
        "devices": {},
    }


def test_an_engine_that_computes_wrongly(files, monkeypatch):
    monkeypatch.setenv("FAKE_LLAMA_MODE", "one-wrong")
    with pytest.raises(selftest.WrongAnswers, match="1 of 12") as caught:
        selftest.check_engine(str(FAKE), *files, device="none")
    text = str(caught.value)
    for fact in (str(FAKE), "on the CPU", "What is 11 plus 1?", "not put in service"):
        assert fact in text


@pytest.fixture
def typed(files):
    """``files``, with a model of two types, and its reference."""
    model, answers = files
    with open(model, "wb") as stream:
        stream.write(typed_model({"a": (Q4_K, b"four bits"), "b": (Q8_0, b"eight bits")}))
    with open(os.path.join(os.path.dirname(model), selftest.REFERENCE), "wb") as stream:
        stream.write(typed_model({"a": (F16, b""), "b": (F16, b"")}))
    return model, answers


def subjects(error):
    """What the error names as the cause."""
    return [line.partition(":")[0] for line in str(error).splitlines() if line[0] != " " and ": asked" in line]


def test_a_wrong_kernel_is_named(typed, monkeypatch):
    monkeypatch.setenv("FAKE_LLAMA_WRONG", "four bits\n--flash-attn off")
    with pytest.raises(selftest.WrongAnswers) as caught:
        selftest.check_engine(str(FAKE), *typed)
    assert subjects(caught.value) == ["Q4_K on the CPU", "flash attention off on the CPU"]


def test_where_f16_is_wrong_nothing_else_can_be_judged(typed, monkeypatch):
    monkeypatch.setenv("FAKE_LLAMA_WRONG", "GGUF")
    monkeypatch.setenv("FAKE_LLAMA_DEVICES", "CUDA0: NVIDIA H100 (1 MiB, 1 MiB free)")
    with pytest.raises(selftest.WrongAnswers) as caught:
        selftest.check_engine(str(FAKE), *typed)
    assert subjects(caught.value) == ["F16 on CUDA0"]


def test_the_wanted_device_must_be_offered(files, monkeypatch):
    with pytest.raises(LlamaCppError, match="no device MTL0"):
        selftest.check_engine(str(FAKE), *files, device="MTL0")
    monkeypatch.setenv("FAKE_LLAMA_DEVICES", "MTL0: Apple M2 (1 MiB, 1 MiB free)")
    result = selftest.check_engine(str(FAKE), *files, device="MTL0")
    assert result["devices"] == {"MTL0": "Apple M2 (1 MiB, 1 MiB free)"}


@pytest.mark.parametrize(("mode", "line"), [("dies", "failed to load model"), ("crashes", "error state")])
def test_an_engine_that_fails_tells_its_log(files, monkeypatch, mode, line):
    monkeypatch.setenv("FAKE_LLAMA_MODE", mode)
    with pytest.raises(LlamaCppError, match=line) as caught:
        selftest.check_engine(str(FAKE), *files)
    assert not isinstance(caught.value, selftest.WrongAnswers)
    assert "not put in service" in str(caught.value)


def test_an_engine_that_is_not_there(files, tmp_path):
    with pytest.raises(LlamaCppError, match="cannot be started"):
        selftest.check_engine(str(tmp_path / "llama-server"), *files)


def test_progress_is_reported_and_its_watcher_obeyed(files, tmp_path):
    state = tmp_path / "progress"
    selftest.check_engine(str(FAKE), *files, progress=Progress(str(state), interval=0))
    last = json.loads(state.read_text())
    assert (last["done"], last["total"]) == (12, 12)
    lease = tmp_path / "progress.lease"
    lease.touch()
    os.utime(lease, (0, 0))
    with pytest.raises(WatcherGone):
        selftest.check_engine(str(FAKE), *files, progress=Progress(str(state), interval=0))
