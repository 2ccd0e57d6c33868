# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What a GGUF file says about itself, and whether the file is all there.

Only the header is read: the key/values and the tensor table. The layout and the rules are those of llama.cpp
(ggml/include/gguf.h, ggml/src/gguf.cpp at 0c1e570), so a file refused here would be refused there too. The
tensor data is not looked at: a flipped bit in it is found by the SHA-256, not here.

A header is untrusted input. Every count and length is checked against the bytes that are left before anything
is read or kept, and the limits below, far above those of real files, bound time and memory.
"""

from __future__ import annotations

import os
import stat
import struct
from typing import NamedTuple

from ..base.errors import LlamaCppError
from ..base.files import open_file

# Real headers today: up to 16 MiB, 60 keys, 800,000 strings (vocabulary and merges), a few thousand tensors.
MAX_HEADER_BYTES = 128 * 1024 * 1024
MAX_KEYS = 65536
MAX_KEY_BYTES = 65535  # docs/gguf.md of ggml; llama.cpp sets no limit
MAX_STRINGS = 2_000_000
MAX_TENSORS = 32768
MAX_TENSOR_NAME_BYTES = 63  # GGML_MAX_NAME, less its NUL
MAX_DIMENSIONS = 4
KEPT_TEXT_BYTES = 1024  # longer texts (chat templates) are only known to be there

WINDOW_BYTES = 256 * 1024
INT64_MAX = 2**63 - 1

STRING, ARRAY = 8, 9
SCALARS = {
    number: struct.Struct("<" + code)
    for number, code in {
        0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d",
    }.items()
}  # fmt: skip

# ggml type id: (elements in a block, bytes of a block); gguf-py/gguf/constants.py, GGML_QUANT_SIZES.
TENSOR_TYPES = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 36),
    10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292),
    16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82),
    23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2),
    34: (256, 54), 35: (256, 66), 39: (32, 17), 40: (64, 36), 41: (128, 18), 42: (64, 18),
}  # fmt: skip

#: Types that ggml has had and removed (ggml/src/ggml.c), and what their data can be had as instead.
REMOVED_TYPES = {
    4: ("Q4_2", "Q4_0"), 5: ("Q4_3", "Q4_1"),
    31: ("Q4_0_4_4", "Q4_0"), 32: ("Q4_0_4_8", "Q4_0"), 33: ("Q4_0_8_8", "Q4_0"),
    36: ("IQ4_NL_4_4", "IQ4_NL"), 37: ("IQ4_NL_4_8", "IQ4_NL"), 38: ("IQ4_NL_8_8", "IQ4_NL"),
}  # fmt: skip

_U32 = struct.Struct("<I")
_I32 = struct.Struct("<i")
_U64 = struct.Struct("<Q")
_I64 = struct.Struct("<q")

#: What makes a score of a question and a document; without one llama-server answers with numbers that mean nothing
#: (llm_graph_context::build_pooling and tensor names in src/llama-arch.cpp).
HEADS = {"cls.weight", "cls.output.weight"}


class GgufError(LlamaCppError):
    """The file is no GGUF model that llama.cpp could load; ``reason`` says why without naming the file."""

    def __init__(self, path, reason):
        super().__init__("%s %s" % (path, reason))
        self.reason = reason


class Split(NamedTuple):
    """This file's place in a model that is spread over several files."""

    number: int  # from 0
    count: int
    tensors: int | None  # in all files together


class GgufInfo(NamedTuple):
    """What the header says. Texts and numbers are None where it says nothing."""

    version: int
    architecture: str | None
    name: str | None
    license: str | None  # an identifier such as apache-2.0, or its name
    context_length: int | None  # tokens the model was trained for
    n_tensors: int
    parameters: int  # elements of all tensors in this file
    file_type: int | None  # llama_ftype: 1 F16, 7 Q8_0, 15 Q4_K_M …
    has_chat_template: bool
    has_head: bool  # a classification head, in this file
    split: Split | None
    size: int  # bytes the file has
    size_needed: int  # bytes it must have at least; exact unless there are unknown_types
    unknown_types: tuple  # ids of tensor types that are newer than this reader, so their bytes could not be counted
    metadata: dict  # every scalar and short text by key, arrays left out


