#!/usr/bin/python
# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Module ``host_info``; the work is done in ``module_utils/host.py``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_info
short_description: Find out what a host has and which stages of a plan have something to do
version_added: 0.2.0
description:
  - Answers in one run everything that a play has to know of a host before it changes anything. The action plugin of
    M(macos_setup.llm.configure) asks it.
  - Refuses what makes the play impossible, such as files of others in the places of the collection, a secret that is
    open to other users, models that do not fit into memory or onto the disk, or a Mac that cannot build the engine.
  - Runs the code of the stages in check mode, to tell which of them have something to do. Nothing is changed.
options:
  manifest:
    description:
      - Manifest of the installation. The module fails if something that is not noted in it stands where one of the
        O(claims) is to be, and names all of that. It also fails if it runs as root and the directory is not root's.
    type: path
    required: true
  programs:
    description:
      - Names of programs to look for, in the search path and where a non-login shell does not look, such as Homebrew's
        directories.
    type: list
    elements: str
    default: []
  commands:
    description:
      - The commands to install. They give way to programs of others with their names.
      - The login shell of the user is asked what it searches, for at most ten seconds, unless the user is root.
    type: dict
    suboptions:
      directory:
        description: Directory that the commands are installed in.
        type: path
        required: true
      names:
        description: The files that go with each command, such as a man page, by the name of the command.
        type: dict
        required: true
      blocks:
        description: Items in lists of other programs, as M(macos_setup.llm.file_set) takes them.
        type: dict
        default: {}
      zsh:
        description: Directory of the completion scripts for zsh, which searches it only if told to.
        type: path
        required: true
      system:
        description: Kind of the host.
        type: str
        required: true
        choices: [Darwin, Linux]
  private_files:
    description:
      - Files with a secret, by the name of their setting. A file that other users can read is refused, as is one that
        belongs to a user other than this one and root. A file of root may be readable by a group.
    type: dict
    default: {}
  claims:
    description: What the collection will make, as path and kind.
    type: dict
    default: {}
  bundle:
    description: Bundle that replaces the network; see M(macos_setup.llm.bundle).
    type: path
  launchd:
    description: Where jobs of this user under launchd are not wanted any more.
    type: dict
    suboptions:
      launchctl:
        description: Path of launchctl. Where there is none, nothing is loaded.
        type: path
        required: true
      labels:
        description: Labels of the jobs.
        type: list
        elements: str
        required: true
      home:
        description: Home of the user whose jobs they are.
        type: path
        required: true
      elsewhere:
        description: The V(domains) and the V(directory) of the plists in which the jobs are not to be.
        type: dict
        required: true
  engine:
    description: The release of llama.cpp that is wanted.
    type: dict
    suboptions:
      engine:
        description: The part C(engine) of the plan.
        type: dict
        required: true
      engine_dir:
        description: Directory that holds all releases.
        type: path
        required: true
      system:
        description: Kind of the host.
        type: str
        required: true
        choices: [Darwin, Linux]
      arguments:
        description: llama-server arguments that an installed release must know.
        type: list
        elements: str
        default: []
      programs:
        description: Programs besides llama-server that the release must have.
        type: list
        elements: str
        default: []
      install_tools:
        description: Whether the play installs Apple's Command Line Tools when they are missing.
        type: bool
        default: false
  fit:
    description: What the models need, to be compared with the memory and the disks of the host.
    type: dict
    suboptions:
      models:
        description: The models.
        type: list
        elements: dict
        default: []
        suboptions:
          name:
            description: Name of the model in the configuration.
            type: str
            required: true
          path:
            description: Path of the GGUF file, the first one of several. One that is not there yet is no failure.
            type: path
            required: true
          context_size:
            description: Context window in tokens. If omitted, llama-server takes what fits.
            type: int
          cache:
            description: The types in which keys and values of the context are kept.
            type: list
            elements: str
            default: [f16, f16]
          bytes:
            description: Size that the file, or all of them, will have. Counts as long as one is not there yet.
            type: int
          companions:
            description:
              - Files that are loaded with it, such as a projector, a draft model or adapters. Their sizes count.
              - A draft model's context, of as many tokens, counts too, as far as its header can be read.
            type: list
            elements: dict
            default: []
            suboptions:
              path:
                description: Path of the file.
                type: path
                required: true
              bytes:
                description: Size that it will have. Counts as long as it is not there yet.
                type: int
              role:
                description: What it is to the model.
                type: str
                choices: [mmproj, draft_model, lora]
              cache:
                description: The types in which keys and values of a draft model's context are kept.
                type: list
                elements: str
                default: [f16, f16]
          purpose:
            description: What the model is for. One for the same purpose is named when it does not fit.
            type: str
      max_loaded:
        description: How many of the models may be loaded at the same time.
        type: int
        default: 1
      files:
        description:
          - The files of the plan, as for M(macos_setup.llm.gguf_model). The disk needs room for those to download.
        type: list
        elements: dict
        default: []
      catalog:
        description: Models that can be had instead of one that does not fit.
        type: list
        elements: dict
        default: []
        suboptions:
          name:
            description: Name in the catalog.
            type: str
            required: true
          bytes:
            description: Size of the file.
            type: int
            required: true
          purpose:
            description: What the model is for.
            type: str
            required: true
      misfit:
        description: What to do when something is known not to fit. V(warn) shows the same words as a warning.
        type: str
        choices: [fail, warn]
        default: fail
      parallel:
        description: Number of slots that share the context. If omitted, llama-server chooses.
        type: int
      server:
        description: Path of the llama-server binary. It need not be there yet.
        type: path
      device:
        description: Device that the server is to compute on, V(MTL0) for Metal. If omitted, that is the CPU.
        type: str
      system:
        description: Kind of host.
        type: str
        choices: [Darwin, Linux]
        required: true
      memory_mb:
        description: Memory of the host in MiB. If omitted, all that it has.
        type: int
      workers_mb:
        description: MiB that RPC workers offer to the server of this host.
        type: int
      wired_limit_mb:
        description:
          - How much memory, in MiB, the GPU is to be allowed to use (C(iogpu.wired_limit_mb)); the models are
            compared with
            that. More than is safe on this Mac is refused.
          - If omitted or 0, what is in force now.
        type: int
      scope:
        description: Whose service it is, a user's agent or a daemon of the system. If omitted, there is no advice.
        type: str
        choices: [user, system]
      user:
        description: The account that the service belongs to. Needed together with O(fit.scope).
        type: str
      keep_awake:
        description: Whether the service keeps the host awake while it runs.
        type: bool
        default: false
      sysctl:
        description: Path of sysctl.
        type: path
        default: /usr/sbin/sysctl
      pmset:
        description: Path of pmset.
        type: path
        default: /usr/bin/pmset
      fdesetup:
        description: Path of fdesetup.
        type: path
        default: /usr/bin/fdesetup
      login_window:
        description: Path of the login window's settings, which name the user who is logged in at boot.
        type: path
        default: /Library/Preferences/com.apple.loginwindow.plist
      wired_limit_plist:
        description: Path of the job that sets O(fit.wired_limit_mb) at boot, see M(macos_setup.llm.mac_settings).
        type: path
        default: /Library/LaunchDaemons/com.llama.wired-limit.plist
      mac_record:
        description: File in which that module notes what else it changes.
        type: path
        default: /Library/Application Support/macos_setup.llm/settings.json
  stages:
    description:
      - What each stage of the play would do, by its name. A stage is a list of pairs of a kind and the options of the
        module that does it.
      - The kinds are V(release), V(file_set), V(environment), V(models), V(mac_settings), V(launchd) and V(supervisor).
    type: dict
    default: {}
