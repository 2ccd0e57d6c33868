#!/usr/bin/python
# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Keeps all directories and files of one stage as they are wanted."""

from __future__ import annotations

DOCUMENTATION = r"""
module: file_set
short_description: Keep a set of directories and files as they are wanted
version_added: 0.1.0
description:
  - Sends all directories and files of one stage in a single step, and makes, replaces or removes only what differs.
  - M(ansible.builtin.file), M(ansible.builtin.template) and M(ansible.builtin.copy) do the same with one or two round
    trips for every item, which takes longer than everything else together when nothing has changed.
options:
  directories:
    description: Directories, with their parents.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Where it is.
        type: path
        required: true
      mode:
        description: Its permissions, as M(ansible.builtin.file) takes them.
        type: raw
        default: u+rwx
      kind:
        description: V(tree) if programs of the collection fill it, for O(manifest). It must not be somebody else's.
        type: str
        choices: [directory, tree]
        default: directory
  files:
    description: Single files.
    type: list
    elements: dict
    default: []
    suboptions:
      dest:
        description: Where it is.
        type: path
        required: true
      content:
        description: Its text. One of this and O(files[].src).
        type: str
      src:
        description: A file on the controller, or relative to the C(files) of the role.
        type: path
      mode:
        description: Its permissions in octal digits.
        type: str
        default: "0644"
      validate:
        description: A command that accepts it, as a list; the path of a trial copy is added.
        type: list
        elements: str
        default: []
      base64:
        description: The content of O(files[].src); filled in by the action plugin.
        type: str
  trees:
    description:
      - Directories of this collection's source files. Other files that bear its mark are removed; what is somebody
        else's stays.
    type: list
    elements: dict
    default: []
    suboptions:
      src:
        description:
          - Directory on the controller, or relative to the C(files) of the role. Links are followed.
          - Python files are sent.
        type: path
        required: true
      dest:
        description: Directory on the host.
        type: path
        required: true
      texts:
        description: Relative path and text of each file; filled in by the action plugin.
        type: dict
  keys:
    description:
      - Files that get a random key when there is none, made on the host and readable by their owner only.
    type: list
    elements: path
    default: []
  identify:
    description: Files that something depends on, of which RV(identities) is asked.
    type: list
    elements: path
    default: []
  manifest:
    description: Manifest of the installation, in which everything is noted before it is made.
    type: path
  claims:
    description: What others are going to make and the O(manifest) is to know of, as path and kind.
    type: dict
    default: {}
attributes:
  check_mode:
    description: Says what would change.
    support: full
  diff_mode:
    description: Shows the differences of every text file; never a key.
    support: full
  idempotent:
    description: A second run with the same files changes nothing.
    support: full
author:
  - contributors to macos_setup.llm (@macos-setup)
"""

EXAMPLES = r"""
- name: Install the package behind the commands
  macos_setup.llm.file_set:
    directories:
      - path: /opt/llm/bin
    trees:
      - src: llm_tools
        dest: /opt/llm/tools/lib
    files:
      - dest: /opt/llm/bin/llm
        content: "{{ lookup('ansible.builtin.template', 'launcher.sh.j2') }}"
        mode: "0755"
        validate: [/bin/sh, -n]
"""

RETURN = r"""
paths:
  description: What changed.
  returned: success
  type: list
  elements: str
digests:
  description: By destination of each tree, a SHA-256 that changes when any of its files does.
  returned: success
  type: dict
identities:
  description: By path, size, time of change (ns) and inode of the O(identify) files; null where there is none.
  returned: success
  type: dict
"""

import base64
import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import EXPECTED, LlamaCppError, in_words
from ansible_collections.macos_setup.llm.plugins.module_utils.base.files import make_directories, why_not_own
from ansible_collections.macos_setup.llm.plugins.module_utils.base.text import difference
from ansible_collections.macos_setup.llm.plugins.module_utils.ownership import file_set
from ansible_collections.macos_setup.llm.plugins.module_utils.ownership.manifest import Manifest
from ansible_collections.macos_setup.llm.plugins.module_utils.ownership.marker import bears_mark


def main():
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    try:
        module.exit_json(**place(module))
    except EXPECTED as error:
        module.fail_json(msg=in_words(error))


