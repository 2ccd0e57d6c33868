# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What needs a package of the environment that the commands run in.

Their launchers start Python without those (``-S``): to look for packages takes a good part of its start, and few runs
of a command need one.
"""

from __future__ import annotations

import functools
import importlib
import sys


def load(name):
    """The module ``name``, which is one of those packages or imports one. Raises ImportError where that is missing."""
    _find_packages()
    return importlib.import_module(name)


@functools.cache
def _find_packages():
    if sys.flags.no_site:
        import site  # noqa: PLC0415 - only here, and the commands have to start fast

        site.main()