attributes:
  check_mode:
    description: The module only looks. In check mode a Mac that cannot build the engine yet is a warning.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
  idempotent:
    description: Nothing is ever changed.
    support: full
author:
  - contributors to macos_setup.llm (@macos-setup)
"""

EXAMPLES = r"""
- name: See what the host has
  macos_setup.llm.host_info:
    programs: [brew, cmake]
    commands:
      directory: /Users/sam/.local/bin
      names: {llm: [/Users/sam/.local/share/man/man1/llm.1]}
      zsh: /Users/sam/.local/share/zsh/site-functions
      system: Darwin
    manifest: /Users/sam/llm-workspace/manifest.json
  register: host

- name: Compare a model with the memory of this host
  macos_setup.llm.host_info:
    manifest: /Users/sam/llm-workspace/manifest.json
    fit:
      system: Darwin
      device: MTL0
      models:
        - {name: llama, path: /Users/sam/llm-workspace/models/llama.gguf, context_size: 32768}
"""

RETURN = r"""
due:
  description: The O(stages) that have something to do, with the kinds of their parts that do.
  returned: success
  type: dict
  sample: {models: [models], service: [file_set, supervisor]}
programs:
  description: Absolute path of each program, or null.
  returned: success
  type: dict
  sample: {brew: /opt/homebrew/bin/brew, cmake: null}
