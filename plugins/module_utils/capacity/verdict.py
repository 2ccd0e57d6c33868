# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Whether the memory that models need is there: each by itself, and those that may be loaded at the same time."""

from __future__ import annotations

from typing import NamedTuple

from ..base.units import GIB, MIB
from ..macos.hardware import WIRED_LIMIT_KEY
from .estimate import CELLS, Need

#: Defaults of llama-server (common/common.h at 0c1e570).
MARGIN = GIB  # --fit-target: what it leaves free; with less it takes layers off the GPU
SMALLEST_FITTED_CONTEXT = 4096  # --fit-ctx: how far it shortens a context that was not asked for

UNCERTAIN = "It may fit all the same: what Metal allows on this Mac only the engine can tell, once it is built."


class Fit(NamedTuple):
    """Whether a model has room."""

    fits: bool | None  # None: it cannot be told
    needed: Need | None
    words: str


def judge(name, need_at, room, context_size=None, trained=None, slots=1):
    """Compare what a model needs with the :class:`mac_hardware.Room` there is, as a :class:`Fit`.

    :param name: of the model, for the words.
    :param need_at: function from a context size to a :class:`Need`.
    :param context_size: as configured; None leaves it to llama-server, which takes what fits.
    :param trained: the context size that the model was trained for, when it is known.
    :param slots: how many divide the context between them.
    """
    limit = room.bytes - MARGIN
    context = context_size or min(trained or SMALLEST_FITTED_CONTEXT, SMALLEST_FITTED_CONTEXT)
    need = need_at(context)
    if need is None:
        return unknown(name, "its header does not tell")
    words = f"models.{name} needs {_needs(need, context)}; {_allows(room)}."
    used = min(context, slots * trained) if trained else context
    if used < context:
        words += (
            f" Its model was trained for {trained} tokens, and llama-server gives no request more, so set "
            f"models.{name}.context_size to at most {used}."
        )
    if need.total <= limit:
        if context_size is None and trained:
            words += f" context_size is not set: llama-server takes as many of {trained} tokens as fit."
        return Fit(True, need, words)
    smaller = _with_smaller_context(need_at, context, used, limit)
    if _may_be_allowed(need.total, room):
        return Fit(None, need, f"{words} {UNCERTAIN} {smaller}".rstrip())
    if need.least <= limit:
        words += " It may fit all the same: only the engine can tell what this context takes."
        return Fit(None, need, f"{words} {smaller}".rstrip())
    return Fit(False, need, f"{words} {_remedies(need, room, smaller)}")


def unknown(name, reason):
    """The :class:`Fit` of a model of which it cannot be told what it needs, for that ``reason``."""
    return Fit(None, None, f"models.{name}: what it needs is not known, since {reason}.")


def too_large(name, need, room):
    """The :class:`Fit` of a model whose files alone, its ``need``, leave nothing for a context, or None."""
    if need.total <= room.bytes - MARGIN:
        return None
    files = f"its weights and {_gib(need.beside)} beside them" if need.beside else "its weights"
    words = f"models.{name} needs {_gib(need.total)} GiB for {files} alone; {_allows(room)}."
    if _may_be_allowed(need.total, room):
        return Fit(None, need, f"{words} {UNCERTAIN}")
    return Fit(False, need, f"{words} Choose a smaller quantisation.")


def without(fit, missing):
    """``fit`` of a model that needs further files, ``missing`` (paths), too, whose need is not known yet."""
    if not missing or fit.needed is None:
        return fit
    words = f"{fit.words} Not counted in full, since not there yet: {', '.join(missing)}."
    return fit._replace(fits=None if fit.fits else fit.fits, words=words)


class Candidate(NamedTuple):
    """A model that may be loaded together with others."""

    name: str
    need: Need | None  # None: not known
    context_size: int | None
    whole: bool = True  # False: only its files are known


