# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What a file must be by its header: of the wanted kind, fit for the purpose, licensed, and in its place of a set."""

from __future__ import annotations

from ..base.strict_json import told
from .gguf import GgufError, Split, inspect
from .policy import is_allowed

KINDS = {"model": "a model", "mmproj": "a multimodal projector", "adapter": "a LoRA adapter"}
RERANKER = "reranker"  # a model that scores
EMBEDDER = "embedder"  # a model that gives a vector of a text
CHAT = "chat"  # a model that answers


def require(path, info, kind, number, count):
    """Raise GgufError unless ``info`` is of a ``kind`` (of KINDS, or for a purpose) and of file ``number`` of
    ``count``.

    A projector has the architecture clip, an adapter its type in general.type (llama.cpp: tools/mtmd/clip.cpp and
    src/llama-adapter.cpp). Of a reranker in several files, which would be unusual, any may hold the head.
    """
    wanted = "model" if kind in (RERANKER, EMBEDDER, CHAT) else kind
    is_adapter = info.metadata.get("general.type") == "adapter"
    found = "adapter" if is_adapter else "mmproj" if info.architecture == "clip" else "model"
    if found != wanted:
        raise GgufError(path, "is %s and not %s" % (KINDS[found], KINDS[wanted]))
    if found == "model" and number == 0:
        _require_language_model(path, info)
    if kind == RERANKER and count == 1 and not info.has_head:
        raise GgufError(
            path,
            "is no reranker: it has no classification head (tensor cls.weight or cls.output.weight), so its scores "
            'would mean nothing. Set its purpose to "chat" or "embedding", or take a file that has one',
        )
    pooling = "%s.pooling_type" % info.architecture
    if kind == EMBEDDER and number == 0 and not info.metadata.get(pooling):
        raise GgufError(
            path,
            "is no embedding model: its header does not say (%s) how the vectors of its tokens become one of the text. "
            'Set "pooling" in its arguments to "mean", "cls" or "last", as its publisher says, set its purpose to '
            '"chat", or take a file that has it' % pooling,
        )
    split = info.split or Split(0, 1, None)
    if (split.number, split.count) != (number, count):
        found, wanted = (_place(*place) for place in ((split.number, split.count), (number, count)))
        raise GgufError(path, "is, by its header, %s; its name and place are those of %s" % (found, wanted))


def require_license(path, info, allowed, name):
    """Raise GgufError unless the licence in the header is one of those ``allowed``; ``name`` is that of the model."""
    if not is_allowed(info.license, allowed):
        found = (
            'has the licence "%s" by its header, which is' % told(info.license)
            if info.license
            else ("does not say by its header (general.license) what its licence is, so it is")
        )
        words = "%s not among policy.allowed_licenses (%s). If its publisher states another one, set models.%s.license"
        raise GgufError(path, words % (found, ", ".join(allowed), name))


def _require_language_model(path, info):
    kind = info.metadata.get("general.type", "model")
    if kind != "model" or info.architecture is None:
        what = "names no architecture" if kind == "model" else 'is of the type "%s" by its header' % told(str(kind))
        raise GgufError(path, what + ", so it is no language model. Choose a file that holds one")


def require_set(paths):
    """Raise GgufError unless the files of a split model, in their order, hold all its tensors together."""
    infos = [inspect(path) for path in paths]
    found = sum(info.n_tensors for info in infos)
    for path, info in zip(paths, infos):
        wanted = info.split.tensors if info.split else None
        if wanted is not None and wanted != found:
            words = "belongs to a model of %d tensors; its %d files hold %d"
            raise GgufError(path, words % (wanted, len(paths), found))


def _place(number, count):
    return "file %d of %d of a model" % (number + 1, count) if count > 1 else "a model in one file"
