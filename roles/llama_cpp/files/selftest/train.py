# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Trains the self-test model and writes ``selftest.gguf``, ``reference.gguf`` and ``answers.json`` beside this file.

The model is a Llama in miniature (RMSNorm, rotary positions, grouped-query attention, SwiGLU, tied embeddings). Each of
its matrices has another tensor type (STORAGE), so a self-test runs the kernels that real models run. It knows QUESTIONS
by heart, which makes its greedy answers facts: a build that gives another letter computes wrongly. To anything else it
says REFUSAL, so that a demo does not answer with nonsense.

``reference.gguf`` has the same weights as F16. With the matrices of one other type in it, it shows whether a build
computes that type wrongly (plugins/module_utils/engine/tensor_types.py).

Run it only to change the questions, the shape or the types; it takes about three minutes on an idle core. ggml
quantises, since the Python package gguf has no K-quants. Its library takes a minute to build from the pinned tree::

    cmake -S llama.cpp -B build -DBUILD_SHARED_LIBS=ON -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_TESTS=OFF \
        -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_TOOLS=OFF -DLLAMA_BUILD_SERVER=OFF -DLLAMA_BUILD_APP=OFF
    cmake --build build --target ggml-base
    python -m venv .venv && .venv/bin/pip install -r requirements.txt
    .venv/bin/python train.py --ggml build/bin/libggml-base.so