commands:
  description: What is in the way of the commands, and what their user has to know to find them.
  returned: when O(commands) is given
  type: dict
  contains:
    foreign:
      description: Path of the program of others that a command gives way to, or null, by the name of the command.
      type: dict
      sample: {llm: /opt/homebrew/bin/llm}
    others:
      description: Paths of all programs of others with the name of a command, in the order of the search.
      type: dict
      sample: {llm: [/opt/homebrew/bin/llm]}
    simonw:
      description: Path of the command of simonw/llm, or null.
      type: str
    left_out:
      description: Files that go with the commands and are not installed, with the reason.
      type: dict
    withheld:
      description: All paths that are not to be written, of commands that give way and of files that are left out.
      type: list
      elements: str
    login:
      description: What the login shell of the user searches, or null where that is not known.
      type: dict
      contains:
        shell:
          description: Path of the shell.
          type: str
        runs:
          description: Path of the program that it runs, or null, by the name of the command.
          type: dict
        path_line:
          description: File and line to add so that it searches the directory of the commands; null if it does.
          type: list
          elements: str
        completes:
          description: Whether it finds the completion scripts.
          type: bool
elsewhere:
  description: The jobs in the domain that the service leaves, in the opposite order of their labels.
  returned: when O(launchd) is given
  type: list
  elements: dict
  sample: [{label: com.llama.server, plist: /Library/LaunchDaemons/com.llama.server.plist, domain: system}]
engine:
  description:
    - The engine with what only the host can tell, namely the release in the O(bundle) or the commit of a tag.
  returned: when O(engine) is given
  type: dict
release:
  description: The release that the engine asks for, as M(macos_setup.llm.engine_release) returns it.
  returned: when O(engine) is given
  type: dict
command_line_tools:
  description: Whether Apple's Command Line Tools are installed, or not needed.
  returned: when O(engine) is given
  type: bool
fit:
  description: What fits. Lists of sentences for people are in C(words).
  returned: when O(fit) is given
  type: dict
  contains:
    words:
      description: Everything that was found, a sentence each.
      type: list
      elements: str
    undecided:
      description: Whether another look, after the engine is installed, can tell more.
      type: bool
    undecided_absent:
      description: Whether another look, after the models are installed, can tell more.
      type: bool
    hardware:
      description: What the host is made of; null where that is unknown. The memory is in bytes.
      type: dict
      sample: {chip: Apple M1 Max, memory: 68719476736, performance_cores: 8, translated: 0, wired_limit_mb: 0}
    available:
      description: Bytes that a model may take, before the 1 GiB that llama-server leaves free.
      type: int
      sample: 51539607552
    models:
      description: For every model, in the order given, what it needs and whether that is there.
      type: list
      elements: dict
      contains:
        name:
          description: Name of the model.
          type: str
        there:
          description: Whether all its files are there.
          type: bool
        needed:
          description: Bytes that it needs, with its companions; null if unknown.
          type: int
        fits:
          description: Whether it fits; null when that is not known.
          type: bool
        words:
          description: All of that for people, with what to do when it does not fit.
          type: str
      sample:
        - name: llama-70b
          there: true
          needed: 53379858432
          fits: false
          words: >-
            models.llama-70b needs 49.7 GiB (weights 39.6, context_size 32768 takes 10.0, working memory 0.3); Metal
            on this Mac allows 48.0 of 64.0 GiB, of which llama-server leaves 1.0 free. With context_size 16384 it
            needs 44.8 GiB and fits. Or choose a smaller quantisation.
    together:
      description:
        - C(there), C(needed), C(fits) and C(words), as for one model, of the largest that may be loaded at the same
          time.
        - Null when there are no two of them, or one does not fit by itself.
      type: dict
    problem:
      description: Everything that is known not to fit, with what to do; null when there is nothing.
      type: str
    mac_changed:
      description: Whether M(macos_setup.llm.mac_settings) has changed something of this Mac and not taken it back yet.
      type: bool
    advice:
      description: What would keep the service from being there, a sentence each, with the command that changes it.
      type: list
      elements: str
      sample: ["After a power failure this Mac stays off. To have it start again: sudo pmset -a autorestart 1"]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import EXPECTED, in_words
