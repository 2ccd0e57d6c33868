# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Known answers: whether a llama-server computes correctly, shown by questions with exactly one right answer.

The self-test model has learnt the answers by heart, with a wide margin over any other token, so rounding cannot
change a letter while a broken kernel, driver or compiler does (roles/llama_cpp/files/selftest/train.py). Each of its
matrices has another tensor type, since a wrong kernel is wrong for one type. After a wrong answer each type and each
setting is judged alone (tensor_types.py), so that the error can name it.
"""

from __future__ import annotations

import os
import tempfile
import time

from ..base.errors import LlamaCppError
from ..base.files import read_json
from ..base.progress import Progress, WatcherGone
from ..base.strict_json import told
from ..llama.devices import list_devices
from .temporary_server import TemporaryServer, check_runs
from .tensor_types import single_types

SHOWN = 5

#: Greedy whatever the server was started with: only the temperature takes part in the choice of a token, and nothing
#: of an earlier question is used again, so each answer is computed from its first token on.
GREEDY = {"temperature": 0, "samplers": ["temperature"], "seed": 1, "cache_prompt": False}

#: One question at a time: an engine is tested here, not its scheduling. One thread: in a model this small a second one
#: only waits for the first, and on a busy machine it waits long (measured on two cores beside one other busy process:
#: 109 answers take 0.3 s with one thread and 14 to 19 s with two).
ARGUMENTS = ("--parallel", "1", "--threads", "1")

#: What changes the kernels of attention, by its name in an error. Each setting gets its share of the questions.
SETTINGS = {
    "default settings": (),  # flash attention where the device has it, a KV cache of F16
    "flash attention off": ("--flash-attn", "off"),
    "KV cache Q8_0": ("--flash-attn", "on", "--cache-type-k", "q8_0", "--cache-type-v", "q8_0"),
}

#: The weights of the self-test model as F16, in its directory.
REFERENCE = "reference.gguf"

NOT_NAMED = "Asked again with one tensor type or setting at a time, none could be named as the cause."
NOT_IN_SERVICE = (
    "It was not put in service; what served before is unchanged. "
    "Build it again from a clean source tree (update the Command Line Tools, or the compiler, first), or choose "
    "another engine.version, then run the play again with: --tags llm_engine"
)


class WrongAnswers(LlamaCppError):
    """The server answers, and wrongly."""


def known_answers(path):
    """The known-answers file as a dict: ``answers`` (list of ``question``, ``answer``), ``system`` (prompt or None),
    ``max_tokens``, and the ``sha256`` of the ``model`` that they belong to. Raises LlamaCppError when it is unusable.
    """
    known = read_json(path)
    pairs = known.get("answers") if isinstance(known, dict) else None
    if not isinstance(pairs, list) or not pairs or not all(map(_is_pair, pairs)):
        raise LlamaCppError(f"{path} is missing or holds no known answers. Run the play again to install it.")
    return known


def _is_pair(value):
    return isinstance(value, dict) and {"question", "answer"} <= set(value)


def ask_all(server, known, on_answer=None, until_wrong=False, **options):
    """Ask a :class:`LlamaServer` every question of ``known`` and compare the answers to the letter.

    :param on_answer: called with the number of questions answered so far, and first with 0.
    :param until_wrong: ask no more after the first wrong answer.
    :param options: more keys of the request, such as ``model``.
    :returns: ``asked``, ``correct``, ``wrong`` (the first few, as dicts of ``question``, ``expected`` and ``got``)
        and ``tokens_per_second`` of the generation.
    :raises ServerError: when the server gives no answer at all.
    """
    pairs = known["answers"]
    system = [{"role": "system", "content": known["system"]}] if known.get("system") else []
    wrong, asked, correct, tokens, seconds = [], 0, 0, 0, 0.0
    for number, pair in enumerate(pairs):
        if on_answer:
            on_answer(number)
        messages = [*system, {"role": "user", "content": pair["question"]}]
        began = time.monotonic()
        reply = server.chat(messages, max_tokens=known.get("max_tokens", 64), **GREEDY, **options)
        spent = time.monotonic() - began
        timings = reply.get("timings") or {}
        tokens += timings.get("predicted_n") or (reply.get("usage") or {}).get("completion_tokens") or 0
        seconds += timings["predicted_ms"] / 1000.0 if timings.get("predicted_ms") else spent
        got = (reply["choices"][0].get("message") or {}).get("content") or ""
        asked += 1
        if got == pair["answer"]:
            correct += 1
        elif len(wrong) < SHOWN:
            wrong.append({"question": pair["question"], "expected": pair["answer"], "got": got})
        if wrong and until_wrong:
            break
    if on_answer:
        on_answer(len(pairs))
    rate = round(tokens / seconds, 1) if seconds else None
    return {"asked": asked, "correct": correct, "wrong": wrong, "tokens_per_second": rate}


def require_all_correct(result, subject, consequence):
    """Raise WrongAnswers when ``result`` of :func:`ask_all` is not flawless.

    :param subject: what was asked, in the owner's words. :param consequence: what follows from it and what to do.
    """
    missed = result["asked"] - result["correct"]
    if not missed:
        return
    lines = [f"{subject} computes wrongly: {missed} of {result['asked']} known answers differ."]
    lines += [f"  {_told(answer)}" for answer in result["wrong"]]
    if missed > len(result["wrong"]):
        lines.append(f"  and {missed - len(result['wrong'])} more")
    raise WrongAnswers("\n".join([*lines, consequence]))


def _told(answer):
    return told('asked "{question}", expected "{expected}", got "{got}"'.format(**answer))


def check_engine(server, model, answers, *, device=None, timeout=60, progress=None):
    """Start the llama-server binary ``server`` with the self-test model and ask it all known answers.

    :param model: path of the self-test model; REFERENCE is in its directory.
    :param device: a device that the engine must offer and compute on, such as ``MTL0``; ``none`` is the CPU;
        None leaves the choice to llama-server.
    :param timeout: seconds to wait for the start, and for each answer.
    :returns: ``asked``, ``correct``, ``tokens_per_second`` and ``devices`` (name to description).
    :raises LlamaCppError: when it cannot run, ends, is silent, or a single letter is wrong. Nothing is left behind.
    """
    known = known_answers(answers)
    try:
        devices = _devices(server, device)
        engine = _Engine(server, device, devices, known, timeout, progress or Progress())
        result = engine.ask_in_each_setting(model)
        alone = _wrong_alone(engine, model) if result["wrong"] else {}
    except WatcherGone:
        raise
    except LlamaCppError as error:
        raise LlamaCppError(f"The self-test could not be made. {error}\n{NOT_IN_SERVICE}") from error
    findings = [f"{name} {engine.where}: {_told(answer)}" for name, answer in alone.items()]
    require_all_correct(result, f"{server} {engine.where}", "\n".join([*(findings or [NOT_NAMED]), NOT_IN_SERVICE]))
    return {**{key: result[key] for key in ("asked", "correct", "tokens_per_second")}, "devices": devices}


class _Engine:
    """A llama-server binary on its device, started with one model and setting after the other."""

    def __init__(self, server, device, devices, known, timeout, progress):
        self._server, self._known, self._timeout, self._progress = server, known, timeout, progress
        self._arguments = [*ARGUMENTS, *(["--device", device] if device else [])]
        self.where = "on " + ("the CPU" if device == "none" else device or ", ".join(devices) or "the CPU")

    def ask(self, model, setting=(), share=slice(None), before=0, stage="asking", until_wrong=False):
        """What :func:`ask_all` tells of the ``share`` of the questions, ``before`` of which have been asked."""
        total = len(self._known["answers"])
        known = {**self._known, "answers": self._known["answers"][share]}

        def on_answer(number):
            self._progress.update(f"{stage} {self.where}", before + number, total)

        with TemporaryServer(self._server, model, [*self._arguments, *setting], timeout=self._timeout) as running:
            return ask_all(running, known, on_answer, until_wrong)

    def ask_in_each_setting(self, model):
        """All questions, each in one of SETTINGS; the speed is that of the default settings."""
        self._progress.update("starting the server")
        results = []
        for number, setting in enumerate(SETTINGS.values()):
            before = sum(result["asked"] for result in results)
            results.append(self.ask(model, setting, slice(number, None, len(SETTINGS)), before))
        whole = {key: sum(result[key] for result in results) for key in ("asked", "correct")}
        wrong = [answer for result in results for answer in result["wrong"]][:SHOWN]
        return {**whole, "wrong": wrong, "tokens_per_second": results[0]["tokens_per_second"]}


def _wrong_alone(engine, model):
    """What computes wrongly on its own, each with a wrong answer: F16, or other tensor types, or settings."""
    reference = os.path.join(os.path.dirname(model), REFERENCE)
    found = {}
    if not os.path.exists(reference):
        return found

    def judge(name, path, setting=()):
        wrong = engine.ask(path, setting, stage=f"looking for the cause: {name}", until_wrong=True)["wrong"]
        if wrong:
            found[name] = wrong[0]

    judge("F16", reference)
    if found:  # and so are all the others, which compute with it as well
        return found
    with tempfile.TemporaryDirectory(prefix="llama-selftest.") as directory:
        for name, content in single_types(model, reference):
            path = os.path.join(directory, f"{name}.gguf")
            with open(path, "wb") as stream:
                stream.write(content)
            judge(name, path)
    for name, setting in SETTINGS.items():
        if setting:
            judge(name, reference, setting)
    return found


def _devices(server, wanted):
    """The devices of a binary that runs, by name; raises LlamaCppError when it does not run or lacks ``wanted``."""
    check_runs(server)
    devices = list_devices(server)
    if wanted not in (None, "none", *devices):
        found = ", ".join(devices) or "none, so it would compute on the CPU"
        raise LlamaCppError(
            f"{server} offers no device {wanted} (found: {found}). On a Mac that is Metal: check that the engine was "
            "built with llm_settings.metal_acceleration and for this machine's architecture."
        )
    return devices
