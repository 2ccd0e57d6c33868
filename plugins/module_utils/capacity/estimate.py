# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""How much memory a model needs once llama-server has it loaded.

What is needed has three parts: the weights, the context (the KV cache), and the working memory of one batch. An
engine that is installed is asked (:func:`measured`); its answer is that of the server's own ``--fit``. Before that
they are worked out from the header of the GGUF file (:func:`estimated`). What is loaded beside the model counts with
the size of its files, which is the least that it takes, and a draft model with a context of its own, too.
"""

from __future__ import annotations

import os
import subprocess
from typing import NamedTuple

from ..base.errors import LlamaCppError
from ..base.units import MIB
from ..models.gguf import TENSOR_TYPES

#: Defaults of llama-server (common/common.h, tools/server/server.cpp at 0c1e570).
BATCH = 512  # tokens that are computed at once, --ubatch-size
SLOTS = 4  # --parallel, with one context that they share
CELLS = 256  # contexts are rounded up to a multiple of this (src/llama-context.cpp)

F16, F32 = 2, 4  # bytes; the states of recurrent layers and activations are F32

#: What --cache-type-k and --cache-type-v take (common/arg.cpp), and the ggml type id of each.
CACHE_TYPES = {
    "f32": 0, "f16": 1, "q4_0": 2, "q4_1": 3, "q5_0": 6, "q5_1": 7, "q8_0": 8, "iq4_nl": 20, "bf16": 30,
}  # fmt: skip
F16_CACHE = ("f16", "f16")  # of keys and values, the default

#: The largest vocabulary in common use, for headers that leave its size to the list of tokens.
LARGEST_VOCABULARY = 262144

#: Architectures in which every layer keeps every token (src/models at 0c1e570). In the others some layers keep a
#: window, a state or something compressed instead, so that a full cache in each is only an upper bound.
FULL_CONTEXT = {
    *("gemma", "granite", "granitemoe", "internlm2", "llama", "mistral3", "nemotron", "olmo", "olmoe", "phi2"),
    *("qwen2", "qwen2moe", "qwen2vl", "qwen3", "qwen3moe", "smollm3", "stablelm", "starcoder2"),
}

FIT_PARAMS = "llama-fit-params"
FIT_PARAMS_SECONDS = 120


class Need(NamedTuple):
    """Bytes that a model takes at one size of its context."""

    weights: int
    context: int
    working: int
    exact: bool = True  # False: ``context`` is an upper bound
    beside: int = 0  # the files of its projector, draft model and adapters

    @property
    def total(self):
        return self.weights + self.context + self.working + self.beside

    @property
    def least(self):
        """What it takes for certain."""
        return self.total if self.exact else self.total - self.context

    def with_draft(self, draft):
        """The same with the context and the working memory of a draft model, whose weights are among the files beside.

        llama-server gives it as many tokens and slots as the model that it guesses for (common/speculative.cpp).
        """
        return self._replace(
            context=self.context + draft.context,
            working=self.working + draft.working,
            exact=self.exact and draft.exact,
        )


def estimated(info, context_size, parallel=None, weights=None, cache=F16_CACHE):
    """What the model of a header needs with ``context_size`` tokens: a :class:`Need`, or None if that cannot be told.

    Weights and context agree with the engine's own numbers. The working memory is an estimate, made to lie a little
    above them (tests/unit/test_model_memory.py); it takes flash attention for granted, which is the default.

    :param info: :class:`gguf.GgufInfo`.
    :param context_size: tokens of all slots together, as llama-server's --ctx-size counts them.
    :param parallel: number of slots; None leaves it to llama-server.
    :param weights: bytes of all files of a model that is spread over several; ``info`` is then that of the first.
    :param cache: the types in which keys and values of the context are kept.
    """
    weights = weights if info.split else info.size_needed

    def value(key, default=None):
        found = info.metadata.get(f"{info.architecture}.{key}")
        return found if isinstance(found, int) and found > 0 else default

    def known(key):
        return f"{info.architecture}.{key}" in info.metadata

    layers, embedding, heads = value("block_count"), value("embedding_length"), value("attention.head_count", 0)
    if weights is None or not (layers and embedding and known("attention.head_count")):
        return None
    # KV heads that differ between layers stand in a list, which the reader leaves out. No layer has more than heads.
    kv_heads = value("attention.head_count_kv", heads)
    head = embedding // heads if heads else 0  # a model that only recurs has none
    kept = zip(("attention.key_length", "attention.value_length"), cache)
    per_token = sum(kv_heads * value(key, head) * _bytes_of_element(name) for key, name in kept)
    slots = parallel or SLOTS
    cells = _rounded(context_size) if parallel is None else slots * _rounded(context_size // slots)
    wide = value("expert_feed_forward_length", value("feed_forward_length", 4 * embedding))
    experts = value("expert_used_count", 0)
    activations = (8 + 2 * experts) * embedding + 2 * wide * max(experts, 1)
    logits = value("vocab_size", LARGEST_VOCABULARY) + 2 * embedding
    return Need(
        weights=weights,
        context=int(layers * (cells * per_token + slots * _state_elements(value, embedding, heads) * F32)),
        working=BATCH * max(F32 * logits, F32 * activations + F16 * (cells if parallel is None else cells // slots)),
        exact=known("attention.head_count_kv") and info.architecture in FULL_CONTEXT,
    )


def _bytes_of_element(cache_type):
    """What one number of a context takes; one whose type is not known here as much as by default."""
    elements, size = TENSOR_TYPES[CACHE_TYPES.get(cache_type, CACHE_TYPES["f16"])]
    return size / elements


def _rounded(tokens):
    return max(1, -(-tokens // CELLS)) * CELLS


def _state_elements(value, embedding, heads):
    """What one recurrent layer remembers of one slot (llama_hparams::n_embd_r and n_embd_s), 0 where none recurs."""
    if value("wkv.head_size"):
        return embedding * (value("token_shift_count", 2) + value("wkv.head_size"))
    if value("shortconv.l_cache"):
        return embedding * (value("shortconv.l_cache") - 1)
    convolution = value("ssm.conv_kernel", 1) - 1
    if value("kda.head_dim"):
        head = value("kda.head_dim")
        return heads * head * (3 * (convolution or 3) + head)
    inner, state = value("ssm.inner_size", 0), value("ssm.state_size", 0)
    return convolution * (inner + 2 * value("ssm.group_count", 0) * state) + state * inner


def fit_params_beside(server):
    """The path of the program that :func:`measured` runs, next to the llama-server binary, or None."""
    path = os.path.join(os.path.dirname(server), FIT_PARAMS) if server else ""
    return path if os.access(path, os.X_OK) else None


def measured(program, model, context_size, parallel=None, device=None, cache=F16_CACHE):
    """What the engine itself says that ``model`` (a path) needs, as a :class:`Need`; no weights are loaded.

    :param program: path of llama-fit-params, of the same build as the server.
    :param device: name of the device that the server computes on, such as MTL0; None is the CPU.
    :param cache: see :func:`estimated`.
    :raises LlamaCppError: when it gives no answer, for example for a model that it cannot load.
    """
    options = {"model": model, "ctx-size": context_size, "parallel": parallel or SLOTS, "device": device or "none"}
    if tuple(cache) != F16_CACHE:
        options.update(zip(("cache-type-k", "cache-type-v"), cache))
    command = [program, "--fit-print", "on"]
    for name, value in options.items():
        command += [f"--{name}", str(value)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LLAMA_")}
    environment["XDG_CONFIG_HOME"] = os.devnull  # no stray llama.cpp/config.ini
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=FIT_PARAMS_SECONDS,
            check=False,
            env=environment,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LlamaCppError(f"{program} does not work: {error}.") from error
    rows = dict(_rows(done.stdout.decode("utf-8", "replace")))
    numbers = rows.get(device or "Host")
    if done.returncode or numbers is None:
        raise LlamaCppError(f"{program} could not tell what {model} needs (exit status {done.returncode}).")
    return Need(*(number * MIB for number in numbers))


def _rows(text):
    """(device, [model, context, compute] in MiB) of each line that ``--fit-print`` prints (common/fit.cpp)."""
    for line in text.splitlines():
        words = line.split()
        if len(words) == 4 and all(word.isdigit() for word in words[1:]):
            yield words[0], [int(word) for word in words[1:]]