from ansible_collections.macos_setup.llm.plugins.module_utils.capacity import report
from ansible_collections.macos_setup.llm.plugins.module_utils.host import Host
from ansible_collections.macos_setup.llm.plugins.module_utils.models import request as model_request
from ansible_collections.macos_setup.llm.plugins.module_utils.service.launchd import request as launchd_request
from ansible_collections.macos_setup.llm.plugins.module_utils.service.supervisor import request as supervisor_request

LAUNCHD = {
    "launchctl": {"type": "path", "required": True},
    "labels": {"type": "list", "elements": "str", "required": True},
    "home": {"type": "path", "required": True},
    "elsewhere": {"type": "dict", "required": True},
}
COMMANDS = {
    "directory": {"type": "path", "required": True},
    "names": {"type": "dict", "required": True},
    "blocks": {"type": "dict", "default": {}},
    "zsh": {"type": "path", "required": True},
    "system": {"type": "str", "choices": ["Darwin", "Linux"], "required": True},
}
ENGINE = {
    "engine": {"type": "dict", "required": True},
    "engine_dir": {"type": "path", "required": True},
    "system": {"type": "str", "choices": ["Darwin", "Linux"], "required": True},
    "arguments": {"type": "list", "elements": "str", "default": []},
    "programs": {"type": "list", "elements": "str", "default": []},
    "install_tools": {"type": "bool", "default": False},
}

#: The options of a part of a stage, where the module that does it has defaults for some.
PARTS = {
    "models": model_request.OPTIONS,
    "launchd": launchd_request.OPTIONS,
    "supervisor": supervisor_request.OPTIONS,
}


def main():
    module = AnsibleModule(
        argument_spec={
            "manifest": {"type": "path", "required": True},
            "programs": {"type": "list", "elements": "str", "default": []},
            "commands": {"type": "dict", "options": COMMANDS},
            "private_files": {"type": "dict", "default": {}},
            "claims": {"type": "dict", "default": {}},
            "bundle": {"type": "path"},
            "launchd": {"type": "dict", "options": LAUNCHD},
            "engine": {"type": "dict", "options": ENGINE},
            "fit": {"type": "dict", "options": report.OPTIONS, "required_by": {"scope": ("user",)}},
            "stages": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    given = module.params
    given["stages"] = {
        name: [(kind, complete(module, kind, wanted)) for kind, wanted in parts]
        for name, parts in given["stages"].items()
    }
    try:
        module.exit_json(changed=False, **Host(given, module.check_mode, module.warn).look())
    except EXPECTED as error:
        module.fail_json(msg=in_words(error))


def complete(module, kind, wanted):
    """The options ``wanted`` of a part with the defaults of the module that does it."""
    if kind not in PARTS:
        return wanted
    result = ArgumentSpecValidator(PARTS[kind]).validate(wanted)
    if result.error_messages:
        module.fail_json(msg="stages, %s: %s" % (kind, "; ".join(result.error_messages)))
    return result.validated_parameters


if __name__ == "__main__":
    main()
