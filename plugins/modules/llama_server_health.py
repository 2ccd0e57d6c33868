#!/usr/bin/python
# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Module ``llama_server_health``; the work is done in ``module_utils/llama/health.py``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: llama_server_health
short_description: Prove that a llama-server really serves
version_added: 0.1.0
author: Contributors to macos_setup.llm (!UNKNOWN)
description:
  - Waits until llama-server has loaded its model, then asks it a real question and looks at who answered.
  - An open port and a green C(/health) do not prove that a server computes. This module fails unless a completion
    comes back, from the expected build, on the expected device, and only to those who know the key.
  - A failure names its cause as far as the server's log tells it, and shows the log's last lines.
attributes:
  check_mode:
    support: full
    description:
      - The server is checked as it is. When nothing listens at O(url) there is nothing to check, which is reported
        with RV(ready=false) and is no failure, since a play in check mode starts nothing.
      - O(expected_build) is compared with what runs now; a play that would replace the server leaves it out.
  diff_mode:
    support: none
    description: Nothing is changed, so there is nothing to show.
  idempotent:
    support: full
options:
  url:
    description: Address of the server, such as V(http://127.0.0.1:8080). Proxies are never used.
    type: str
    required: true
  api_key_file:
    description: File with the API key, as given to C(llama-server --api-key-file).
    type: path
  ca_file:
    description: PEM file of the authority that signed the server's certificate, when O(url) begins with C(https).
    type: path
  certificate:
    description:
      - PEM file with the server's own certificate, when it runs on this host. A server that shows it is trusted,
        whatever the name in it.
    type: path
  own:
    description:
      - Whether the server is one of the user as whom the task runs, on this host. Without TLS the API key is then sent
        to a process of this user only, since another may hold the port while the server is stopped.
    type: bool
    default: false
  model:
    description: Name of the model that must be on offer and is asked. Without it, the first one on offer is asked.
    type: str
  purpose:
    description: What the model is for, and so what it is asked for.
    type: str
    choices: [chat, embedding, rerank]
    default: chat
  engine_dir:
    description: Directory that holds the releases of llama.cpp. The server must be of the current one.
    type: path
  expected_device:
    description: Device that O(server) must be able to compute on, such as V(MTL0) for Metal.
    type: str
  server:
    description: Path of the llama-server binary whose devices are listed.
    type: path
  require_key:
    description: Whether a question asked without the API key must be refused. Wants O(api_key_file).
    type: bool
    default: false
  log_file:
    description: Log of the server, from which a failure tells the cause.
    type: path
  timeout:
    description: Seconds to wait until the server is ready, and after that for its answer.
    type: int
    default: 300
  progress_file:
    description: File in which the progress of the wait is reported to the controller.
    type: path
"""

EXAMPLES = r"""
- name: The server that was just installed answers a real question
  macos_setup.llm.llama_server_health:
    url: http://127.0.0.1:8080
    api_key_file: ~/llm-workspace/api-key
    require_key: true
    model: tinyllama
    expected_build: b1-0c1e570
    log_file: ~/llm-workspace/logs/llama-server.log

- name: It computes on the GPU
  macos_setup.llm.llama_server_health:
    url: http://127.0.0.1:8080
    api_key_file: ~/llm-workspace/api-key
    server: ~/llm-workspace/engine/current/bin/llama-server
    expected_device: MTL0
"""

RETURN = r"""
ready:
  description: Whether the server was there to be checked; false only in check mode.
  type: bool
  returned: success
ready_after:
  description: Seconds that passed until the server was ready.
  type: float
  returned: when RV(ready) is true
build:
  description: The build that answered.
  type: str
  returned: when RV(ready) is true
  sample: b1-0c1e570
model:
  description: The model that answered.
  type: str
  returned: when RV(ready) is true
answer:
  description: The beginning of its answer; of an embedding or a rerank, what came.
  type: str
  returned: when RV(ready) is true
tokens_per_second:
  description: How fast the answer came.
  type: float
  returned: when RV(ready) is true, null when no text was asked for
devices:
  description: Devices that O(server) can compute on besides the CPU, by name.
  type: dict
  returned: when RV(ready) is true
  sample: {"MTL0": "Apple M2 (10922 MiB, 10922 MiB free)"}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import EXPECTED, in_words
from ansible_collections.macos_setup.llm.plugins.module_utils.base.progress import Progress
from ansible_collections.macos_setup.llm.plugins.module_utils.engine import store
from ansible_collections.macos_setup.llm.plugins.module_utils.llama.health import check_server, nobody_listens

STAGES = {"not running": "waiting for the server", "loading": "loading the model", "ready": "ready"}


def main():
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "required": True},
            "api_key_file": {"type": "path", "no_log": False},
            "ca_file": {"type": "path"},
            "certificate": {"type": "path"},
            "own": {"type": "bool", "default": False},
            "model": {"type": "str"},
            "purpose": {"type": "str", "choices": ["chat", "embedding", "rerank"], "default": "chat"},
            "engine_dir": {"type": "path"},
            "expected_device": {"type": "str"},
            "server": {"type": "path"},
            "require_key": {"type": "bool", "default": False, "no_log": False},
            "log_file": {"type": "path"},
            "timeout": {"type": "int", "default": 300},
            "progress_file": {"type": "path"},
        },
        required_by={"expected_device": "server"},
        required_if=[("require_key", True, ["api_key_file"])],
        supports_check_mode=True,
    )
    progress = Progress(module.params.pop("progress_file"), "service")

    def on_look(state, seconds):
        progress.update(STAGES[state], detail=f"{seconds:.0f} s")

    engine_dir = module.params.pop("engine_dir")
    build = store.stamp_of(engine_dir, store.current_release(engine_dir)).get("build_info") if engine_dir else None
    try:
        if module.check_mode and nobody_listens(module.params["url"]):
            nothing = f"Nothing listens at {module.params['url']}, so there is nothing to check."
            module.exit_json(changed=False, ready=False, msg=nothing)
        module.exit_json(
            changed=False, ready=True, **check_server(**module.params, expected_build=build, on_look=on_look)
        )
    except EXPECTED as error:
        module.fail_json(msg=in_words(error))


if __name__ == "__main__":
    main()
