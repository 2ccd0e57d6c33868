# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Makes this directory runnable: ``python -I <this directory> --config <file>``.

``core`` holds links to just those files of the collection that the runner needs.
"""

import sys

from core.runner.main import main

sys.exit(main(sys.argv[1:]))