def together(candidates, count, room):
    """Compare what the ``count`` largest models need at the same time with the room, as a :class:`Fit`.

    :param candidates: a :class:`Candidate` for each model; alone, each of them fits.
    :return: None when no two of them can be compared.
    """
    known = [candidate for candidate in candidates if candidate.need]
    largest = sorted(known, key=lambda candidate: candidate.need.total, reverse=True)[:count]
    if len(largest) < 2:
        return None
    need = _sum(candidate.need for candidate in largest)
    partly = [f"models.{candidate.name}" for candidate in candidates if not candidate.need or not candidate.whole]
    bound = "at least " if partly else "" if need.exact else "at most "
    listed = ", ".join(f"models.{candidate.name} {_gib(candidate.need.total)}" for candidate in largest)
    words = (
        f"Loaded at the same time, as server.max_loaded_models: {count} allows, the largest need {bound}"
        f"{_gib(need.total)} GiB ({listed}); {_allows(room)}."
    )
    limit = room.bytes - MARGIN
    if need.total <= limit:
        words += _without_context(largest)
        if partly:
            return Fit(None, need, f"{words} All that {', '.join(partly)} takes is not known yet.")
        return Fit(True, need, words)
    if _may_be_allowed(need.total, room):
        return Fit(None, need, f"{words} {UNCERTAIN}")
    if need.least <= limit:
        return Fit(None, need, f"{words} It may fit all the same: only the engine can tell what the contexts take.")
    fewer = next(
        number
        for number in range(len(largest) - 1, 0, -1)
        if number == 1 or _sum(candidate.need for candidate in largest[:number]).total <= limit
    )
    remedies = [f"Set server.max_loaded_models to {fewer}.", "Or choose smaller quantisations or contexts."]
    return Fit(False, need, " ".join([words, *remedies, *_raised_limit(need, room)]))


def _sum(needs):
    needs = list(needs)
    return Need(
        weights=sum(need.weights for need in needs),
        context=sum(need.context for need in needs),
        working=sum(need.working for need in needs),
        exact=all(need.exact for need in needs),
        beside=sum(need.beside for need in needs),
    )


def _without_context(candidates):
    names = [f"models.{candidate.name}" for candidate in candidates if candidate.context_size is None]
    if not names:
        return ""
    return (
        f" Without a context_size ({', '.join(names)}), llama-server gives a model as much as fits at that moment and "
        "leaves none of that to the next: set it."
    )


def largest_that_fits(catalog, purpose, room, below):
    """The short name of the largest model for a ``purpose`` that has room, or None.

    Of a model that is not there yet only the size is known, so one counts whose weights leave as much again for its
    context: 4096 tokens of the models with the largest cache for their size take less.

    :param catalog: dicts with ``name``, ``bytes`` and ``purpose``.
    :param below: bytes of the weights of the model that does not fit, instead of which a smaller one is wanted.
    """
    most = min((room.bytes - MARGIN) // 2, below - 1)
    fitting = [model for model in catalog if model["purpose"] == purpose and model["bytes"] <= most]
    return max(fitting, key=lambda model: model["bytes"])["name"] if fitting else None


def _may_be_allowed(needed, room):
    return not room.certain and needed <= room.highest - MARGIN


def _needs(need, context):
    return (
        f"{'' if need.exact else 'at most '}{_gib(need.total)} GiB (weights {_gib(need.weights)}, "
        f"{f'beside them {_gib(need.beside)}, ' if need.beside else ''}"
        f"context_size {context} takes {_gib(need.context)}, working memory {_gib(need.working)})"
    )


def _allows(room):
    of_all = f" of {_gib(room.total)}" if room.bytes != room.total else ""
    return f"{room.where} {_gib(room.bytes)}{of_all} GiB, of which llama-server leaves {_gib(MARGIN)} free"


def _with_smaller_context(need_at, context, used, limit):
    """The sentence that names the largest context which fits, or "".

    Looked at are what of ``context`` is ``used``, where that is less, half of it, a half of that and so on.
    """
    smaller = used if used < context else context // 2
    while smaller >= CELLS:
        need = need_at(smaller)
        if need.total <= limit:
            return f"With context_size {smaller} it needs {_gib(need.total)} GiB and fits."
        if need.weights + need.beside > limit:
            break
        smaller //= 2
    return ""


def _remedies(need, room, smaller):
    """What to do about a model that does not fit, the cheapest first."""
    remedies = [smaller, "Or choose a smaller quantisation."] if smaller else ["Choose a smaller quantisation."]
    return " ".join([*remedies, *_raised_limit(need, room)])


def _raised_limit(need, room):
    """The sentence that names the limit with which it would fit, if there is one."""
    raised = -(-(need.total + MARGIN - room.elsewhere) // MIB)
    if raised * MIB <= room.highest - room.elsewhere:
        yield (
            f"Or, on a Mac that does nothing else, allow Metal more of it with {WIRED_LIMIT_KEY}: {raised}, "
            "then run the play again."
        )


def _gib(size):
    return "%.*f" % (1 if size >= GIB / 10 else 2, size / GIB)
