# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""HAProxy, where this machine has it."""

import shutil

#: None where it is not installed. An ordinary user's PATH may lack the directories of the system.
HAPROXY = shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/bin:/usr/local/bin:/usr/bin")
