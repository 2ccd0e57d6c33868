# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The commands ``llm`` and ``llm-manager``. ``core`` is the collection's own ``plugins/module_utils``."""

__version__ = "0.1.0"
