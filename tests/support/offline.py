# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""No network: a namespace with nothing but its own loopback where the system lets us make one, else dead ends."""

import shutil
import subprocess

DEAD_END = "http://127.0.0.1:9"

#: Nothing that was fetched earlier helps, and where everything would be fetched from does not answer.
ENVIRONMENT = {
    "UV_NO_CACHE": "1",
    "PIP_NO_CACHE_DIR": "1",
    "UV_DEFAULT_INDEX": DEAD_END,
    "PIP_INDEX_URL": DEAD_END,
    "http_proxy": DEAD_END,
    "https_proxy": DEAD_END,
    "no_proxy": "127.0.0.1",
}
NAMESPACE = ["unshare", "-r", "-n"]


def offline(script, command):
    """``command`` (a list) as ``"$@"`` of the shell script ``script``, without a network."""
    if shutil.which("unshare") and shutil.which("ip"):
        trial = subprocess.run([*NAMESPACE, "ip", "link", "set", "lo", "up"], capture_output=True, check=False)
        if trial.returncode == 0:
            return [*NAMESPACE, "sh", "-c", "ip link set lo up && " + script, "sh", *command]
    return ["sh", "-c", script, "sh", *command]
