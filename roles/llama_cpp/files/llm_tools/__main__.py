# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Makes this directory runnable: ``python -I <this directory> llm-manager status``.

The first argument is the name of the command as its user typed it.
"""

import gc
import sys

gc.disable()  # what is imported stays; cli.run enables it

from llm_tools.cli import main  # noqa: E402 - see above

sys.exit(main(sys.argv[1], sys.argv[2:]))
