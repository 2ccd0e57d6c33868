# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Makes small GGUF files: sound ones of a chosen size, and hostile ones."""

from __future__ import annotations

import hashlib
import random
import struct

from ansible_collections.macos_setup.llm.plugins.module_utils.models import gguf

ALIGNMENT = 32
U8, I8, U16, U32, I32, F32, BOOL, STRING, ARRAY, U64 = 0, 1, 2, 4, 5, 6, 7, 8, 9, 10
CODES = {U8: "B", I8: "b", U16: "H", U32: "I", I32: "i", F32: "f", BOOL: "?", U64: "Q"}
BLOCK = 256  # elements: a whole block of each type
BYTE_TENSOR = 24  # ggml type I8: one byte for each element

KEYS = (
    ("general.architecture", STRING, "llama"),
    ("general.name", STRING, "a small model"),
    ("general.file_type", U32, 7),
    ("llama.context_length", U32, 128),
    ("tokenizer.ggml.tokens", ARRAY, (STRING, ["a", "bc", "▁def"])),
    ("tokenizer.ggml.scores", ARRAY, (F32, [0.0, -1.0, -2.0])),
    ("tokenizer.ggml.add_bos_token", BOOL, True),
    ("tokenizer.chat_template", STRING, "{{ messages }}" * 100),
)


def text(value):
    """A GGUF string: length and bytes."""
    raw = value.encode("utf-8") if isinstance(value, str) else value
    return struct.pack("<Q", len(raw)) + raw


def key_value(key, kind, value):
    return text(key) + struct.pack("<i", kind) + _value(kind, value)


def _value(kind, value):
    if kind == STRING:
        return text(value)
    if kind == ARRAY:
        inner, items = value
        return struct.pack("<iQ", inner, len(items)) + b"".join(_value(inner, item) for item in items)
    return struct.pack("<" + CODES[kind], value)


def tensor(name, dimensions, kind=BYTE_TENSOR, offset=0):
    """One line of the tensor table."""
    return (
        text(name)
        + struct.pack("<I%dq" % len(dimensions), len(dimensions), *dimensions)
        + struct.pack("<iQ", kind, offset)
    )


def header(keys=KEYS, tensors=(), *, magic=b"GGUF", version=3, n_tensors=None, n_keys=None, order="<"):
    """A header with its padding; the counts are those of what is given unless they are to lie."""
    counts = (len(tensors) if n_tensors is None else n_tensors, len(keys) if n_keys is None else n_keys)
    raw = magic + struct.pack(order + "Iqq", version, *counts)
    raw += b"".join(key_value(*key) for key in keys) + b"".join(tensors)
    return raw + b"\0" * (-len(raw) % ALIGNMENT)


def model_bytes(size=4096, seed=0, keys=KEYS):
    """A sound model of exactly ``size`` bytes; another seed gives other weights."""
    weights = size - len(header(keys, [tensor("weights", [0])]))
    assert weights >= 0, "a header alone takes more than %d bytes" % size
    return header(keys, [tensor("weights", [weights])]) + random.Random(seed).randbytes(weights)


def typed_model(tensors):
    """A sound model of one block of each tensor, given as name -> (ggml type id, how its data begins)."""
    lines, data = [], b""
    for name, (kind, begin) in tensors.items():
        elements, size = gguf.TENSOR_TYPES[kind]
        size *= BLOCK // elements
        lines.append(tensor(name, [BLOCK], kind, len(data)))
        data += begin.ljust(size, b"\0") + bytes(-size % ALIGNMENT)
    return header(KEYS, lines) + data


def write_model(path, size=4096, seed=0, keys=KEYS):
    """Write :func:`model_bytes` to ``path``; its SHA-256 as 64 hex digits."""
    content = model_bytes(size, seed, keys)
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def split_model(count, size=4096, seed=0, lies=()):
    """The ``count`` files of one model, as llama-gguf-split makes them; ``lies`` replace what their headers say."""
    files = []
    for number in range(count):
        told = {"no": number, "count": count, "tensors.count": count, **dict(lies)}
        keys = (*(KEYS if number == 0 else KEYS[:1]), *((f"split.{key}", U32, value) for key, value in told.items()))
        files.append(model_bytes(size + 32 * number, seed * 100 + number, keys))
    return files


