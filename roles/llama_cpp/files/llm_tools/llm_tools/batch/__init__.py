# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm batch``: many requests from a file, their results in the same order."""
