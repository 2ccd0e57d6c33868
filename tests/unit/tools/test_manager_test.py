# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm-manager test``: the self-test model is held to its known answers, any other model gives a sample."""

import json

import pytest

KNOWN = {"What is 7 times 8?": "56", "Who are you?": "The self-test.", "What is 2 times 2?": "4"}


@pytest.fixture
def selftest(commands, tmp_path):
    """The served model (the stand-in calls it model.gguf) is the self-test model."""
    pairs = [{"question": question, "answer": answer} for question, answer in KNOWN.items()]
    (tmp_path / "selftest.gguf").write_bytes(b"GGUF")
    (tmp_path / "known.json").write_text(json.dumps({"system": None, "answers": pairs, "max_tokens": 64}))
    commands.config["selftest"] = {"model": str(tmp_path / "selftest.gguf"), "answers": str(tmp_path / "known.json")}
    commands.config["models"] = [{"name": "tiny", "dest": str(tmp_path / "model.gguf")}]
    return tmp_path


def test_known_answers(commands, serve, selftest):
    with serve(answers=KNOWN):
        done = commands.run("llm-manager", "test")
        assert (done.returncode, done.stderr) == (0, "")
        assert "3 of 3" in done.stdout
        result = json.loads(commands.run("llm-manager", "test", "--json").stdout)
    assert (result["asked"], result["correct"], result["wrong"], result["model"]) == (3, 3, [], "tiny")


def test_one_wrong_answer_is_a_failure(commands, serve, selftest):
    with serve("one-wrong", answers=KNOWN):
        done = commands.run("llm-manager", "test")
        in_json = commands.run("llm-manager", "test", "--json")
    assert (done.returncode, done.stdout) == (1, "")
    assert "What is 2 times 2?" in done.stderr
    assert in_json.returncode == 1
    assert json.loads(in_json.stdout)["wrong"] == [{"question": "What is 2 times 2?", "expected": "4", "got": "56"}]


def test_another_model_gives_a_sample(commands, serve, selftest):
    (selftest / "selftest.gguf").write_bytes(b"GGUF and more")
    with serve(answers={"Say hello.": "Hello there."}):
        done = commands.run("llm-manager", "test")
        result = json.loads(commands.run("llm-manager", "test", "--json").stdout)
    assert done.returncode == 0
    assert "Hello there." in done.stdout
    assert result["answer"] == "Hello there."
    assert result["tokens_per_second"] > 0


@pytest.mark.parametrize("missing", ["selftest.gguf", "model.gguf"])
def test_missing_files_are_no_self_test_model(commands, serve, selftest, missing):
    with serve(answers={"Say hello.": "Hello there."}):
        (selftest / missing).unlink()
        done = commands.run("llm-manager", "test")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Hello there." in done.stdout


def test_damaged_known_answers_are_a_failure(commands, serve, selftest):
    (selftest / "known.json").write_text("{}")
    with serve(answers=KNOWN):
        done = commands.run("llm-manager", "test")
    assert done.returncode == 1
    assert "known.json" in done.stderr


@pytest.mark.parametrize(("mode", "status"), [("loading-forever", 4), ("wedged", 1)])
def test_server_that_does_not_answer(commands, serve, mode, status):
    with serve(mode):
        done = commands.run("llm-manager", "test", "--timeout", "0.5")
    assert (done.returncode, done.stdout) == (status, "")


def test_server_that_is_down(commands):
    assert commands.run("llm-manager", "test").returncode == 3
