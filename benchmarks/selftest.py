# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""How sure the self-test model is of its answers: per tensor type, device, number of threads and batch size.

The margin is the smallest difference, in nats, between the log-probabilities of the first and the second token, over
all tokens of the answers to every fourth question. These answers must be right, too. It takes minutes on an idle
machine; on a busy one, threads wait for each other. More threads than processors are not tried.
"""

import itertools
import os
import tempfile
from pathlib import Path

from ansible_collections.macos_setup.llm.plugins.module_utils.engine.selftest import (
    GREEDY,
    REFERENCE,
    SETTINGS,
    known_answers,
)
from ansible_collections.macos_setup.llm.plugins.module_utils.engine.temporary_server import TemporaryServer
from ansible_collections.macos_setup.llm.plugins.module_utils.engine.tensor_types import single_types
from ansible_collections.macos_setup.llm.plugins.module_utils.llama.health import list_devices
from support.built_engine import find_or_build_server
from support.paths import REPOSITORY

from benchmarks._rows import Row, at_least

DIRECTORY = REPOSITORY / "roles" / "llama_cpp" / "files" / "selftest"
THREADS, BATCHES = [count for count in (1, 2, 4) if count <= os.cpu_count()], (1, 8, 512)
MARGIN = 2.0


def measure():
    server = str(find_or_build_server())
    known = known_answers(str(DIRECTORY / "answers.json"))
    devices = ["none", *list_devices(server)]
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        for (name, model), device in itertools.product(models(Path(directory)), devices):
            for threads, batch in itertools.product(THREADS, BATCHES):
                title = f"{name}, {shown(device)}, threads {threads}, batch {batch}"
                options = ["--device", device, "--threads", str(threads), "--ubatch-size", str(batch)]
                rows.append(row(server, title, model, options, known))
    for device, (name, setting) in itertools.product(devices, SETTINGS.items()):
        options = ["--device", device, "--threads", "1", *setting]
        rows.append(row(server, f"all types, {shown(device)}, {name}", DIRECTORY / "selftest.gguf", options, known))
    return rows


def shown(device):
    return "CPU" if device == "none" else device


def models(directory):
    """Of each type its name and a model that computes with it, F16 first, and last the self-test model."""
    reference, model = DIRECTORY / REFERENCE, DIRECTORY / "selftest.gguf"
    yield "F16", reference
    for name, content in single_types(str(model), str(reference)):
        path = directory / f"{name}.gguf"
        path.write_bytes(content)
        yield name, path
    yield "all types", model


def row(server, title, model, options, known):
    margins, wrong = [], 0
    with TemporaryServer(server, str(model), ["--parallel", "1", *options]) as running:
        for pair in known["answers"][::4]:
            question = [{"role": "user", "content": pair["question"]}]
            reply = running.chat(question, max_tokens=known["max_tokens"], logprobs=True, top_logprobs=2, **GREEDY)
            choice = reply["choices"][0]
            wrong += choice["message"]["content"] != pair["answer"]
            tokens = [[top["logprob"] for top in token["top_logprobs"]] for token in choice["logprobs"]["content"]]
            margins += [first - second for first, second in tokens]
    return Row(f"self-test, {title}: margin", 0.0 if wrong else min(margins), at_least(MARGIN), f"{wrong} wrong")