def split_of(path, count):
    """The sound model ``path`` as ``count`` files, as ``llama-gguf-split --split-max-tensors`` makes them."""
    raw = path.read_bytes()
    n_tensors, n_keys = struct.unpack_from("<qq", raw, 8)
    with open(path, "rb", buffering=0) as stream:
        reader = gguf._Reader(stream, len(raw), str(path))
        reader.skip(24)
        gguf._read_metadata(reader, n_keys)
        keys_end, table = reader.offset, []
        for _ in range(n_tensors):
            begin = reader.offset
            (entry,) = gguf._read_tensors(reader, 1)
            table.append((raw[begin : reader.offset - 8], entry))
        data_start = reader.offset + -reader.offset % ALIGNMENT
    files = []
    for number in range(count):
        own = table[number * n_tensors // count : (number + 1) * n_tensors // count]
        told = (("split.no", U16, number), ("split.count", U16, count), ("split.tensors.count", I32, n_tensors))
        keys = raw[24:keys_end] if number == 0 else b""
        lines, data = b"", b""
        for line, entry in own:
            lines += line + struct.pack("<Q", len(data))
            data += raw[data_start + entry.offset :][: entry.size]
            data += bytes(-len(data) % ALIGNMENT)
        counts = struct.pack("<Iqq", 3, len(own), len(told) + (n_keys if number == 0 else 0))
        head = b"GGUF" + counts + keys + b"".join(key_value(*key) for key in told) + lines
        files.append(head + bytes(-len(head) % ALIGNMENT) + data)
    return files


def adapter_bytes(size=4096):
    """A LoRA adapter, as far as its header goes."""
    return model_bytes(size, keys=(*KEYS[:1], ("general.type", STRING, "adapter"), ("adapter.type", STRING, "lora")))


def projector_bytes(size=4096):
    """A multimodal projector, as far as its header goes."""
    return model_bytes(size, keys=(("general.architecture", STRING, "clip"), ("general.type", STRING, "mmproj")))


def reranker_bytes():
    """A model with a head that makes scores, as far as its header goes."""
    return header(KEYS, [tensor("cls.output.weight", [8])]) + bytes(8)


def hostile_files():
    """Files that must be refused, by what is wrong with them."""
    huge, negative = 2**62, -1
    one = [tensor("weights", [16])]
    claim = text("a.b") + struct.pack("<iiQ", ARRAY, STRING, huge)
    return {
        "empty": b"",
        "three bytes": b"GGU",
        "a web page": b"<!DOCTYPE html><html></html>",
        "version 1": header(version=1),
        "version 4": header(version=4),
        "version 0": header(version=0),
        "big-endian": header((), order=">", n_keys=0),
        "header ends in the counts": header()[:20],
        "header ends in a key": header()[:40],
        "absurd tensor count": header(n_tensors=huge),
        "negative tensor count": header(n_tensors=negative),
        "absurd key count": header(n_keys=huge),
        "negative key count": header(n_keys=negative),
        "more keys than there are": header(n_keys=len(KEYS) + 1),
        "absurd key length": header((), n_keys=1) + struct.pack("<Q", huge) + bytes(64),
        "empty key": header([("", U8, 1)]) + bytes(64),
        "key twice": header([("a", U8, 1), ("a", U8, 2)]) + bytes(64),
        "unknown value type": header((), n_keys=1)[:24] + text("a") + struct.pack("<i", 77) + bytes(64),
        "absurd string length": header((), n_keys=1)[:24] + text("a") + struct.pack("<iQ", STRING, huge) + bytes(64),
        "absurd array length": header((), n_keys=1)[:24] + claim + bytes(64),
        "array length that overflows": header((), n_keys=1)[:24] + text("a") + struct.pack("<iiQ", ARRAY, U64, 2**61),
        "array of arrays": header((), n_keys=1)[:24] + text("a") + struct.pack("<iiQ", ARRAY, ARRAY, 1) + bytes(64),
        "alignment that is no power of 2": header([("general.alignment", U32, 33)], one) + bytes(64),
        "alignment 0": header([("general.alignment", U32, 0)], one) + bytes(64),
        "alignment that is text": header([("general.alignment", STRING, "32")], one) + bytes(64),
        "tensor name too long": header(KEYS, [tensor("n" * 64, [16])]) + bytes(64),
        "tensor twice": header(KEYS, [*one, tensor("weights", [16], offset=32)]) + bytes(64),
        "five dimensions": header(KEYS, [tensor("weights", [1, 1, 1, 1, 16])]) + bytes(64),
        "negative dimension": header(KEYS, [tensor("weights", [-16])]) + bytes(64),
        "two negative dimensions": header(KEYS, [tensor("weights", [-4, -4])]) + bytes(64),
        "dimensions that overflow": header(KEYS, [tensor("weights", [2**40, 2**40])]) + bytes(64),
        "size that overflows": header(KEYS, [tensor("weights", [2**62], kind=28)]) + bytes(64),
        "row that ends inside a block": header(KEYS, [tensor("weights", [31], kind=8)]) + bytes(64),
        "offset beyond the end": header(KEYS, [tensor("weights", [16], offset=2**63)]) + bytes(64),
        "gap between tensors": header(KEYS, [*one, tensor("more", [16], offset=64)]) + bytes(128),
        "tensors that overlap": header(KEYS, [tensor("a", [64]), tensor("b", [64], offset=32)]) + bytes(128),
        "split number beyond the set": header([("split.no", U32, 3), ("split.count", U32, 3)]),
        "last byte missing": model_bytes(4096)[:-1],
        "all weights missing": header(KEYS, [tensor("weights", [2048])]),
    }


def with_noise(content, seed):
    """``content`` with a few bytes of its first part changed, put in, or taken out; the same for the same seed."""
    dice = random.Random(seed)
    raw = bytearray(content)
    for _ in range(dice.randint(1, 4)):
        place = dice.randrange(min(len(raw), 600))
        kind = dice.randrange(4)
        if kind == 0:
            raw[place] = dice.randrange(256)
        elif kind == 1:
            raw[place : place + 8] = struct.pack("<Q", dice.choice([0, 1, 2**31, 2**32, 2**62, 2**63, 2**64 - 1]))
        elif kind == 2:
            del raw[place : place + dice.randint(1, 16)]
        else:
            raw[place:place] = dice.randbytes(dice.randint(1, 16))
    return bytes(raw)
