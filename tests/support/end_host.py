# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Ends everything that speaks of a directory that stands for a host, and removes it: nothing else speaks of one.

python3 -m support.end_host DIRECTORY
"""

import os
import shutil
import sys
from pathlib import Path

from ansible_collections.macos_setup.llm.plugins.module_utils.base import processes

from support.plays import processes_below


def main(directory):
    left = processes.end([pid for pid in processes_below(directory) if pid != os.getppid()], patience=20)
    shutil.rmtree(directory, ignore_errors=True)
    return f"These processes do not end: {left}" if left else int(directory.exists())


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve()))
