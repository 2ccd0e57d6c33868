# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Units of memory and files, in bytes."""

MIB = 1024**2
GIB = 1024**3
