#!/usr/bin/python
# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Manages the directories and files of one stage."""

from __future__ import annotations

DOCUMENTATION = r"""
module: file_set
short_description: Manage the directories and files of one stage in a single task
version_added: 0.1.0
description:
  - Creates, replaces, or removes only the directories and files that differ, in one round trip to the host.
  - M(ansible.builtin.file), M(ansible.builtin.template), and M(ansible.builtin.copy) need one or two round trips for
    each item, which is most of the time of a play in which nothing has changed.
options:
  directories:
    description: Directories to create, with missing parent directories.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Path of the directory.
        type: path
        required: true
      mode:
        description: Permissions of the directory, in the format of M(ansible.builtin.file).
        type: raw
        default: u+rwx
      kind:
        description:
          - How the directory is recorded in O(manifest). V(tree) is for a directory that programs of the collection
            write to, and fails if it belongs to another user.
        type: str
        choices: [directory, tree]
        default: directory
  files:
    description: Files to write.
    type: list
    elements: dict
    default: []
    suboptions:
      dest:
        description: Path of the file.
        type: path
        required: true
      content:
        description: Text of the file. Exactly one of O(files[].content) and O(files[].src) is required.
        type: str
      src:
        description: File on the controller, as an absolute path or relative to the C(files) directory of the role.
        type: path
      mode:
        description: Permissions of the file, in octal digits.
        type: str
        default: "0644"
      validate:
        description: Command, as a list of words, that checks the new content. The path of a copy is appended.
        type: list
        elements: str
        default: []
      staged:
        description: Copy of O(files[].src) on the host. Set by the action plugin.
        type: path
      sha256:
        description: SHA-256 of O(files[].staged). Set by the action plugin.
        type: str
  trees:
    description:
      - Directories with source files of this collection. Files in O(trees[].dest) that carry the marker of the
        collection and are no longer in O(trees[].src) are removed. All other files are kept.
    type: list
    elements: dict
    default: []
    suboptions:
      src:
        description:
          - Directory on the controller, as an absolute path or relative to the C(files) directory of the role.
          - Only Python files are sent. Symbolic links are followed.
        type: path
        required: true
      dest:
        description: Directory on the host.
        type: path
        required: true
      staged:
        description: JSON file on the host with the content of each file by relative path. Set by the action plugin.
        type: path
      sha256:
        description: SHA-256 of O(trees[].staged). Set by the action plugin.
        type: str
  blocks:
    description:
      - Items in YAML lists that belong to other programs, as lines of YAML by the path of the file. They stand between
        two comments, and the rest of the file is not touched. Empty text removes them.
      - The module fails if the file is not such a list, or has an item with the same C(model_id).
    type: dict
    default: {}
  keys:
    description:
      - Files to create with a random key if they do not exist. The key is generated on the host, and only the owner of
        the file can read it.
    type: list
    elements: path
    default: []
  environment:
    description:
      - Python environment of the stage, which is made before its files if it is not ready, as
        M(macos_setup.llm.python_environment) makes it.
    type: dict
    suboptions:
      path:
        description: Path of the environment.
        type: path
        required: true
      requirements:
        description: Requirements in pip's format, with hashes.
        type: str
        required: true
      bundle:
        description: Bundle to take the packages from; see M(macos_setup.llm.bundle).
        type: path
      uv:
        description: Path of uv on the host. With it, progress is not shown.
        type: path
  progress_file:
    description: Where progress is written; set by the action plugin.
    type: path
  manifest:
    description: Manifest of the installation. Every path is recorded in it before it is created.
    type: path
  claims:
    description: Further paths to record in O(manifest), with the kind of each. Later tasks create them.
    type: dict
    default: {}
attributes:
  check_mode:
    description: Reports the changes without making them.
    support: full
  diff_mode:
    description: Shows the difference of every text file. Of a tree it shows which files differ. Keys are never shown.
    support: full
  idempotent:
    description: A second run with the same options changes nothing.
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
  description: Paths that changed.
  returned: success
  type: list
  elements: str
"""