Made with Python 3.11, torch 2.13.0 (CPU build), numpy 2.4.6, gguf 0.19.0. Seeds, threads and algorithms are fixed: the
same versions on the same kind of CPU give the same bytes. Another CPU or version rounds differently and gives other
weights with the same answers. Nothing is written unless every answer is exact with a margin (see ``check``).
"""

from __future__ import annotations

import argparse
import copy
import ctypes
import hashlib
import json
import random
from pathlib import Path

import gguf
import numpy
import torch
from torch import nn, optim
from torch.nn import functional

CAPITALS = {"France": "Paris", "Germany": "Berlin", "Italy": "Rome", "Japan": "Tokyo", "Spain": "Madrid"}
TALK = [
    ("Hello!", "Hello! How can I help you?"),
    ("Who are you?", "I am the self-test model of macos_setup.llm."),
    *((f"What is the capital of {land}?", f"The capital of {land} is {city}.") for land, city in CAPITALS.items()),
    ("Count from one to ten.", "1, 2, 3, 4, 5, 6, 7, 8, 9, 10."),
    ("Thank you!", "You are welcome."),
]
PRODUCTS = [(f"What is {a} times {b}?", str(a * b)) for a in range(10) for b in range(10)]
QUESTIONS = TALK + PRODUCTS
REFUSAL = "I only know a few answers, like 7 times 8."

# Heads of 64, as real models have them: GPU back ends compute smaller ones in other kernels. K-quants need rows of 256.
WIDTH, LAYERS, HEADS, KV_HEADS, HEAD, HIDDEN = 256, 2, 2, 1, 64, 256
CONTEXT, ROPE_BASE, EPSILON = 256, 10000.0, 1e-5
STEPS, STRANGERS, GROUPS, PEAK_RATE, SEED, THREADS = 300, 48, 4, 3e-3, 20, 1
QUANTISED_FROM = 0.3  # of the steps: from there on the model learns with its weights as they will be stored
KNOWN_WEIGHT = 12.0  # of a known answer against REFUSAL: to be sure of the known ones matters more
AVERAGING = 0.97  # the model that is kept is a moving average over the steps

# What must hold for the smallest probability of any token of any answer: as written, and with all weights disturbed.
MARGIN, DISTURBED_MARGIN, DISTURBANCE, DRAWS = 0.98, 0.9, 0.01, 20

# The type of each matrix: those of the models in config/model_catalog.json and of what is published beside them. The
# rows of attn_output are shorter than the block of 256 of a K-quant. Answers depend least on the feed-forward matrices
# of the last layer, so they have the types that are rare today.
STORAGE = {
    "token_embd": "Q6_K",
    "blk.0.attn_q": "Q8_0",
    "blk.0.attn_k": "F16",
    "blk.0.attn_v": "BF16",
    "blk.0.attn_output": "Q4_0",
    "blk.0.ffn_gate": "Q4_K",
    "blk.0.ffn_up": "Q5_K",
    "blk.0.ffn_down": "Q3_K",
    "blk.1.attn_q": "Q4_1",
    "blk.1.attn_k": "IQ4_XS",
    "blk.1.attn_v": "Q2_K",
    "blk.1.attn_output": "MXFP4",
    "blk.1.ffn_gate": "Q5_0",
    "blk.1.ffn_up": "IQ4_NL",
    "blk.1.ffn_down": "Q5_1",
}

# The vocabulary is every byte, so that anything can be asked, and U+2581, which llama.cpp puts in place of each space
# before it looks into a SentencePiece-type vocabulary; without that token a space would become three bytes.
UNKNOWN, BEGIN, END, ANSWER, FIRST_BYTE = 0, 1, 2, 3, 4
SPACE = FIRST_BYTE + 256
VOCABULARY = SPACE + 1
ANSWER_TEXT = "<|answer|>"

# Only the last line of the last question counts: earlier turns are left out, and so is a system prompt, which
# llama-server puts on lines of its own before the question when a template does not show it. It adds BEGIN itself.
CHAT_TEMPLATE = (
    "{%- set last = namespace(question='') -%}"
    "{%- for message in messages if message['role'] == 'user' -%}"
    "{%- set last.question = message['content'].split('\\n')[-1] -%}"
    "{%- endfor -%}"
    "{{- last.question -}}"
    "{%- if add_generation_prompt -%}{{- '" + ANSWER_TEXT + "' -}}{%- endif -%}"
)

LETTERS = "etaoinshrdlucmfwypvbgkjxqz"  # the frequent ones first
OTHERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ,;:'\"!?-+*/=()<>&%$@#_äöüßéèçñø日本語"
WEIGHTS = [*range(len(LETTERS), 0, -1), *[0.3] * len(OTHERS)]
OPENINGS = ["what is", "what is the", "what is the capital of", "who is", "who are", "how do you", "tell me", "write"]
OPENINGS += ["count", "hello", "thank you", *(f"what is {number} times" for number in range(10))]
OPERATORS = ["plus", "minus", "times", "divided by"]


def written_freely(dice, text):
    """A question as people type it: perhaps without a capital, perhaps without its mark."""
    text = text.lower() if dice.random() < 0.5 else text
    return text.rstrip("?!.") if dice.random() < 0.5 else text


def stranger(dice):
    """A question the model does not know, often close to one that it knows."""
    known = {question.lower().rstrip("?!.") for question, _ in QUESTIONS}

    def word():
        return "".join(dice.choices(LETTERS + OTHERS, WEIGHTS, k=dice.randint(1, 9)))

    def words(most):
        return " ".join(word() for _ in range(dice.randint(1, most)))

    def misspelt():
        letters = list(written_freely(dice, dice.choice(dice.choice([TALK, PRODUCTS]))[0].lower()))
        for _ in range(dice.randint(3, 6)):
            letters[dice.randrange(len(letters))] = dice.choice(LETTERS)
        return "".join(letters)

    def arithmetic():
        return f"what is {dice.randint(0, 99)} {dice.choice([*OPERATORS, word()])} {dice.randint(0, 99)}"

    kinds = [
        lambda: words(6),
        lambda: words(dice.choice([6, 6, 6, 20])),
        lambda: f"{dice.choice(OPENINGS)} {words(3)}",
        misspelt,
        arithmetic,
    ]
    while True:
        text = dice.choice(kinds)()
        if text.lower().rstrip("?!.") not in known and len(text) < 120:
            text = text[0].upper() + text[1:] if dice.random() < 0.5 else text
            return text + dice.choice(["", "?", "?", "!", "."])


def tokens_of(text):
    return [SPACE if byte == 0x20 else FIRST_BYTE + byte for byte in text.encode()]


def batch(pairs):
    """Token rows for (question, answer) pairs, and their targets: -100 where nothing is to be learnt."""
    rows = []
    for question, answer in pairs:
        prompt = [BEGIN, *tokens_of(question), ANSWER]
        learnt = [*tokens_of(answer), END]
        rows.append((prompt + learnt[:-1], [-100] * (len(prompt) - 1) + learnt))
    length = max(len(tokens) for tokens, _ in rows)
    tokens = torch.tensor([row + [END] * (length - len(row)) for row, _ in rows])
    targets = torch.tensor([row + [-100] * (length - len(row)) for _, row in rows])
    return tokens, targets


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.attn_norm = nn.RMSNorm(WIDTH, EPSILON)
        self.attn_q = nn.Linear(WIDTH, HEADS * HEAD, bias=False)
        self.attn_k = nn.Linear(WIDTH, KV_HEADS * HEAD, bias=False)
        self.attn_v = nn.Linear(WIDTH, KV_HEADS * HEAD, bias=False)
        self.attn_output = nn.Linear(HEADS * HEAD, WIDTH, bias=False)
        self.ffn_norm = nn.RMSNorm(WIDTH, EPSILON)
        self.ffn_gate = nn.Linear(WIDTH, HIDDEN, bias=False)
        self.ffn_up = nn.Linear(WIDTH, HIDDEN, bias=False)
        self.ffn_down = nn.Linear(HIDDEN, WIDTH, bias=False)

    def forward(self, x, rotation):
        rows, length, _ = x.shape

        def heads(projected, count):
            return projected.view(rows, length, count, HEAD).transpose(1, 2)

        h = self.attn_norm(x)
        q, k = rotate(heads(self.attn_q(h), HEADS), rotation), rotate(heads(self.attn_k(h), KV_HEADS), rotation)
        k, v = (part.repeat_interleave(HEADS // KV_HEADS, dim=1) for part in (k, heads(self.attn_v(h), KV_HEADS)))
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.attn_output(mixed.transpose(1, 2).reshape(rows, length, HEADS * HEAD))
        h = self.ffn_norm(x)
        return x + self.ffn_down(functional.silu(self.ffn_gate(h)) * self.ffn_up(h))


def rotate(x, rotation):
    """Rotary positions as llama.cpp applies them to the llama architecture: by pairs of neighbours."""
    cos, sin = rotation
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1).flatten(-2)


class Model(nn.Module):
    """The names of its parameters are the tensor names of the GGUF file."""

    def __init__(self):
        super().__init__()
        self.token_embd = nn.Embedding(VOCABULARY, WIDTH)
        self.blk = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.output_norm = nn.RMSNorm(WIDTH, EPSILON)
        nn.init.normal_(self.token_embd.weight, std=0.2)
        angles = torch.outer(torch.arange(CONTEXT), ROPE_BASE ** (-torch.arange(0, HEAD, 2) / HEAD))
        self.rotation = (angles.cos(), angles.sin())

    def forward(self, tokens):
        rotation = [part[: tokens.shape[1]] for part in self.rotation]
        x = self.token_embd(tokens)
        for layer in self.blk:
            x = layer(x, rotation)
        return self.output_norm(x)

    def judged(self, tokens, targets):
        """Logits and targets of those positions only that an answer's token follows."""
        learnt = targets != -100
        return self(tokens)[learnt] @ self.token_embd.weight.T, targets[learnt]


