# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Markdown on a terminal, drawn while it is still coming. Needs rich: imported by whatever draws, at no start."""