def inspect(path):
    """Read the header of ``path`` into a :class:`GgufInfo`; raises GgufError when there is no sound one."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # asked first: to open a pipe is to wait for its other end
            raise GgufError(path, "is not a regular file")
        with open_file(path, buffering=0) as stream:
            return _read(_Reader(stream, os.fstat(stream.fileno()).st_size, path))
    except OSError as error:
        raise GgufError(path, "cannot be read: %s" % error.strerror) from error


def check(path):
    """Like :func:`inspect`, and the file must hold every tensor whole. Raises GgufError."""
    info = inspect(path)
    if info.size < info.size_needed:
        raise GgufError(path, "is cut short: %d of %d bytes are there" % (info.size, info.size_needed))
    return info


class Part(NamedTuple):
    """A tensor as bytes."""

    shape: bytes  # name and dimensions, as the tensor table has them
    kind: int  # ggml type id
    data: bytes


def parts(path):
    """A small file as bytes: what comes before its tensor table, and a list of :class:`Part`."""
    with open_file(path, buffering=0) as stream:
        reader = _Reader(stream, os.fstat(stream.fileno()).st_size, path)
        _read_version(reader)
        n_tensors = reader.count("tensors", MAX_TENSORS, at_least=24)
        _, metadata = _read_metadata(reader, reader.count("keys", MAX_KEYS, at_least=14))
        table_start = reader.offset
        table = [(reader.offset, *_read_tensors(reader, 1), reader.offset) for _ in range(n_tensors)]
        data_start = _align(reader.offset, _alignment(reader, metadata))
        stream.seek(0)
        raw = stream.read()
    after_shape = _I32.size + _U64.size  # type and offset
    return raw[:table_start], [
        Part(raw[begin : end - after_shape], tensor.kind, raw[data_start + tensor.offset :][: tensor.size])
        for begin, tensor, end in table
    ]


def _read(reader):
    version = _read_version(reader)
    n_tensors = reader.count("tensors", MAX_TENSORS, at_least=24)  # name, dimensions, type, offset
    n_keys = reader.count("keys", MAX_KEYS, at_least=14)  # a key of one letter, type, a value of one byte
    seen, metadata = _read_metadata(reader, n_keys)
    alignment = _alignment(reader, metadata)
    tensors = _read_tensors(reader, n_tensors)
    data_start = _align(reader.offset, alignment) if n_tensors else reader.offset
    data_bytes = _data_bytes(reader, tensors, alignment)

    def value(key, kind):
        found = metadata.get(key)
        return found if isinstance(found, kind) and not isinstance(found, bool) else None

    architecture = value("general.architecture", str)
    return GgufInfo(
        version=version,
        architecture=architecture,
        name=value("general.name", str),
        license=_license(value("general.license", str), value("general.license.name", str)),
        context_length=value("%s.context_length" % architecture, int),
        n_tensors=n_tensors,
        parameters=sum(tensor.elements for tensor in tensors),
        file_type=value("general.file_type", int),
        has_chat_template="tokenizer.chat_template" in seen,
        has_head=any(tensor.name in HEADS for tensor in tensors),
        split=_split(reader, value("split.no", int), value("split.count", int), value("split.tensors.count", int)),
        size=reader.size,
        size_needed=data_start + data_bytes,
        unknown_types=tuple(sorted({tensor.kind for tensor in tensors if tensor.size is None})),
        metadata=metadata,
    )


def _license(identifier, name):
    """Hugging Face's identifier, unless that only says that its list has none."""
    return (name or identifier) if identifier == "other" else identifier


def _read_version(reader):
    magic = reader.take(4) if reader.size >= 4 else b""
    if magic != b"GGUF":
        shown = "".join(chr(byte) if 32 <= byte < 127 else "?" for byte in magic)
        raise reader.error("is not a GGUF file: it begins with '%s' and not with 'GGUF'" % shown)
    version = reader.number(_U32)
    if version and not version & 0xFFFF:
        raise reader.error("is a big-endian GGUF file; llama.cpp on this kind of machine reads little-endian ones")
    if version not in (2, 3):
        raise reader.error("is GGUF version %d; versions 2 and 3 can be read" % version)
    return version


def _read_metadata(reader, n_keys):
    """All keys, and the values of those that hold a scalar or a short text."""
    seen, metadata = set(), {}
    for _ in range(n_keys):
        key = reader.text("a key", MAX_KEY_BYTES)
        if not key or key in seen:
            raise reader.error("is inconsistent: key '%s' is %s" % (key, "there twice" if key else "empty"))
        seen.add(key)
        kind = reader.number(_I32)
        if kind in SCALARS:
            metadata[key] = reader.number(SCALARS[kind])
        elif kind == STRING:
            length = reader.number(_U64)
            if length <= KEPT_TEXT_BYTES:
                metadata[key] = reader.take(length).decode("utf-8", "replace")
            else:
                reader.skip(length)
        elif kind == ARRAY:
            _skip_array(reader, key)
        else:
            raise reader.error("is inconsistent: key '%s' has value type %d, which GGUF does not know" % (key, kind))
    return seen, metadata


def _skip_array(reader, key):
    kind, length = reader.number(_I32), reader.number(_U64)
    if kind in SCALARS:
        reader.skip(length * SCALARS[kind].size)
    elif kind == STRING:
        reader.skip_texts(length)
    else:  # llama.cpp refuses arrays of arrays as well
        raise reader.error("is inconsistent: key '%s' is an array of type %d" % (key, kind))


def _alignment(reader, metadata):
    alignment = metadata.get("general.alignment", 32)
    if not isinstance(alignment, int) or alignment <= 0 or alignment & (alignment - 1):
        raise reader.error("is inconsistent: general.alignment %r is not a power of 2" % (alignment,))
    return alignment


class _Tensor(NamedTuple):
    name: str
    elements: int
    kind: int  # ggml type id
    size: int | None  # bytes, None for a type this reader does not know
    offset: int


