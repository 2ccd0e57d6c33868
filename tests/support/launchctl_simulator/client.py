# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The command launchctl of a simulated Mac; its state directory is named by LAUNCHCTL_SIMULATOR_STATE."""

import os
import sys

from . import wire

STATE_VARIABLE = "LAUNCHCTL_SIMULATOR_STATE"


def main():
    directory = os.environ.get(STATE_VARIABLE)
    if not directory:
        sys.exit("launchctl simulator: %s names no state directory" % STATE_VARIABLE)
    try:
        request = {"kind": "launchctl", "arguments": sys.argv[1:], "uid": os.geteuid()}
        code, out, errors = wire.ask(directory, request)
    except OSError as error:
        sys.exit("launchctl simulator: no launchd runs for %s: %s" % (directory, error))
    sys.stdout.write(out)
    sys.stderr.write(errors)
    sys.exit(code)
