# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""One look at a host: its hardware, whether the models fit, and what would keep the service from being there.

What is quickly read (sysctl, the header of a model) is on the safe side, so a model that fits by it fits. Only when one
does not is the engine asked, if there is one, which takes a moment and is the last word.
"""

from __future__ import annotations

import functools
import os

from . import mac_hardware, mac_power, mac_settings, model_disk, model_memory
from .errors import LlamaCppError
from .gguf import GgufError, inspect
from .mac_hardware import MIB, Hardware
from .server_health import list_devices


def look(
    *,
    system,
    models=(),
    catalog=(),
    parallel=None,
    server=None,
    device=None,
    memory_mb=None,
    wired_limit_mb=None,
    scope=None,
    user=None,
    keep_awake=False,
    sysctl=mac_hardware.SYSCTL,
    pmset=mac_power.PMSET,
    fdesetup=mac_power.FDESETUP,
    login_window=mac_power.LOGIN_WINDOW,
    wired_limit_plist=mac_settings.WIRED_LIMIT_PLIST,
):
    """What the module ``host_fit`` returns, for its options.

    Raises LlamaCppError for a wired limit that this host cannot have.
    """
    mac = system == "Darwin"
    hardware = mac_hardware.read_hardware(sysctl) if mac else Hardware(None, None, None, None, None)
    hardware = hardware._replace(memory=memory_mb * MIB if memory_mb else hardware.memory or _memory())
    if wired_limit_mb:
        mac_hardware.check_wired_limit(wired_limit_mb, hardware)
    host = _Host(hardware, server, device if mac else None, wired_limit_mb, parallel)
    fits = [host.fit(model) for model in models]
    power = mac_power.read_power(pmset, fdesetup, login_window) if mac and scope else None
    return {
        "hardware": hardware._asdict(),
        "available": host.room.bytes,
        "models": [
            {
                "name": model["name"],
                "there": os.path.exists(model["path"]),
                "needed": fit.needed and fit.needed.total,
                "fits": fit.fits,
                "words": fit.words,
            }
            for model, fit in zip(models, fits)
        ],
        "problem": _problem(models, fits, catalog, host.room),
        "wired_limit_at_boot": mac and mac_settings.sets_limit_at_boot(wired_limit_plist),
        "advice": mac_power.advice(power, scope, user, keep_awake) if power else [],
    }


def _memory():
    """The bytes of memory that the kernel has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


class _Host:
    """What the models are compared with: first as it is quickly read, then as the engine tells it."""

    def __init__(self, hardware, server, device, wired_limit_mb, parallel):
        self._hardware, self._server, self._device = hardware, server, device
        self._wired_limit_mb, self._parallel = wired_limit_mb, parallel
        self.room = self._room(None)

    def _room(self, description):
        if self._device:
            return mac_hardware.metal_room(self._hardware, description, self._wired_limit_mb)
        return mac_hardware.host_room(self._hardware.memory)

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
        """The :class:`model_memory.Fit` of one model."""
        fit = self._quick(model)
        if fit.fits or not self._has_engine():
            return fit
        if self._device_by_engine:
            self.room = self._room(self._device_by_engine)
            fit = self._quick(model)
        program = model_memory.fit_params_beside(self._server)
        if fit.fits or not program or not os.path.exists(model["path"]):
            return fit
        try:
            return self._judged(
                model,
                lambda context: model_memory.measured(program, model["path"], context, self._parallel, self._device),
            )
        except LlamaCppError:  # this engine cannot load this model; whether it should is for others to say
            return fit

    def _quick(self, model):
        name, path, size = model["name"], model["path"], model.get("bytes")
        if not os.path.exists(path):
            too_large = model_memory.too_large(name, size, self.room) if size else None
            return too_large or model_memory.unknown(name, f"{path} is not there yet")
        try:
            return self._judged(model, None)
        except GgufError as error:
            return model_memory.unknown(name, str(error))

    def _judged(self, model, need_at):
        info = inspect(model["path"])
        need_at = need_at or (lambda context: model_memory.estimated(info, context, self._parallel))
        return model_memory.judge(model["name"], need_at, self.room, model.get("context_size"), info.context_length)


def _problem(models, fits, catalog, room):
    """Everything that does not fit, ready to be shown; None when nothing is known not to."""
    lines = []
    for model, fit in zip(models, fits):
        if fit.fits is False:
            other = model_memory.largest_that_fits(catalog, model.get("purpose"), room)
            fate = "put into service" if os.path.exists(model["path"]) else "downloaded"
            lines.append(
                " ".join([fit.words, *([_instead(model["name"], other)] if other else []), f"It was not {fate}."])
            )
    if lines:
        lines.append(
            "Options that save memory (in server.arguments and models.<name>.arguments) are not counted. If it fits "
            "with those, go on with: -e llama_cpp_fit=warn"
        )
    lines += model_disk.shortages(models)
    return "\n".join([*lines, "The service was not touched."]) if lines else None


def _instead(name, other):
    return (
        f'Or take {other}, the largest of its kind in the catalog that fits: models.{name}: {{"catalog": "{other}"}}.'
    )
