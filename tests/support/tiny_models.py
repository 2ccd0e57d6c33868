# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Writes whole models that llama-server loads and computes with: a few thousand random weights, a vocabulary of bytes.

What they answer means nothing, and is always the same.
"""

from __future__ import annotations

import math
import random
import struct

from support.model_factory import ALIGNMENT, ARRAY, BOOL, F32, I32, STRING, U32, header, tensor

FLOAT_TENSOR = 0
RANK = 4  # of llama.cpp's enum llama_pooling_type: the context gives a score
UNKNOWN, NORMAL, CONTROL, BYTE = 2, 1, 3, 6  # of its enum llama_token_type

#: SentencePiece of single bytes, and of U+2581, as which it takes the blank.
TOKENS = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁"]
TOKEN_TYPES = [UNKNOWN, CONTROL, CONTROL, *[BYTE] * 256, NORMAL]

WIDTH, WIDE, CONTEXT = 32, 64, 128
PATCH, IMAGE = 14, 28  # pixels on a side
IMAGE_TOKENS = (IMAGE // PATCH) ** 2


def write_reranker(path):
    """A cross-encoder: a BERT of one layer with a head that makes one score of a question and a document."""
    keys = (
        ("general.architecture", STRING, "bert"),
        ("bert.context_length", U32, CONTEXT),
        ("bert.embedding_length", U32, WIDTH),
        ("bert.block_count", U32, 1),
        ("bert.feed_forward_length", U32, WIDE),
        ("bert.attention.head_count", U32, 2),
        ("bert.attention.layer_norm_epsilon", F32, 1e-5),
        ("bert.attention.causal", BOOL, False),
        ("bert.pooling_type", U32, RANK),
        ("tokenizer.ggml.model", STRING, "llama"),
        ("tokenizer.ggml.tokens", ARRAY, (STRING, TOKENS)),
        ("tokenizer.ggml.scores", ARRAY, (F32, [0.0] * len(TOKENS))),
        ("tokenizer.ggml.token_type", ARRAY, (I32, TOKEN_TYPES)),
        ("tokenizer.ggml.token_type_count", U32, 1),
        ("tokenizer.ggml.bos_token_id", U32, 1),
        ("tokenizer.ggml.eos_token_id", U32, 2),
        ("tokenizer.ggml.add_bos_token", BOOL, True),
        ("tokenizer.ggml.add_eos_token", BOOL, True),
    )
    shapes = {
        "token_embd.weight": [WIDTH, len(TOKENS)],
        "token_types.weight": [WIDTH, 1],
        "position_embd.weight": [WIDTH, CONTEXT],
        **_norm("token_embd_norm"),
        **_attention("blk.0", "attn_output", WIDTH),
        **_norm("blk.0.attn_output_norm"),
        **_norm("blk.0.layer_output_norm"),
        "cls.weight": [WIDTH, WIDTH],
        "cls.output.weight": [WIDTH, 1],
    }
    _write(path, keys, shapes)


def write_projector(path, width):
    """The eye of a LLaVA for a model of ``width``: it makes IMAGE_TOKENS of any image."""
    keys = (
        ("general.architecture", STRING, "clip"),
        ("general.type", STRING, "mmproj"),
        ("clip.has_vision_encoder", BOOL, True),
        ("clip.projector_type", STRING, "mlp"),
        ("clip.vision.image_size", U32, IMAGE),
        ("clip.vision.patch_size", U32, PATCH),
        ("clip.vision.image_mean", ARRAY, (F32, [0.5] * 3)),
        ("clip.vision.image_std", ARRAY, (F32, [0.5] * 3)),
        ("clip.vision.embedding_length", U32, WIDTH),
        ("clip.vision.block_count", U32, 2),  # the last of which LLaVA leaves out
        ("clip.vision.feed_forward_length", U32, WIDE),
        ("clip.vision.attention.head_count", U32, 2),
        ("clip.vision.attention.layer_norm_epsilon", F32, 1e-5),
        ("clip.vision.projection_dim", U32, width),
    )
    shapes = {
        "v.patch_embd.weight": [PATCH, PATCH, 3, WIDTH],
        "v.position_embd.weight": [WIDTH, IMAGE_TOKENS],
        "mm.0.weight": [WIDTH, width],
        "mm.0.bias": [width],
        "mm.2.weight": [width, width],
        "mm.2.bias": [width],
    }
    for block in ("v.blk.0", "v.blk.1"):
        shapes.update({**_norm(f"{block}.ln1"), **_attention(block, "attn_out", WIDTH), **_norm(f"{block}.ln2")})
    _write(path, keys, shapes)


def _norm(name):
    return {f"{name}.weight": [WIDTH], f"{name}.bias": [WIDTH]}


def _attention(block, output, width):
    """The matrices of one layer."""
    square = {f"{block}.{name}.weight": [width, width] for name in ("attn_q", "attn_k", "attn_v", output)}
    return {**square, f"{block}.ffn_up.weight": [width, WIDE], f"{block}.ffn_down.weight": [WIDE, width]}


def _write(path, keys, shapes):
    """A GGUF file of ``shapes``, by name, with weights that keep what passes through them about as large as it was."""
    lines, data, dice = [], b"", random.Random(1)
    for name, dimensions in shapes.items():
        lines.append(tensor(name, dimensions, FLOAT_TENSOR, len(data)))
        count, spread = math.prod(dimensions), 1 / math.sqrt(dimensions[0])
        data += struct.pack("<%df" % count, *(dice.gauss(0, spread) for _ in range(count)))
        data += bytes(-len(data) % ALIGNMENT)
    path.write_bytes(header(keys, lines) + data)