def _read_tensors(reader, n_tensors):
    tensors, names = [], set()
    for _ in range(n_tensors):
        name = reader.text("a tensor name", MAX_TENSOR_NAME_BYTES)
        if name in names:
            raise reader.error("is inconsistent: tensor '%s' is there twice" % name)
        names.add(name)
        n_dimensions = reader.number(_U32)
        if n_dimensions > MAX_DIMENSIONS:
            raise reader.error("is inconsistent: tensor '%s' has %d dimensions" % (name, n_dimensions))
        dimensions = [reader.number(_I64) for _ in range(n_dimensions)]
        elements = 1
        for dimension in dimensions:
            elements *= dimension
        if any(dimension < 0 for dimension in dimensions) or elements > INT64_MAX:
            raise reader.error("is inconsistent: tensor '%s' has the shape %s" % (name, dimensions))
        kind = reader.number(_I32)
        size = None
        if kind in REMOVED_TYPES:
            words = "holds tensors of the type %s, which llama.cpp has removed. Choose the file of this model with %s"
            raise reader.error(words % REMOVED_TYPES[kind])
        if kind in TENSOR_TYPES:
            block_elements, block_bytes = TENSOR_TYPES[kind]
            if (dimensions[0] if dimensions else 1) % block_elements:
                raise reader.error("is inconsistent: a row of tensor '%s' ends inside a block" % name)
            size = elements // block_elements * block_bytes
        tensors.append(_Tensor(name, elements, kind, size, reader.number(_U64)))
    return tensors


def _data_bytes(reader, tensors, alignment):
    """How many bytes of data the tensors need, at least.

    Tensors lie one after the other, each padded to the alignment; where one ends is unknown if its type is.
    """
    needed, expected = 0, 0
    for tensor in tensors:
        if tensor.offset != expected if expected is not None else tensor.offset < needed:
            raise reader.error("is inconsistent: tensor '%s' is not where the one before it ends" % tensor.name)
        needed = tensor.offset + (tensor.size or 0)
        expected = None if tensor.size is None else _align(needed, alignment)
    return needed


def _split(reader, number, count, tensors):
    if count is None or count <= 1:
        return None
    if number is None or not 0 <= number < count:
        raise reader.error("is inconsistent: it is file %s of a set of %d" % (number, count))
    return Split(number, count, tensors)


def _align(offset, alignment):
    return (offset + alignment - 1) // alignment * alignment


class _Reader:
    """Reads a file front to back through one small window; never past its end or the header limit."""

    def __init__(self, stream, size, path):
        self.size, self.offset = size, 0
        self._stream, self._path = stream, path
        self._limit = min(size, MAX_HEADER_BYTES)
        self._window, self._window_start = b"", 0
        self._texts_left = MAX_STRINGS

    def error(self, reason):
        # Names come from the file; nothing in them may move a terminal's cursor.
        return GgufError(self._path, "".join(letter if letter.isprintable() else "?" for letter in reason))

    def take(self, length):
        position = self._look_at(length)
        self.offset += length
        return self._window[position : position + length]

    def number(self, structure):
        position = self._look_at(structure.size)
        self.offset += structure.size
        return structure.unpack_from(self._window, position)[0]

    def text(self, what, limit):
        length = self.number(_U64)
        if length > limit:
            raise self.error("is inconsistent: %s of %d bytes, at most %d are possible" % (what, length, limit))
        return self.take(length).decode("utf-8", "replace")

    def count(self, what, limit, at_least):
        """A number of things, each of which takes ``at_least`` so many bytes further on."""
        number = self.number(_I64)
        if not 0 <= number <= limit or number * at_least > self.size:
            raise self.error("is inconsistent: it claims %d %s in %d bytes" % (number, what, self.size))
        return number

    def skip(self, length):
        self._must_hold(length)
        self.offset += length

    def skip_texts(self, count):
        """Pass over ``count`` texts; their lengths are the only way to find the end."""
        self._must_hold(count * _U64.size)
        self._texts_left -= count
        if self._texts_left < 0:
            raise self.error("is inconsistent: more than %d texts in its header" % MAX_STRINGS)
        unpack = _U64.unpack_from
        while count:
            position = self._look_at(_U64.size)
            window, last = self._window, len(self._window) - _U64.size
            while count and position <= last:
                position += _U64.size + unpack(window, position)[0]
                count -= 1
            self.skip(self._window_start + position - self.offset)

    def _must_hold(self, length):
        if self.offset + length > self._limit:
            if self._limit < self.size:
                raise self.error("is inconsistent: its header is longer than %d bytes" % MAX_HEADER_BYTES)
            raise self.error("is cut short: its header does not end within its %d bytes" % self.size)

    def _look_at(self, length):
        """Bring the next ``length`` bytes into the window; where in it they begin."""
        self._must_hold(length)
        position = self.offset - self._window_start
        if position + length > len(self._window):
            self._stream.seek(self.offset)
            self._window = self._stream.read(WINDOW_BYTES)
            self._window_start, position = self.offset, 0
            if len(self._window) < length:
                raise self.error("is changing while it is read")
        return position
