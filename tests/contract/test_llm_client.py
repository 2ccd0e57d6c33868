# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm`` against the real llama-server behind its router: every purpose, and the same as OpenAI's own client gets."""

import json
import shutil
import struct
import threading

import openai
import pytest
from support import tiny_models
from support.commands import TOOLS, Commands
from support.paths import REPOSITORY
from support.planned_server import plan_of, serving

SELFTEST = REPOSITORY / "roles" / "llama_cpp" / "files" / "selftest"
ANSWERS = {
    entry["question"]: entry["answer"] for entry in json.loads((SELFTEST / "answers.json").read_text())["answers"]
}
FRANCE = "What is the capital of France?"
SCHEMA = {"type": "object", "properties": {"year": {"type": "integer"}}, "required": ["year"], "maxProperties": 1}


@pytest.fixture(scope="module")
def site(tmp_path_factory, help_text):
    """(the commands, the URL of a router): a chat model that sees images, and models for vectors and ranks."""
    directory = tmp_path_factory.mktemp("client")
    tiny_models.write_reranker(directory / "ranks.gguf")
    tiny_models.write_projector(directory / "eye.gguf", 256)
    model = str(SELFTEST / "selftest.gguf")
    shutil.copy(model, directory / "vectors.gguf")
    models = {
        "main": {"path": model, "mmproj": {"path": str(directory / "eye.gguf")}},
        "vectors": {"path": str(directory / "vectors.gguf"), "purpose": "embedding", "arguments": {"pooling": "mean"}},
        "ranks": {"path": str(directory / "ranks.gguf"), "purpose": "rerank"},
    }
    with serving(plan_of(models, directory, {"default_model": "main"}), directory) as server:
        commands = Commands(directory)
        commands.config["server"].update(url=server.base_url, model="main")
        purposes = {name: entry.get("purpose", "chat") for name, entry in models.items()}
        commands.config["models"] = [
            {"name": name, "purpose": purpose, "dest": str(directory / name)} for name, purpose in purposes.items()
        ]
        yield commands, server.base_url


@pytest.fixture(scope="module")
def client(site):
    """With the retries that it has by itself: llama-server closes connections without a word (decision 0106)."""
    return openai.OpenAI(base_url=site[1] + "/v1", api_key="none")


def said(site, *words, status=0, **options):
    """What ``llm`` prints."""
    done = site[0].run("llm", *words, **options)
    assert done.returncode == status, done.stderr
    return done.stdout


@pytest.mark.parametrize("question", list(ANSWERS)[:2])
def test_chat_whole_and_streamed(site, client, question):
    asked = {"model": "main", "messages": [{"role": "user", "content": question}], "temperature": 0, "seed": 1}
    whole = client.chat.completions.create(**asked).choices[0].message.content
    pieces = client.chat.completions.create(stream=True, **asked)
    streamed = "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices)
    for how in ([], ["--no-stream"]):
        told = said(site, "-t", "0", "--seed", "1", *how, question)
        assert told == whole + "\n" == streamed + "\n" == ANSWERS[question] + "\n"


def test_json_by_a_schema(site, client):
    form = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": SCHEMA}}
    asked = {"model": "main", "messages": [{"role": "user", "content": FRANCE}], "temperature": 0, "max_tokens": 64}
    theirs = client.chat.completions.create(response_format=form, **asked).choices[0].message.content
    ours = said(site, "-t", "0", "-n", "64", "--schema", json.dumps(SCHEMA), FRANCE)
    assert json.loads(ours) == json.loads(theirs)
    assert isinstance(json.loads(ours)["year"], int)


def test_embeddings(site, client):
    texts = ["Paris", "The moon is far."]
    theirs = [entry.embedding for entry in client.embeddings.create(model="vectors", input=texts).data]
    lines = said(site, "embed", "-m", "vectors", "--lines", stdin="\n".join(texts)).splitlines()
    assert [json.loads(line) for line in lines] == [pytest.approx(vector, abs=1e-6) for vector in theirs]
    assert json.loads(said(site, "embed", "Paris")) == pytest.approx(theirs[0], abs=1e-6)  # the only model for it
    process = site[0].start("llm", "embed", "--format", "binary", "Paris")
    binary, _ = process.communicate(timeout=60)
    assert struct.unpack(f"<{len(theirs[0])}f", binary) == pytest.approx(theirs[0], abs=1e-6)