def argument_spec():
    def items(**options):
        return {"type": "list", "elements": "dict", "default": [], "options": options}

    def paths():
        return {"type": "list", "elements": "path", "default": [], "no_log": False}

    path = {"type": "path", "required": True}
    return {
        "directories": items(
            path=path,
            mode={"type": "raw", "default": "u+rwx"},
            kind={"type": "str", "choices": ["directory", "tree"], "default": "directory"},
        ),
        "files": items(
            dest=path,
            content={"type": "str"},
            src={"type": "path"},
            mode={"type": "str", "default": "0644"},
            validate={"type": "list", "elements": "str", "default": []},
            base64={"type": "str"},
        ),
        "trees": items(src=path, dest=path, texts={"type": "dict"}),
        "keys": paths(),
        "identify": paths(),
        "manifest": {"type": "path"},
        "claims": {"type": "dict", "default": {}},
    }


def place(module):
    """The result of the module, after everything is in place (in check mode: as if it were)."""
    given = module.params
    wanted = {file["dest"]: wanted_file(file) for file in given["files"]}
    trees = {tree["dest"]: file_set.tree(tree["dest"], tree["texts"] or {}) for tree in given["trees"]}
    if not module.check_mode:
        Manifest(given["manifest"]).note(claims(given, wanted, trees))
    for files in trees.values():
        wanted.update(files)
    changes, keys = file_set.differences(wanted, trees), file_set.missing_keys(given["keys"])
    changed = [item["path"] for item in given["directories"] if make_directory(module, **item)]
    if not module.check_mode:
        file_set.apply(changes, trees)
        for path in keys:
            file_set.generate_key(path)
    paths = [*changed, *(change.path for change in changes), *keys]
    return {
        "changed": bool(paths),
        "paths": paths,
        "digests": {directory: file_set.digest(files) for directory, files in trees.items()},
        "identities": {path: file_set.identity_of(path) for path in given["identify"]},
        "diff": [shown(change) for change in changes],
    }


def claims(given, wanted, trees):
    """What is going to be there, as the manifest wants it."""
    kinds = {item["path"]: item["kind"] for item in given["directories"]}
    kinds.update(dict.fromkeys(trees, "tree"))
    kinds.update((path, "marked" if bears_mark(file.content) else "file") for path, file in wanted.items())
    # A key that is there already is its owner's.
    return {**kinds, **dict.fromkeys(file_set.missing_keys(given["keys"]), "file"), **given["claims"]}


def wanted_file(file):
    content = base64.b64decode(file["base64"]) if file["base64"] is not None else (file["content"] or "").encode()
    return file_set.Wanted(content, int(file["mode"], 8), tuple(file["validate"]))


def make_directory(module, path, mode, kind):
    """Whether the directory ``path`` was not there, or not with ``mode``."""
    require_ours(path, kind)
    if os.path.isdir(path):
        return module.set_mode_if_different(path, mode, False)
    if os.path.lexists(path):
        raise LlamaCppError(f"{path} is to be a directory and is something else. Move it away, then run this again.")
    if not module.check_mode:
        try:
            make_directories(path, 0o700 if kind == "tree" else 0o755)
        except OSError as error:
            raise LlamaCppError(in_words(error, "cannot be made", path)) from error
        require_ours(path, kind)  # below /tmp, somebody else may have been faster
        module.set_mode_if_different(path, mode, True)
    return True


def require_ours(path, kind):
    """Raise LlamaCppError for a tree that somebody else has made, or a link in its place."""
    why = why_not_own(path) if kind == "tree" else None
    if why:
        raise LlamaCppError(f"{path} {why}, and is to be a directory of ours. Have it removed, then run this again.")


def shown(change):
    """One difference in the form in which Ansible prints it."""
    after = change.after.content if change.after else None
    if change.before == after:
        return difference(change.path, f"mode {change.mode_before:04o}\n", f"mode {change.after.mode:04o}\n")
    return difference(change.path, text(change.before), text(after))


def text(content):
    try:
        return (content or b"").decode()
    except UnicodeDecodeError:
        return f"{len(content)} bytes that are no text\n"


if __name__ == "__main__":
    main()
