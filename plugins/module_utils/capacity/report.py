# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""One look at a host: its hardware, whether the models fit, and what would keep the service from being there.

What is quickly read (sysctl, the header of a model) is on the safe side, so a model that fits by it fits. Only when one
does not is the engine asked, if there is one, which takes a moment and is the last word.
"""

from __future__ import annotations

import functools
import os

from ..base.errors import LlamaCppError
from ..base.units import MIB
from ..llama.devices import list_devices
from ..macos import hardware as mac_hardware
from ..macos import power as mac_power
from ..macos import settings
from ..macos.hardware import Hardware
from ..models.gguf import GgufError, inspect
from ..models.shards import shard_names
from . import estimate, verdict
from .disk import shortages
from .estimate import Need

#: The types in which keys and values of a context are kept.
CACHE = {"type": "list", "elements": "str", "default": list(estimate.F16_CACHE)}

#: The options of :func:`look`, and what is done when something does not fit.
OPTIONS = {
    "models": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "path": {"type": "path", "required": True},
            "context_size": {"type": "int"},
            "cache": CACHE,
            "bytes": {"type": "int"},
            "companions": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "path": {"type": "path", "required": True},
                    "bytes": {"type": "int"},
                    "role": {"type": "str", "choices": ["mmproj", "draft_model", "lora"]},
                    "cache": CACHE,
                },
            },
            "purpose": {"type": "str"},
        },
    },
    "max_loaded": {"type": "int", "default": 1},
    "files": {"type": "list", "elements": "dict", "default": []},
    "catalog": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "bytes": {"type": "int", "required": True},
            "purpose": {"type": "str", "required": True},
        },
    },
    "misfit": {"type": "str", "choices": ["fail", "warn"], "default": "fail"},
    "parallel": {"type": "int"},
    "server": {"type": "path"},
    "device": {"type": "str"},
    "system": {"type": "str", "choices": ["Darwin", "Linux"], "required": True},
    "memory_mb": {"type": "int"},
    "workers_mb": {"type": "int"},
    "wired_limit_mb": {"type": "int"},
    "scope": {"type": "str", "choices": ["user", "system"]},
    "user": {"type": "str"},
    "keep_awake": {"type": "bool", "default": False},
    "sysctl": {"type": "path", "default": mac_hardware.SYSCTL},
    "pmset": {"type": "path", "default": mac_power.PMSET},
    "fdesetup": {"type": "path", "default": mac_power.FDESETUP},
    "login_window": {"type": "path", "default": mac_power.LOGIN_WINDOW},
    "wired_limit_plist": {"type": "path", "default": settings.WIRED_LIMIT_PLIST},
    "mac_record": {"type": "path", "default": settings.RECORD},
}


def look(
    *,
    system,
    models=(),
    max_loaded=1,
    files=(),
    catalog=(),
    parallel=None,
    server=None,
    device=None,
    memory_mb=None,
    workers_mb=None,
    wired_limit_mb=None,
    scope=None,
    user=None,
    keep_awake=False,
    sysctl=mac_hardware.SYSCTL,
    pmset=mac_power.PMSET,
    fdesetup=mac_power.FDESETUP,
    login_window=mac_power.LOGIN_WINDOW,
    wired_limit_plist=settings.WIRED_LIMIT_PLIST,
    mac_record=settings.RECORD,
):
    """What the hardware is, what fits on it, and what would be to be told: the result ``fit`` of host_info.

    Raises LlamaCppError for a wired limit that this host cannot have.
    """
    mac = system == "Darwin"
    hardware = mac_hardware.read_hardware(sysctl) if mac else Hardware(None, None, None, None, None)
    hardware = hardware._replace(memory=memory_mb * MIB if memory_mb else hardware.memory or _memory())
    if wired_limit_mb:
        mac_hardware.check_wired_limit(wired_limit_mb, hardware)
    host = _Host(hardware, server, device if mac else None, wired_limit_mb, parallel, workers_mb)
    fits = [host.fit(model) for model in models]
    together = host.fit_together(models, fits, max_loaded)
    power = mac_power.read_power(pmset, fdesetup, login_window) if mac and scope else None
    return {
        "hardware": hardware._asdict(),
        "available": host.room.bytes,
        "models": [
            {"name": model["name"], "there": not _missing(model), **_told(fit)} for model, fit in zip(models, fits)
        ],
        "together": together and {"there": not any(map(_missing, models)), **_told(together)},
        "problem": _problem(models, fits, together, catalog, files, host.room),
        "mac_changed": mac and settings.changed_here(wired_limit_plist, mac_record),
        "advice": mac_power.advice(power, scope, user, keep_awake) if power else [],
    }


def require_fit(wanted, warn):
    """:func:`look` with the options ``wanted`` (OPTIONS), and what of it is for people in ``words``.

    :param warn: takes what does not fit where that is to be a warning.
    :raises LlamaCppError: something does not fit.
    """
    wanted = dict(wanted)
    refuse = wanted.pop("misfit") == "fail"
    found = look(**wanted)
    if found["problem"] and refuse:
        raise LlamaCppError(found["problem"])
    if found["problem"]:
        warn(found["problem"])
    return {**found, "words": [fit["words"] for fit in compared(found)] + found["advice"]}


def compared(found):
    """What :func:`look` compared with the host: the models, and the largest of them together."""
    return [*found["models"], *filter(None, [found["together"]])]


def _told(fit):
    return {"needed": fit.needed and fit.needed.total, "fits": fit.fits, "words": fit.words}


def _memory():
    """The bytes of memory that the kernel has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


