# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The fit that host_info tells of a made-up Mac, and an engine that tells what a model needs."""

import plistlib

from support import model_shapes
from support.macos import outputs
from support.modules import run_module
from support.recorded_programs import recorded_program, recorded_sysctl

CONTEXT = 32768


def llama_8b(directory):
    """A model file, as the module takes it: 15.0 GiB of weights, 4.0 for its context."""
    path = directory / "a model & more.gguf"
    model_shapes.write(path, model_shapes.MODELS["llama-3.1-8b"])
    return {"name": "llama-8b", "path": str(path), "context_size": CONTEXT}


def mac(tmp_path, recorded=outputs.M1_MAX_64, custom=outputs.CUSTOM_DESKTOP, **arguments):
    settings = tmp_path / "loginwindow.plist"
    settings.write_bytes(plistlib.dumps({}))
    return {
        "system": "Darwin",
        "device": "MTL0",
        "sysctl": recorded_sysctl(tmp_path / "sysctl", recorded),
        "pmset": recorded_program(tmp_path / "pmset", {"-g custom": custom, "-g": outputs.PMSET_MINI}),
        "fdesetup": recorded_program(tmp_path / "fdesetup", {"status": "FileVault is On.\n"}),
        "login_window": str(settings),
        "wired_limit_plist": str(tmp_path / "com.llama.wired-limit.plist"),
        **arguments,
    }


def answer(fit, check=False):
    """The answer of host_info that is asked for the ``fit`` alone, in a place where nothing is installed."""
    return run_module("host_info", {"manifest": "/nowhere/manifest.json", "fit": fit}, check=check)


def look(arguments, check=True):
    result = answer({"misfit": "warn", **arguments}, check)
    assert not result.get("failed"), result
    assert result["changed"] is False
    return {**result["fit"], "warnings": result.get("warnings", [])}


def engine(tmp_path, devices, needs=None):
    """A llama-server that lists ``devices``, and beside it a llama-fit-params if it is to say what is needed."""
    directory = tmp_path / "bin"
    directory.mkdir()
    if needs is not None:
        recorded_program(directory / "llama-fit-params", needs)
    return recorded_program(directory / "llama-server", {"--list-devices": devices})


def asked(model, context, device):
    return f"--fit-print on --model {model['path']} --ctx-size {context} --parallel 4 --device {device}"