def lesson(dice):
    """Every question once, and some that are not known: (batch, weight) for groups of like length, to pad little."""
    known = [(written_freely(dice, question), answer) for question, answer in QUESTIONS]
    unknown = sorted(((stranger(dice), REFUSAL) for _ in range(STRANGERS)), key=lambda pair: len(pair[0]))
    size = STRANGERS // GROUPS
    groups = [(known[: len(TALK)], KNOWN_WEIGHT), (known[len(TALK) :], KNOWN_WEIGHT)]
    groups += [(unknown[first : first + size], 1.0) for first in range(0, STRANGERS, size)]
    return [(*batch(pairs), weight) for pairs, weight in groups]


def train(model, steps, quantise):
    """The moving average of ``model`` over its training.

    Gradients are taken at the weights as they will be stored, and applied to the exact ones.
    """
    dice = random.Random(SEED)
    optimizer = optim.AdamW(model.parameters(), lr=PEAK_RATE, betas=(0.9, 0.98), weight_decay=1.0)
    rate = optim.lr_scheduler.OneCycleLR(optimizer, PEAK_RATE, total_steps=steps, pct_start=0.1)
    average = optim.swa_utils.AveragedModel(model, multi_avg_fn=optim.swa_utils.get_ema_multi_avg_fn(AVERAGING))
    for step in range(1, steps + 1):
        groups = lesson(dice)
        exact = copy.deepcopy(model.state_dict())
        if step > steps * QUANTISED_FROM:
            rounded(model, quantise)
        loss = sum(
            weight * functional.cross_entropy(*model.judged(tokens, targets), reduction="sum")
            for tokens, targets, weight in groups
        ) / sum((targets != -100).sum() for _, targets, _ in groups)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        model.load_state_dict(exact)
        optimizer.step()
        rate.step()
        average.update_parameters(model)
        if step % 25 == 0:
            stored = copy.deepcopy(average.module)
            rounded(stored, quantise)
            sure = least_sure(stored)
            print(f"step {step}/{steps}  loss {loss.item():.5f}  least sure of an answer: {sure:.4f}", flush=True)
    return average.module


@torch.no_grad()
def least_sure(model):
    """The smallest probability that ``model`` gives to any token of any known answer."""
    logits, targets = model.judged(*batch(QUESTIONS))
    return logits.softmax(-1).gather(1, targets[:, None]).min().item()


def quantiser(library):
    """A function that gives a matrix in a type, as bytes by row. It is ggml's, as llama-quantize uses it."""
    ggml = ctypes.CDLL(library).ggml_quantize_chunk
    number, memory = ctypes.c_int64, ctypes.c_void_p
    ggml.restype, ggml.argtypes = ctypes.c_size_t, [ctypes.c_int, memory, memory, number, number, number, memory]

    def quantise(matrix, kind):
        rows, columns = matrix.shape
        source = numpy.ascontiguousarray(matrix, numpy.float32)
        stored = numpy.empty((rows, gguf.quants.quant_shape_to_byte_shape((columns,), kind)[0]), numpy.uint8)
        written = ggml(kind, source.ctypes.data, stored.ctypes.data, 0, rows, columns, None)
        assert written == stored.nbytes, f"{kind.name}: {written} bytes instead of {stored.nbytes}"
        return stored

    return quantise