def test_rerank(site):
    ranks = json.loads(said(site, "rerank", "--json", FRANCE, stdin="Paris is it.\nThe moon is far.\n"))["results"]
    assert sorted(rank["line"] for rank in ranks) == [1, 2]
    assert ranks[0]["score"] >= ranks[1]["score"]
    assert said(site, "rerank", "--top", "1", FRANCE, stdin="a\nb\n").count("\n") == 1


def test_tokens(site, client):
    count = int(said(site, "tokenize", "--count", FRANCE))
    usage = client.completions.create(model="main", prompt=FRANCE, max_tokens=1).usage
    assert usage.prompt_tokens - count in (0, 1)  # with the token that begins a text, or without
    pieces = json.loads(said(site, "tokenize", "--json", FRANCE))["tokens"]
    assert "".join(token["piece"] for token in pieces) == FRANCE


def test_completion_goes_on_and_says_where_it_was_cut(site):
    done = site[0].run("llm", "complete", "-t", "0", "-n", "4", "--usage", "Once upon a")
    assert done.returncode == 6 and done.stdout.strip()
    assert "cut off" in done.stderr and "4 tokens" in done.stderr and "context:" in done.stderr


def test_an_image_takes_tokens_and_text_files_are_refused_as_images(site, tmp_path):
    picture = tmp_path / "a.png"
    picture.write_bytes(png())
    counted = [
        json.loads(said(site, "--json", *how, FRANCE))["usage"]["prompt_tokens"]
        for how in ([], ["--image", str(picture)])
    ]
    assert counted[1] - counted[0] == tiny_models.IMAGE_TOKENS
    picture.write_text("no picture")
    done = site[0].run("llm", "--image", str(picture), FRANCE)
    assert (done.returncode, done.stdout) == (2, "") and str(picture) in done.stderr


def png():
    """A grey square of eight pixels."""
    import zlib

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress((b"\0" + b"\x80" * 8) * 8)
    size = struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_models_in_and_out_of_memory(site):
    def state():
        return {model["name"]: model for model in json.loads(said(site, "models", "--json"))["models"]}["ranks"]

    said(site, "load", "ranks")
    assert (state()["state"], state()["purpose"]) == ("loaded", "rerank")
    said(site, "unload", "ranks")
    assert state()["state"] == "unloaded"
    said(site, "unload", "ranks")  # again is no fault


def test_a_prompt_that_is_too_long_names_the_limit_and_the_key(site):
    done = site[0].run("llm", stdin="word " * 500)
    assert (done.returncode, done.stdout) == (1, "")
    assert "2500" in done.stderr or "25" in done.stderr
    assert "256" in done.stderr and "trained" in done.stderr


def test_a_megabyte_of_prompt_is_answered_with_its_size(site):
    done = site[0].run("llm", stdin="word " * 200_000)
    assert (done.returncode, done.stdout) == (1, "")
    assert "does not fit into the context of 256 tokens" in done.stderr


def test_conversation_goes_on(site):
    said(site, FRANCE)
    body = json.loads(said(site, "-c", "--dry-run", "And then?"))["body"]
    assert [message["content"] for message in body["messages"]] == [FRANCE, ANSWERS[FRANCE], "And then?"]
    assert said(site, "-c", FRANCE) == ANSWERS[FRANCE] + "\n"
    assert (
        len(
            said(
                site,
                "conversations",
                "show",
                json.loads(said(site, "conversations", "list", "--json"))["conversations"][0]["id"],
            ).splitlines()
        )
        > 6
    )


def test_programs_use_the_client_from_threads(site, monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    from llm_tools import Client, ContextExceeded, NotRunning

    client = Client(site[1], model="main")
    answers = {}

    def ask(question):
        answers[question] = client.chat(question, temperature=0).content

    threads = [threading.Thread(target=ask, args=[question]) for question in list(ANSWERS)[:6]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {question: ANSWERS[question] for question in list(ANSWERS)[:6]}
    assert "".join(text for _kind, text in client.chat_stream(FRANCE, temperature=0)) == ANSWERS[FRANCE]
    assert client.detokenize(client.tokenize(FRANCE)) == FRANCE
    assert len(client.embed(["a", "b"], model="vectors")) == 2
    assert (
        "".join(client.complete_stream("Once", temperature=0, n_predict=4))
        == client.complete("Once", temperature=0, n_predict=4).content
    )
    with pytest.raises(ContextExceeded) as caught:
        client.chat("word " * 500)
    assert caught.value.context == 256
    with pytest.raises(NotRunning):
        Client("http://127.0.0.1:1").health()
