#!/usr/bin/python
# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Verifies that a llama-server answers requests."""

from __future__ import annotations

DOCUMENTATION = r"""
module: llama_server_health
short_description: Verify that a llama-server answers requests
version_added: 0.1.0
description:
  - Waits until llama-server has loaded its model, then sends it a request and checks the answer.
  - An open port and a successful C(/health) do not prove that a server can compute. This module fails unless the
    expected build answers on the expected device, and only requests with the API key.
  - A failure names the cause as far as the log of the server shows it, with the last lines of the log.
options:
  url:
    description: Address of the server, such as V(http://127.0.0.1:8080). Proxies are never used.
    type: str
    required: true
  api_key_file:
    description: File with the API key, as in C(llama-server --api-key-file).
    type: path
  ca_file:
    description: PEM file with the certificate of the authority that signed the certificate of the server.
    type: path
  certificate:
    description:
      - PEM file with the certificate of a server on this host. A server that presents this certificate is trusted,
        whatever host name it contains.
    type: path
  own:
    description:
      - Whether the server runs on this host as the user of the task. Without TLS, the API key is then sent only to a
        process of this user, since another process may listen on the port while the server is stopped.
    type: bool
    default: false
  model:
    description: Name of the model to ask. The server must offer it. The default is the first model that is offered.
    type: str
  purpose:
    description: Purpose of the model, which decides the kind of request.
    type: str
    choices: [chat, embedding, rerank]
    default: chat
  engine_dir:
    description: Directory that holds the releases of llama.cpp. The server must be of the current one.
    type: path
  expected_device:
    description: Device that O(server) must offer, such as V(MTL0) for Metal.
    type: str
  server:
    description: Path of the llama-server binary whose devices are listed. Required with O(expected_device).
    type: path
  require_key:
    description: Whether the server must reject a request without the API key. Requires O(api_key_file).
    type: bool
    default: false
  log_file:
    description: Log of the server. A failure is explained from it.
    type: path
  timeout:
    description: Seconds to wait until the server is ready, and again for its answer.
    type: int
    default: 300
  progress_file:
    description: File to write the progress to. Set by the action plugin.
    type: path
attributes:
  check_mode:
    description:
      - The running server is checked. If nothing listens at O(url), the module succeeds with RV(ready=false), since
        check mode does not start a server.
      - The release in O(engine_dir) is compared with the running server. Omit it if the play would replace the server.
    support: full
  diff_mode:
    description: The module changes nothing.
    support: none
  idempotent:
    description: The module changes nothing.
    support: full
author:
  - contributors to macos_setup.llm (@macos-setup)
"""

EXAMPLES = r"""
- name: The server that was just installed answers a real question
  macos_setup.llm.llama_server_health:
    url: http://127.0.0.1:8080
    api_key_file: ~/llm-workspace/api-key
    require_key: true
    model: tinyllama
    engine_dir: ~/llm-workspace/engine
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
  description: Whether the server was checked. V(false) only in check mode.
  returned: success
  type: bool
ready_after:
  description: Seconds until the server was ready.
  returned: when RV(ready) is true
  type: float
build:
  description: Build of the server.
  returned: when RV(ready) is true
  type: str
  sample: b1-0c1e570
model:
  description: Name of the model that answered.
  returned: when RV(ready) is true
  type: str
answer:
  description: Beginning of the answer, or a summary of an embedding or a rerank result.
  returned: when RV(ready) is true
  type: str
tokens_per_second:
  description: Speed of the answer; null if the model does not generate text.
  returned: when RV(ready) is true
  type: float
devices:
  description: Devices other than the CPU that O(server) offers, by name.
  returned: when RV(ready) is true
  type: dict
  sample: {"MTL0": "Apple M2 (10922 MiB, 10922 MiB free)"}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import EXPECTED, in_words
from ansible_collections.macos_setup.llm.plugins.module_utils.base.progress import Progress
from ansible_collections.macos_setup.llm.plugins.module_utils.engine import store
from ansible_collections.macos_setup.llm.plugins.module_utils.llama.health import check_server, nobody_listens

STAGES = {
    "not running": "waiting for the server",
    "not answering": "waiting for its answer",
    "loading": "loading the model",
    "ready": "ready",
}


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