import hashlib
import json
import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import EXPECTED, LlamaCppError, in_words
from ansible_collections.macos_setup.llm.plugins.module_utils.base.files import make_directories, why_not_own
from ansible_collections.macos_setup.llm.plugins.module_utils.base.progress import Progress
from ansible_collections.macos_setup.llm.plugins.module_utils.base.text import difference
from ansible_collections.macos_setup.llm.plugins.module_utils.llama import new_api_key
from ansible_collections.macos_setup.llm.plugins.module_utils.net.python_environment import OPTIONS, PythonEnvironment
from ansible_collections.macos_setup.llm.plugins.module_utils.offline.bundle import Bundle
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
            mode={"type": "raw", "default": file_set.DIRECTORY_MODE},
            kind={"type": "str", "choices": ["directory", "tree"], "default": "directory"},
        ),
        "files": items(
            dest=path,
            content={"type": "str"},
            src={"type": "path"},
            mode={"type": "str", "default": file_set.FILE_MODE},
            validate={"type": "list", "elements": "str", "default": []},
            staged={"type": "path"},
            sha256={"type": "str"},
        ),
        "trees": items(src=path, dest=path, staged={"type": "path"}, sha256={"type": "str"}),
        "blocks": {"type": "dict", "default": {}},
        "keys": paths(),
        "environment": {"type": "dict", "options": OPTIONS},
        "progress_file": {"type": "path"},
        "manifest": {"type": "path"},
        "claims": {"type": "dict", "default": {}},
    }


def place(module):
    """The result of the module, after everything is in place (in check mode: as if it were)."""
    given = module.params
    wanted = {file["dest"]: wanted_file(file) for file in given["files"]}
    trees = {tree["dest"]: file_set.tree(tree["dest"], json.loads(staged(tree))) for tree in given["trees"]}
    environment = due_environment(given["environment"])
    if not module.check_mode:
        Manifest(given["manifest"]).note(claims(given, wanted, trees))
        if environment:
            environment.install(Progress(given["progress_file"], subject=environment.path))
    for files in trees.values():
        wanted.update(files)
    wanted = file_set.with_blocks(wanted, given["blocks"])
    changes, keys = file_set.differences(wanted, trees), file_set.missing_keys(given["keys"])
    changed = [item["path"] for item in given["directories"] if make_directory(module, **item)]
    if not module.check_mode:
        file_set.apply(changes, trees)
        for path in keys:
            new_api_key.generate(path)
    environments = [environment.path] if environment else []
    paths = [*environments, *changed, *(change.path for change in changes), *keys]
    return {
        "changed": bool(paths),
        "paths": paths,
        "diff": [
            *(difference(path, "absent or outdated\n", "ready\n") for path in environments),
            *shown(changes, trees),
        ],
    }


def due_environment(options):
    """The PythonEnvironment that is to be made; None when none is wanted, or it is ready."""
    if not options:
        return None
    bundle = Bundle(options["bundle"]) if options["bundle"] else None
    environment = PythonEnvironment(options["path"], options["requirements"], bundle, options["uv"])
    if environment.is_ready():
        return None
    environment.require_ours()
    return environment


def claims(given, wanted, trees):
    """What is going to be there, as the manifest wants it."""
    kinds = {item["path"]: item["kind"] for item in given["directories"]}
    if given["environment"]:
        kinds[given["environment"]["path"]] = "tree"
    kinds.update(dict.fromkeys(trees, "tree"))
    kinds.update(file_set.block_claims(given["blocks"]))
    kinds.update((path, "marked" if bears_mark(file.content) else "file") for path, file in wanted.items())
    # A key that is there already is its owner's.
    return {**kinds, **dict.fromkeys(file_set.missing_keys(given["keys"]), "file"), **given["claims"]}


def wanted_file(file):
    content = (file["content"] or "").encode() if file["staged"] is None else staged(file)
    return file_set.Wanted(content, int(file["mode"], 8), tuple(file["validate"]))


def staged(file):
    """The content that the action plugin sent for a file or a tree; the user who connects can write where it lies."""
    with open(file["staged"], "rb") as stream:
        content = stream.read()
    if hashlib.sha256(content).hexdigest() != file["sha256"]:
        raise LlamaCppError(
            "{dest}: the copy of {src} on the host, {staged}, is not what was sent. Nothing was changed. "
            "Run the play again.".format(**file)
        )
    return content


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


def shown_environment(path):
    return difference(path, "absent or outdated\n", "ready\n")


def shown(changes, trees):
    """The differences in the form in which Ansible prints them: of each text file, and of a tree the names."""
    diffs = []
    for dest in trees:
        inside = [change for change in changes if change.path.startswith(dest + os.sep)]
        changes = [change for change in changes if change not in inside]
        if inside:
            before = [listed(change, dest, change.before) for change in inside if change.before is not None]
            after = [listed(change, dest, change.after.content) for change in inside if change.after]
            diffs.append(difference(dest, "".join(before), "".join(after)))
    return [*diffs, *map(shown_file, changes)]


def listed(change, directory, content):
    """The line of a file in the list of a tree; its digest differs when the content does."""
    return f"{os.path.relpath(change.path, directory)} {hashlib.sha256(content).hexdigest()[:12]}\n"


def shown_file(change):
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
