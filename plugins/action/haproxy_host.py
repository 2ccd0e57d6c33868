# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Shows the progress of the module of the same name."""

from __future__ import annotations

from ansible_collections.macos_setup.llm.plugins.plugin_utils.long_task import LongTaskAction


class ActionModule(LongTaskAction):
    """See :class:`LongTaskAction`."""
