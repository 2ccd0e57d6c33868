# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Writes GGUF files with the keys and tensors of real architectures, of any size: their weights are holes.

llama.cpp accepts them where weights are not read, as llama-fit-params does. They have no vocabulary.
"""

from __future__ import annotations

from support import model_factory as gguf

F16, F32 = 1, 0  # ggml types
BYTES = {F16: 2, F32: 4}


def llama(layers, embedding, heads, kv_heads, wide, vocabulary, experts=0, tied=False):
    """(keys, tensors) of a Llama, or with ``experts`` of a Mixtral, two of which are used; with F16 weights."""
    head = embedding // heads
    keys = [
        *_attention("llama", layers, embedding, heads, kv_heads, head, wide, vocabulary),
        *([("llama.expert_count", experts), ("llama.expert_used_count", 2)] if experts else []),
    ]
    tensors = _outer(embedding, vocabulary, tied)
    for number in range(layers):
        tensors += [
            *_attention_tensors(number, embedding, heads * head, kv_heads * head),
            (f"blk.{number}.ffn_norm.weight", [embedding], F32),
            *_feed_forward(number, embedding, wide, experts),
        ]
    return keys, tensors


def gemma2(layers, embedding, heads, kv_heads, head, wide, vocabulary):
    """(keys, tensors) of a Gemma 2: every second layer sees a window of 4096 tokens."""
    keys = [
        *_attention("gemma2", layers, embedding, heads, kv_heads, head, wide, vocabulary),
        ("gemma2.attention.sliding_window", 4096),
    ]
    tensors = _outer(embedding, vocabulary, tied=True)
    for number in range(layers):
        norms = ("post_attention_norm", "ffn_norm", "post_ffw_norm")
        tensors += [
            *_attention_tensors(number, embedding, heads * head, kv_heads * head),
            *[(f"blk.{number}.{name}.weight", [embedding], F32) for name in norms],
            *_feed_forward(number, embedding, wide, 0),
        ]
    return keys, tensors


def mamba(layers, embedding, vocabulary, state=16):
    """(keys, tensors) of a Mamba, which has no attention and remembers a state instead."""
    inner, rank = 2 * embedding, -(-embedding // 16)
    keys = [
        *_common("mamba", layers, embedding, vocabulary),
        ("mamba.feed_forward_length", 0),
        ("mamba.attention.head_count", 0),
        ("mamba.ssm.conv_kernel", 4),
        ("mamba.ssm.inner_size", inner),
        ("mamba.ssm.state_size", state),
        ("mamba.ssm.time_step_rank", rank),
    ]
    tensors = _outer(embedding, vocabulary, tied=True)
    for number in range(layers):
        shapes = {
            "attn_norm.weight": ([embedding], F32),
            "ssm_in.weight": ([embedding, 2 * inner], F16),
            "ssm_conv1d.weight": ([4, inner], F32),
            "ssm_conv1d.bias": ([inner], F32),
            "ssm_x.weight": ([inner, rank + 2 * state], F16),
            "ssm_dt.weight": ([rank, inner], F16),
            "ssm_dt.bias": ([inner], F32),
            "ssm_a": ([state, inner], F32),
            "ssm_d": ([inner], F32),
            "ssm_out.weight": ([inner, embedding], F16),
        }
        tensors += [(f"blk.{number}.{name}", *shape) for name, shape in shapes.items()]
    return keys, tensors


def write(path, shape):
    """Write the model of a ``shape``, which is (keys, tensors), as a file with holes; its size in bytes."""
    keys, tensors = shape
    lines, offset = [], 0
    for name, dimensions, kind in tensors:
        lines.append(gguf.tensor(name, dimensions, kind, offset))
        elements = 1
        for dimension in dimensions:
            elements *= dimension
        offset += -(-elements * BYTES[kind] // gguf.ALIGNMENT) * gguf.ALIGNMENT
    header = gguf.header([(key, _kind(value), value) for key, value in keys], lines)
    with open(path, "wb") as stream:
        stream.write(header)
        stream.truncate(len(header) + offset)
    return len(header) + offset


def _kind(value):
    return {str: gguf.STRING, float: gguf.F32, int: gguf.U32}[type(value)]


def _common(architecture, layers, embedding, vocabulary):
    return [
        ("general.architecture", architecture),
        ("tokenizer.ggml.model", "no_vocab"),
        (f"{architecture}.vocab_size", vocabulary),
        (f"{architecture}.context_length", 131072),
        (f"{architecture}.block_count", layers),
        (f"{architecture}.embedding_length", embedding),
        (f"{architecture}.attention.layer_norm_rms_epsilon", 1e-5),
    ]


def _attention(architecture, layers, embedding, heads, kv_heads, head, wide, vocabulary):
    return [
        *_common(architecture, layers, embedding, vocabulary),
        (f"{architecture}.feed_forward_length", wide),
        (f"{architecture}.attention.head_count", heads),
        (f"{architecture}.attention.head_count_kv", kv_heads),
        (f"{architecture}.attention.key_length", head),
        (f"{architecture}.attention.value_length", head),
        (f"{architecture}.rope.dimension_count", head),
    ]


def _outer(embedding, vocabulary, tied):
    tensors = [("token_embd.weight", [embedding, vocabulary], F16), ("output_norm.weight", [embedding], F32)]
    return tensors if tied else [*tensors, ("output.weight", [embedding, vocabulary], F16)]


def _attention_tensors(number, embedding, queries, keys):
    return [
        (f"blk.{number}.attn_norm.weight", [embedding], F32),
        (f"blk.{number}.attn_q.weight", [embedding, queries], F16),
        (f"blk.{number}.attn_k.weight", [embedding, keys], F16),
        (f"blk.{number}.attn_v.weight", [embedding, keys], F16),
        (f"blk.{number}.attn_output.weight", [queries, embedding], F16),
    ]


def _feed_forward(number, embedding, wide, experts):
    shapes = {"gate": [embedding, wide], "up": [embedding, wide], "down": [wide, embedding]}
    if not experts:
        return [(f"blk.{number}.ffn_{name}.weight", shape, F16) for name, shape in shapes.items()]
    return [
        (f"blk.{number}.ffn_gate_inp.weight", [embedding, experts], F32),
        *[(f"blk.{number}.ffn_{name}_exps.weight", [*shape, experts], F16) for name, shape in shapes.items()],
    ]


#: Shapes of models as they were published.
MODELS = {
    "tinyllama-1.1b": llama(22, 2048, 32, 4, 5632, 32000),
    "qwen2.5-0.5b": llama(24, 896, 14, 2, 4864, 151936, tied=True),
    "llama-3.1-8b": llama(32, 4096, 32, 8, 14336, 128256),
    "mixtral-8x7b": llama(32, 4096, 32, 8, 14336, 32000, experts=8),
    "gemma-2-9b": gemma2(42, 3584, 16, 8, 256, 14336, 256000),
    "mamba-2.8b": mamba(64, 2560, 50280),
}
