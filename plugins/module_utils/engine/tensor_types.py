# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Models that compute with one tensor type at a time, so that a build which computes wrongly can be told its type.

The self-test model has many types, and the reference model the same weights as F16. The reference with the matrices of
one type taken from the self-test model computes with F16 and that type only.
"""

from __future__ import annotations

import struct

from ..models.gguf import parts

ALIGNMENT = 32  # of both models, and of GGUF where a file does not say otherwise

#: The types of the self-test model by their ids (enum ggml_type of ggml/include/ggml.h).
NAMES = {
    1: "F16", 2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0", 10: "Q2_K", 11: "Q3_K", 12: "Q4_K", 13: "Q5_K",
    14: "Q6_K", 20: "IQ4_NL", 23: "IQ4_XS", 30: "BF16", 39: "MXFP4",
}  # fmt: skip


def single_types(model, reference):
    """Each tensor type of ``model`` that ``reference`` lacks: its name, and the bytes of a model to judge it by."""
    head, ours = parts(reference)
    _, theirs = parts(model)
    common = {part.kind for part in ours}
    for kind in sorted({part.kind for part in theirs} - common):
        chosen = [other if other.kind == kind else own for own, other in zip(ours, theirs)]
        yield NAMES.get(kind, f"type {kind}"), _joined(head, chosen)


def _joined(head, table):
    lines, data = b"", b""
    for part in table:
        lines += part.shape + struct.pack("<iQ", part.kind, len(data))
        data += part.data + bytes(-len(part.data) % ALIGNMENT)
    head += lines
    return head + bytes(-len(head) % ALIGNMENT) + data
