#!/usr/bin/python
# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Has one verified GGUF model file in its place."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: gguf_model
short_description: Have one verified GGUF model file in its place
version_added: 0.1.0
description:
  - Downloads a GGUF model, or links a local one, and makes sure that the file under its final name is the right one.
  - A download goes to C(<dest>.part) and through SHA-256 as it arrives. An interrupted one continues behind its last
    byte. The file gets its name only after size, SHA-256 and GGUF structure have been checked.
  - A file that was verified once carries a stamp in C(.llama_cpp/) beside it. Later runs trust it while size, time of
    last change and inode are the same, and read no model data.
  - A file that somebody else put in the place is verified and used, but never replaced and never removed.
  - The proxies of the environment are used, except for addresses of the host itself.
options:
  name:
    description: What the model is called in progress and error messages.
    type: str
    required: true
  dest:
    description: Absolute path that the model shall have.
    type: path
    required: true
  state:
    description:
      - V(present) has the verified file in its place.
      - V(absent) removes it if this module put it there, and an unfinished download of it.
    type: str
    choices: [present, absent]
    default: present
  url:
    description:
      - Address of the file.
      - For an address of the form C(https://huggingface.co/OWNER/NAME/resolve/REVISION/FILE) without O(sha256),
        the SHA-256 and the commit are asked from Hugging Face before the download.
    type: str
  huggingface:
    description: The file in a model repository on Hugging Face, or on the server that E(HF_ENDPOINT) names.
    type: dict
    suboptions:
      repo:
        description: Owner and name, C(OWNER/NAME).
        type: str
        required: true
      file:
        description: Path of the file in the repository. Capital and small letters differ.
        type: str
        required: true
      revision:
        description: Commit, tag or branch. Only a commit (40 hexadecimal digits) always means the same bytes.
        type: str
        default: main
  path:
    description: Absolute path of a file on the host. It is checked and linked to O(dest), not copied.
    type: path
  kind:
    description:
      - What the file must be by its header. A V(mmproj) sees or hears for a model, an V(adapter) is a LoRA.
      - A V(reranker) is a model with a classification head, without which its scores would mean nothing.
    type: str
    choices: [model, reranker, mmproj, adapter]
    default: model
  sha256:
    description: Expected SHA-256 of the file, 64 hexadecimal digits.
    type: str
  bytes:
    description: Expected size of the file in bytes.
    type: int
  parts:
    description:
      - Expected SHA-256 and size of each file of a model that is spread over several, in their order. O(dest) then ends
        in C(-00001-of-0000N.gguf). Source and mirrors then name the first file too; the others lie beside it.
      - All files are fetched and proved before any gets its name, and none is fetched unless the disk has room for all
        whose sizes are known.
    type: list
    elements: dict
    suboptions:
      sha256:
        description: Expected SHA-256 of the file, 64 hexadecimal digits.
        type: str
      bytes:
        description: Expected size of the file in bytes.
        type: int
  mirrors:
    description:
      - Addresses to try before the source, in this order. One that ends in C(/) is a directory that has the file
        under the last part of O(dest).
      - What they send has to have the expected SHA-256.
    type: list
    elements: str
    default: []
  queries:
    description:
      - The queries of O(url) and O(mirrors), each with its C(?), by the address without it.
      - The action plugin moves them here, because a signed address lets in everyone who reads it, and this option is
        never shown or logged.
    type: dict
    default: {}
  seed:
    description:
      - Another host that offers what it verified, as M(macos_setup.llm.seed) returned it. It is asked before
        mirrors and source; if it cannot give the file, they are.
      - Without O(sha256), and without a word from Hugging Face, what it offers from the same address counts as right.
  allow_plain_http:
    description: Allow C(http://) to other hosts than the host itself.
    type: bool
    default: false
  require_checksum:
    description: Refuse a file whose SHA-256 is not known beforehand.
    type: bool
    default: false
  token_file:
    description:
      - File on the host whose first line is a Hugging Face token, and that nobody but the user can read. Without it,
        E(HF_TOKEN) is used if set.
      - The token is sent to the Hugging Face endpoint only.
    type: path
  deep_verify:
    description: Read the whole file and compare its SHA-256 even if its stamp vouches for it.
    type: bool
    default: false
  renew:
    description:
      - Ask Hugging Face again what the revision is now, and have that, even if the file in place came from there.
      - Compute the SHA-256 of a file in place for which nobody needed it yet.
      - Without effect when O(sha256) is given.
    type: bool
    default: false
  timeout:
    description: Seconds without data, or at less than 1 KiB/s, after which a connection counts as stalled.
    type: float
    default: 30
  manifest:
    description: Manifest of the installation, in which the model is noted before it is put in place.
    type: path
  bundle:
    description:
      - Bundle to take the file from instead of the network; see M(macos_setup.llm.bundle).
      - It also stands in for an O(path) that is not there.
    type: path
  progress_file:
    description: File on the host to which the progress is written while the module runs.
    type: path
extends_documentation_fragment:
  - macos_setup.llm.seed
attributes:
  check_mode:
    support: full
    description: Says what would be done without using the network, writing, or reading model data.
    details:
      - A file in place that has no valid stamp has to be read to know whether it is right. RV(verified) is then false.
  diff_mode:
    support: full
    description: Shows path, size and SHA-256 before and after.
  idempotent:
    support: full
    description: A second run with the same arguments changes nothing.
author:
  - contributors to macos_setup.llm (@macos-setup)
"""

EXAMPLES = r"""
- name: A model from Hugging Face at a pinned revision
  macos_setup.llm.gguf_model:
    name: qwen
    dest: /Users/sam/llm-workspace/models/qwen2.5-0.5b-instruct-q4_k_m.gguf
    huggingface:
      repo: Qwen/Qwen2.5-0.5B-Instruct-GGUF
      file: qwen2.5-0.5b-instruct-q4_k_m.gguf
      revision: 9217f5db79a29953eb74d5343926648285ec7e67
    sha256: 74a4da8c9fdbcd15bd1f6d01d621410d31c6fc00986f5eb687824e7b93d7a9db

- name: A model from a server in the house first, else from its origin
  macos_setup.llm.gguf_model:
    name: tinyllama
    dest: /Users/sam/llm-workspace/models/tinyllama-1.1b-chat-v1.0.Q4_K_M.gguf
    url: https://huggingface.co/TheBloke/TinyLlama-1.1B-Chat-v1.0-GGUF/resolve/main/tinyllama-1.1b-chat-v1.0.Q4_K_M.gguf
    sha256: 9fecc3b3cd76bba89d504f29b616eedf7da85b96540e490ca5824d3f7d2776a0
    mirrors: [https://models.example.org/gguf/]

- name: A file that is on the host already
  macos_setup.llm.gguf_model:
    name: own
    dest: /Users/sam/llm-workspace/models/own.gguf
    path: /Volumes/Models/own-finetune.gguf
"""

RETURN = r"""
path:
  description: Where the model is.
  type: str
  returned: success
bytes:
  description: Its size.
  type: int
  returned: success, null when not known yet
sha256:
  description: Its SHA-256, as computed from its bytes; in check mode as expected.
  type: str
  returned: success, null when never computed
architecture:
  description: The model architecture that its header names.
  type: str
  returned: success, null when there is no file
context_length:
  description: The context length in tokens that it was trained for.
  type: int
  returned: success, null when its header does not say
origin:
  description: Address (without its query) or path it came from; null for a file that was found in place.
  type: str
  returned: success
revision:
  description: The commit that Hugging Face named for it.
  type: str
  returned: success, null when Hugging Face was not asked
transferred:
  description: Bytes that this run fetched over the network.
  type: int
  returned: success
verified:
  description:
    - Whether the file in place is proved to be the wanted one. Always true after a real run.
    - In check mode, false means that a real run would have something to fetch or to read.
  type: bool
  returned: success
msg:
  description: In check mode, what would be done.
  type: str
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.macos_setup.llm.plugins.module_utils.base import addresses
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import EXPECTED, in_words
from ansible_collections.macos_setup.llm.plugins.module_utils.macos.privacy import guarded_place, may_be_refused
from ansible_collections.macos_setup.llm.plugins.module_utils.models.request import fulfil
from ansible_collections.macos_setup.llm.plugins.module_utils.net import seed
from ansible_collections.macos_setup.llm.plugins.module_utils.offline.bundle import Bundle

SOURCES = ("url", "huggingface", "path")


def main():
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "dest": {"type": "path", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "url": {"type": "str"},
            "huggingface": {
                "type": "dict",
                "options": {
                    "repo": {"type": "str", "required": True},
                    "file": {"type": "str", "required": True},
                    "revision": {"type": "str", "default": "main"},
                },
            },
            "path": {"type": "path"},
            "kind": {"type": "str", "choices": ["model", "reranker", "mmproj", "adapter"], "default": "model"},
            "sha256": {"type": "str"},
            "bytes": {"type": "int"},
            "parts": {
                "type": "list",
                "elements": "dict",
                "options": {"sha256": {"type": "str"}, "bytes": {"type": "int"}},
            },
            "mirrors": {"type": "list", "elements": "str", "default": []},
            "queries": addresses.OPTION,
            "seed": seed.OPTION,
            "allow_plain_http": {"type": "bool", "default": False},
            "require_checksum": {"type": "bool", "default": False},
            "token_file": {"type": "path", "no_log": False},
            "deep_verify": {"type": "bool", "default": False},
            "renew": {"type": "bool", "default": False},
            "timeout": {"type": "float", "default": 30},
            "manifest": {"type": "path"},
            "bundle": {"type": "path"},
            "progress_file": {"type": "path"},
        },
        mutually_exclusive=[SOURCES],
        required_if=[("state", "present", SOURCES, True)],
        supports_check_mode=True,
    )
    try:
        bundle = Bundle(module.params["bundle"]) if module.params["bundle"] else None
        result = fulfil(module.params, module.check_mode, bundle)
        place = guarded_place(module.params["path"] or module.params["dest"])
        if place:
            module.warn(
                "Model %s lies in a place that macOS guards. %s" % (module.params["name"], may_be_refused(place))
            )
    except EXPECTED as error:
        module.fail_json(msg=in_words(error))
    for warning in result.pop("warnings"):
        module.warn(warning)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