class _Host:
    """What the models are compared with: first as it is quickly read, then as the engine tells it."""

    def __init__(self, hardware, server, device, wired_limit_mb, parallel, workers_mb):
        self._hardware, self._server, self._device = hardware, server, device
        self._wired_limit_mb, self._parallel, self._workers_mb = wired_limit_mb, parallel, workers_mb
        self.room = self._room(None)

    def _room(self, description):
        if self._device:
            room = mac_hardware.metal_room(self._hardware, description, self._wired_limit_mb)
        else:
            room = mac_hardware.host_room(self._hardware.memory)
        return mac_hardware.joined_room(room, self._workers_mb * MIB, bool(self._device)) if self._workers_mb else room

    @functools.cached_property
    def _device_by_engine(self):
        """The engine's own description of the device; None when there is no engine that runs."""
        try:
            return list_devices(self._server).get(self._device) if self._has_engine() and self._device else None
        except LlamaCppError:
            return None

    def _has_engine(self):
        return bool(self._server) and os.path.exists(self._server)

    def fit(self, model):
        """The :class:`verdict.Fit` of one model."""
        fit = self._quick(model)
        if fit.fits or not self._has_engine():
            return fit
        if self._device_by_engine:
            self.room = self._room(self._device_by_engine)
            fit = self._quick(model)
        return fit if fit.fits else self._exact(model) or fit

    def fit_together(self, models, fits, count):
        """The Fit of the ``count`` largest models at once; None when there is nothing to say beyond ``fits``."""
        if count < 2 or any(fit.fits is False for fit in fits):
            return None
        fit = self._together(models, fits, count)
        if fit is None or fit.fits or not self._has_engine():
            return fit
        if self._device_by_engine:
            self.room = self._room(self._device_by_engine)
        return self._together(models, [self._exact(model) or found for model, found in zip(models, fits)], count)

    def _together(self, models, fits, count):
        candidates = [
            verdict.Candidate(
                name=model["name"],
                need=fit.needed or _files(model),
                context_size=model.get("context_size"),
                whole=bool(fit.needed) and not _absent(model) and not _uncounted(model),
            )
            for model, fit in zip(models, fits)
        ]
        return verdict.together(candidates, count, self.room)

    def _quick(self, model):
        """The Fit by what is quickly read."""
        name, absent, files = model["name"], _absent(model), _files(model)
        if absent:
            too_large = files and verdict.too_large(name, files, self.room)
            return too_large or verdict.unknown(name, f"{absent[0]} is not there yet")
        try:
            return self._judged(model, None)
        except GgufError as error:
            return verdict.unknown(name, str(error))

    def _exact(self, model):
        """The Fit as the engine tells it; None when it cannot."""
        program = estimate.fit_params_beside(self._server)
        if not program or _absent(model):
            return None
        try:
            return self._judged(
                model,
                lambda context: estimate.measured(
                    program, model["path"], context, self._parallel, self._device, model["cache"]
                ),
            )
        except LlamaCppError:  # this engine cannot load this model; whether it should is for others to say
            return None

    def _judged(self, model, need_at):
        info = inspect(model["path"])
        files = _files(model)
        need_at = need_at or (
            lambda context: estimate.estimated(info, context, self._parallel, files.weights, model["cache"])
        )
        drafts = [
            (inspect(draft["path"]), _size(draft), draft["cache"]) for draft in _drafts(model) if not _absent(draft)
        ]

        def all_at(context):
            need = need_at(context)
            need = need and need._replace(beside=files.beside)
            for header, size, cache in drafts:
                draft = estimate.estimated(header, context, self._parallel, size, cache)
                need = need and draft and need.with_draft(draft)
            return need

        context_size, slots = model.get("context_size"), self._parallel or 1
        fit = verdict.judge(model["name"], all_at, self.room, context_size, info.context_length, slots)
        return verdict.without(fit, _uncounted(model))


