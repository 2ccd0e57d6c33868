#!/usr/bin/python
# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Manages the releases of llama.cpp on a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: engine_release
short_description: Build, adopt and switch releases of llama.cpp
version_added: 0.1.0
description:
  - Keeps every build of llama.cpp in a directory of its own, named after its version and a fingerprint of
    everything that changes the binaries (source, options, compiler, SDK, processor).
  - A release whose server does not run counts as absent. The link C(current) is switched by a rename.
options:
  engine:
    description: The part C(engine) of the plan that M(macos_setup.llm.configure) returns.
    type: dict
    required: true
  engine_dir:
    description: Directory that holds all releases.
    type: path
    required: true
  system:
    description: Kind of the host, as in the fact C(system).
    type: str
    required: true
    choices: [Darwin, Linux]
  state:
    description:
      - V(present) compiles the release from O(source_dir), or links the programs of an existing engine. What was
        fetched for that is removed then.
      - V(fetched) takes the programs that O(seed) compiled for the same release. When it does not have them, or what
        it sends is not what it offered or does not run here, a warning says so and the release is as absent as before.
      - V(current) makes it the current one in any case. Where it is served, the rollout of the service does that.
    type: str
    default: present
    choices: [present, fetched, current]
  source_dir:
    description: Sources to compile, or unpacked programs. Needed for O(state=present) unless the engine exists already.
    type: path
  tool_dirs:
    description: Directories in which CMake and Ninja are looked for before the usual ones.
    type: list
    elements: path
    default: []
  arguments:
    description:
      - llama-server arguments that the release must know. All unknown ones are named, with their successors.
      - Checked whenever the release is there, before anything is changed.
    type: list
    elements: str
    default: []
  selftest:
    description:
      - Test that a release has to pass after O(state=present) or O(state=fetched) has installed it, as
        M(macos_setup.llm.engine_selftest) makes it. It is noted in the release; no other release is put in service.
    type: dict
    suboptions:
      model:
        description: Path of the self-test model.
        type: path
        required: true
      answers:
        description: Path of the known answers of the model.
        type: path
        required: true
      device:
        description: Device to compute on, such as V(MTL0) for Metal.
        type: str
  manifest:
    description: Manifest of the installation, in which a release is noted before it is made.
    type: path
  bundle:
    description: Bundle that an engine with the source C(bundle) is taken from; see M(macos_setup.llm.bundle).
    type: path
  seed:
    description: Another host that offers what it has, as M(macos_setup.llm.seed) returned it. For O(state=fetched).
  progress_file:
    description: Where progress is written; set by the action plugin.
    type: path
extends_documentation_fragment:
  - macos_setup.llm.seed
attributes:
  check_mode:
    description: Predicts the change, also on a host without the release.
    support: full
  diff_mode:
    description: Shows which release is present and which is current.
    support: full
  idempotent:
    description: A second run with the same engine and toolchain changes nothing.
    support: full
author:
  - contributors to macos_setup.llm (@macos-setup)
"""

EXAMPLES = r"""
- name: Compile it
  macos_setup.llm.engine_release:
    state: present
    engine: "{{ plan.engine }}"
    engine_dir: /opt/llm/engine
    system: Linux
    source_dir: /opt/llm/engine/src

- name: Or fetch it from a host that has compiled it
  macos_setup.llm.engine_release:
    state: fetched
    engine: "{{ plan.engine }}"
    engine_dir: /opt/llm/engine
    system: Linux
    seed: "{{ seed.offer }}"
"""

RETURN = r"""
release:
  description: The release that the engine asks for.
  returned: success
  type: dict
  contains:
    name: {description: Version and fingerprint., type: str, sample: 0c1e570-3f1a9b2c4d5e}
    path: {description: Its directory., type: str}
    server: {description: Its llama-server., type: str}
    source_dir: {description: Where its sources or unpacked programs belong., type: str}
    usable: {description: Whether it is complete and runs., type: bool}
    why_not: {description: Why it is not usable., type: str}
    build_info: {description: What its server says it is., type: str, sample: b0-0c1e570-3f1a9b2c4d5e}
    selftested: {description: "Whether it has passed the self-test; in check mode, whether it would have.", type: bool}
    current: {description: Whether it is the one in use., type: bool}
    serving: {description: Name of the one in use., type: str}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import EXPECTED, in_words
from ansible_collections.macos_setup.llm.plugins.module_utils.engine.release import Release
from ansible_collections.macos_setup.llm.plugins.module_utils.engine.request import STATES, ensure, look, told
from ansible_collections.macos_setup.llm.plugins.module_utils.net import seed
from ansible_collections.macos_setup.llm.plugins.module_utils.offline.bundle import Bundle

SELFTEST = {
    "model": {"type": "path", "required": True},
    "answers": {"type": "path", "required": True},
    "device": {"type": "str"},
}


def main():
    module = AnsibleModule(
        argument_spec={
            "engine": {"type": "dict", "required": True},
            "engine_dir": {"type": "path", "required": True},
            "system": {"type": "str", "required": True, "choices": ["Darwin", "Linux"]},
            "state": {"type": "str", "default": "present", "choices": list(STATES)},
            "source_dir": {"type": "path"},
            "tool_dirs": {"type": "list", "elements": "path", "default": []},
            "arguments": {"type": "list", "elements": "str", "default": []},
            "selftest": {"type": "dict", "options": SELFTEST},
            "manifest": {"type": "path"},
            "bundle": {"type": "path"},
            "seed": seed.OPTION,
            "progress_file": {"type": "path"},
        },
        required_if=[("state", "fetched", ["seed"])],
        supports_check_mode=True,
    )
    wanted = module.params
    try:
        release = Release(wanted["engine"], wanted["engine_dir"], wanted["system"])
        before = look(release)
        bundle = Bundle(wanted["bundle"]) if wanted["bundle"] else None
        changed = ensure(release, wanted, module.check_mode, module.warn, bundle)
        after = look(release)
    except EXPECTED as error:
        module.fail_json(msg=in_words(error))
    found = after
    if module.check_mode and changed:
        after = {
            **before,
            "usable": True,
            "serving": release.name if wanted["state"] == "current" else before["serving"],
        }
    module.exit_json(
        changed=changed,
        release=told(release, found),
        diff={side: picture(release, found) for side, found in (("before", before), ("after", after))},
    )


def picture(release, found):
    return "{}: {}{}\ncurrent: {}\n".format(
        release.name,
        "present" if found["usable"] else "absent",
        ", passed the self-test" if found["selftested"] else "",
        found["serving"] or "none",
    )


if __name__ == "__main__":
    main()