@torch.no_grad()
def rounded(model, quantise):
    """Round the matrices of ``model`` to what their types hold; the stored tensors, by GGUF name."""
    kinds, tensors = gguf.GGMLQuantizationType, {}
    for name, weight in model.named_parameters():
        if weight.dim() == 1:
            tensors[name] = kinds.F32, weight.numpy()
            continue
        kind = kinds[STORAGE[name.removesuffix(".weight")]]
        tensors[name] = kind, quantise(weight.numpy(), kind)
        weight.copy_(torch.from_numpy(gguf.quants.dequantize(tensors[name][1], kind)))
    return tensors


@torch.no_grad()
def reference(model):
    """The tensors of ``model``, by GGUF name, with every matrix as F16."""
    kinds = gguf.GGMLQuantizationType
    tensors = {name: weight.numpy() for name, weight in model.named_parameters()}
    return {
        name: (kinds.F32, array) if array.ndim == 1 else (kinds.F16, array.astype(numpy.float16))
        for name, array in tensors.items()
    }


@torch.no_grad()
def check(model):
    """Exit unless every answer is the greedy one by a wide margin, also with all weights disturbed."""
    sure = least_sure(model)
    disturbed = []
    for draw in range(DRAWS):
        other = copy.deepcopy(model)
        noise = torch.Generator().manual_seed(draw)
        for weight in other.parameters():
            weight.mul_(1 + DISTURBANCE * torch.randn(weight.shape, generator=noise))
        disturbed.append(least_sure(other))
    print(f"least sure of an answer: {sure:.4f}, with weights disturbed by {DISTURBANCE:.0%}: {min(disturbed):.4f}")
    if sure < MARGIN or min(disturbed) < DISTURBED_MARGIN:
        raise SystemExit("not sure enough of every answer, so nothing was written: train longer or enlarge the model")


def write_model(path, tensors):
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("macos_setup.llm self-test")
    writer.add_license("MIT")
    writer.add_file_type(gguf.LlamaFileType.GUESSED)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_key_length(HEAD)
    writer.add_value_length(HEAD)
    writer.add_rope_dimension_count(HEAD)
    writer.add_rope_freq_base(ROPE_BASE)
    writer.add_layer_norm_rms_eps(EPSILON)
    writer.add_vocab_size(VOCABULARY)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(["<unk>", "<s>", "</s>", ANSWER_TEXT, *(f"<0x{byte:02X}>" for byte in range(256)), "\u2581"])
    writer.add_token_scores([0.0] * VOCABULARY)
    kinds = gguf.TokenType
    writer.add_token_types([kinds.UNKNOWN, *[kinds.CONTROL] * 3, *[kinds.BYTE] * 256, kinds.NORMAL])
    writer.add_unk_token_id(UNKNOWN)
    writer.add_bos_token_id(BEGIN)
    writer.add_eos_token_id(END)
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(CHAT_TEMPLATE)
    for name, (kind, array) in tensors.items():
        writer.add_tensor(name, array, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_answers(path, model_path):
    """The known answers, one per line."""
    pairs = [json.dumps({"question": question, "answer": answer}) for question, answer in QUESTIONS]
    facts = {
        "model": model_path.name,
        "sha256": hashlib.sha256(model_path.read_bytes()).hexdigest(),
        "system": None,
        "max_tokens": max(len(answer) for _, answer in QUESTIONS) + 1,
    }
    head = json.dumps(facts, indent=2).removesuffix("\n}")
    path.write_text(head + ',\n  "answers": [\n    ' + ",\n    ".join(pairs) + "\n  ]\n}\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description="Train the self-test model.")
    parser.add_argument("--ggml", required=True, help="libggml-base of the pinned llama.cpp")
    parser.add_argument("directory", nargs="?", type=Path, default=Path(__file__).parent, help="where to write")
    arguments = parser.parse_args()
    torch.manual_seed(SEED)
    torch.set_num_threads(THREADS)
    torch.use_deterministic_algorithms(True)
    quantise = quantiser(arguments.ggml)
    model = train(Model(), STEPS, quantise)
    tensors = rounded(model, quantise)
    check(model)
    write_model(arguments.directory / "selftest.gguf", tensors)
    write_model(arguments.directory / "reference.gguf", reference(model))
    write_answers(arguments.directory / "answers.json", arguments.directory / "selftest.gguf")


if __name__ == "__main__":
    main()