def _missing(model):
    """The files of a model, its own and those beside it, that are not there."""
    return [path for file in (model, *(model.get("companions") or ())) for path in _absent(file)]


def _absent(file):
    """The paths of a file, or of the files of a set, at which there is none."""
    return [path for path in shard_names(file["path"]) if not os.path.exists(path)]


def _files(model):
    """What the files of a model and those beside it take, as far as that is known; None when its own is not."""
    own = _size(model)
    beside = sum(_size(file) or 0 for file in model.get("companions") or ())
    return own and Need(weights=own, context=0, working=0, beside=beside)


def _uncounted(model):
    """The further files of a model whose need is not known yet: their size, or a draft model's context."""
    drafts = _drafts(model)
    return [
        file["path"]
        for file in model.get("companions") or ()
        if _size(file) is None or (file in drafts and _absent(file))
    ]


def _drafts(model):
    return [file for file in model.get("companions") or () if file.get("role") == "draft_model"]


def _size(file):
    """The bytes of a file, or of all files of a set: as they are on the disk, else as they are expected; or None."""
    return file.get("bytes") if _absent(file) else sum(map(os.path.getsize, shard_names(file["path"])))


def _problem(models, fits, together, catalog, files, room):
    """Everything that does not fit, ready to be shown; None when nothing is known not to."""
    lines = []
    for model, fit in zip(models, fits):
        if fit.fits is False:
            other = verdict.largest_that_fits(catalog, model.get("purpose"), room, fit.needed.weights)
            fate = "put into service" if os.path.exists(model["path"]) else "downloaded"
            lines.append(
                " ".join([fit.words, *([_instead(model["name"], other)] if other else []), f"It was not {fate}."])
            )
    if together and together.fits is False:
        lines.append(together.words)
    if lines:
        lines.append(
            "Of the options that save memory (in server.arguments and models.<name>.arguments) only the types of the "
            "cache are counted. If it fits with others, go on with: -e llama_cpp_fit=warn"
        )
    lines += shortages(files)
    return "\n".join([*lines, "The service was not touched."]) if lines else None


def _instead(name, other):
    return (
        f'Or take {other}, the largest of its kind in the catalog that fits: models.{name}: {{"catalog": "{other}"}}.'
    )
