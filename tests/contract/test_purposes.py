# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The real llama-server loads a rerank model and a projector as the plan means them, alone and behind its router."""

import base64
import re
import shutil
import struct
import zlib

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.engine.temporary_server import TemporaryServer
from ansible_collections.macos_setup.llm.plugins.module_utils.llama.errors import ServerError
from ansible_collections.macos_setup.llm.plugins.module_utils.llama.health import check_server
from ansible_collections.macos_setup.llm.plugins.module_utils.models import gguf, kinds
from ansible_collections.macos_setup.llm.plugins.module_utils.watchdog.policy import ANSWERED
from ansible_collections.macos_setup.llm.plugins.module_utils.watchdog.probe import look_at
from ansible_collections.macos_setup.llm.plugins.plugin_utils.plan import auxiliary_files
from ansible_collections.macos_setup.llm.plugins.plugin_utils.plan.server import command_line
from support import tiny_models
from support.commands import Commands
from support.paths import REPOSITORY
from support.planned_server import plan_of, serving

SELFTEST = REPOSITORY / "roles" / "llama_cpp" / "files" / "selftest" / "selftest.gguf"
WIDTH = 256  # of the self-test model
QUESTION, ANSWER = "What is the capital of France?", "The capital of France is Paris."
DOCUMENTS = ["Paris is the capital of France.", "The moon is far."]

pytestmark = pytest.mark.usefixtures("help_text")


@pytest.fixture(params=["alone", "behind a router"])
def served(request, tmp_path):
    """``served(model)`` lends the server of that model, which is called main, and has another beside it or has not."""

    def start(model):
        models = {"main": model}
        if request.param != "alone":
            other = tmp_path / "other.gguf"
            shutil.copy(SELFTEST, other)
            models["other"] = {"path": str(other)}
        return serving(plan_of(models, tmp_path, {"default_model": "main"}), tmp_path)

    return start


def image(side, shade):
    """A grey square, as a picture that a chat message can hold."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    size = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    rows = zlib.compress((b"\0" + bytes([shade]) * side) * side)
    raw = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return {"type": "image_url", "image_url": {"url": "data:image/png;base64," + base64.b64encode(raw).decode()}}


def takes_images(server):
    """Whether main does, as its server or the router in front of it says."""
    props = server.props()
    if props.get("role") != "router":
        return props["modalities"]["vision"]
    (main,) = (model for model in server.models() if model["id"] == "main")
    return "image" in main["architecture"]["input_modalities"]


def ask(server, *content):
    """The answer and the number of tokens that the question took."""
    message = {"role": "user", "content": [*content]}
    reply = server.chat([message], model="main", temperature=0, seed=1, max_tokens=32)
    return reply["choices"][0]["message"]["content"], reply["usage"]["prompt_tokens"]


def test_a_rerank_model_scores_documents_and_is_found_healthy(served, tmp_path):
    path = tmp_path / "order.gguf"
    tiny_models.write_reranker(path)
    kinds.require(str(path), gguf.check(str(path)), kinds.RERANKER, 0, 1)
    with served({"path": str(path), "purpose": "rerank"}) as server:
        found = check_server(server.base_url, model="main", purpose="rerank")
        assert found["answer"] == "scores of 2 documents"
        scores = server.rerank(QUESTION, DOCUMENTS, model="main")
        assert scores[0] != pytest.approx(scores[1], rel=1e-3)
        assert server.rerank(QUESTION, DOCUMENTS[::-1], model="main") == pytest.approx(scores[::-1], rel=1e-3)
        assert look_at(server, "1 a", model="main", purposes={"main": "rerank"}).seen == ANSWERED
        with pytest.raises(ServerError, match="500"):
            server.complete(QUESTION, model="main", n_predict=1)

        commands = Commands(tmp_path)
        commands.config["server"].update(url=server.base_url, model="main")
        commands.config["models"] = [{"name": "main", "purpose": "rerank", "dest": str(path)}]
        tested = commands.run("llm-manager", "test")
        assert (tested.returncode, tested.stdout) == (0, "main answered: scores of 2 documents\n"), tested.stderr
        assert "configured for rerank" in commands.run("llm", "-m", "main", QUESTION).stderr


def test_without_a_head_scores_mean_nothing_so_the_file_is_refused(served):
    with served({"path": str(SELFTEST), "purpose": "rerank"}) as server:
        scores = server.rerank(QUESTION, [DOCUMENTS[0]] * 2, model="main")
        assert scores[0] != pytest.approx(scores[1], rel=1e-3)  # of one and the same document
    with pytest.raises(gguf.GgufError, match="no classification head"):
        kinds.require(str(SELFTEST), gguf.check(str(SELFTEST)), kinds.RERANKER, 0, 1)


def test_without_a_pooling_type_there_is_no_vector_so_the_file_is_refused(served):
    embedder = served({"path": str(SELFTEST), "purpose": "embedding"})
    with embedder as server, pytest.raises(ServerError, match=r"400.*[Pp]ooling"):
        server.embed(QUESTION, model="main")
    with pytest.raises(gguf.GgufError, match="pooling"):
        kinds.require(str(SELFTEST), gguf.check(str(SELFTEST)), kinds.EMBEDDER, 0, 1)


def test_a_model_with_a_projector_sees(served, tmp_path):
    eye = tmp_path / "eye.gguf"
    tiny_models.write_projector(eye, WIDTH)
    kinds.require(str(eye), gguf.check(str(eye)), "mmproj", 0, 1)
    with served({"path": str(SELFTEST), "mmproj": {"path": str(eye)}}) as server:
        assert takes_images(server)
        text = {"type": "text", "text": QUESTION}
        answer, length = ask(server, text)
        assert answer == ANSWER
        seen = [ask(server, text, image(8, shade)) for shade in (0, 255)]
        assert all(answer and tokens == length + tiny_models.IMAGE_TOKENS for answer, tokens in seen)


def test_a_projector_for_another_model_is_called_that(tmp_path, engine):
    eye = tmp_path / "eye.gguf"
    tiny_models.write_projector(eye, WIDTH // 2)
    options = [*auxiliary_files.options({"companions": [{"role": "mmproj", "dest": str(eye)}]}), ("threads", 1)]
    with (
        pytest.raises(LlamaCppError, match=f"Cause: the projector .* another model than {re.escape(str(SELFTEST))}"),
        TemporaryServer(str(engine / "llama-server"), str(SELFTEST), command_line(options)),
    ):
        pass
