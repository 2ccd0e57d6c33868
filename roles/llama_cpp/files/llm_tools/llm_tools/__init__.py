# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The commands ``llm`` and ``llm-manager``, and :class:`Client` for programs. ``core`` is the collection's own
``plugins/module_utils``."""

import importlib

__version__ = "0.1.0"

#: What programs import from here -> the module that has it, imported on demand: the commands have to start fast.
_PUBLIC = {
    "Client": ".client",
    "Answer": ".answer",
    "Incomplete": ".errors",
    "LlamaCppError": ".core.base.errors",
    **dict.fromkeys(
        ("ServerError", "NotRunning", "NotAnswering", "StillLoading", "NotAuthorised", "ContextExceeded"),
        ".core.llama.errors",
    ),
}


def __getattr__(name):
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(importlib.import_module(_PUBLIC[name], __name__), name)
