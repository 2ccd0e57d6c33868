# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Controller side of the module of the same name; the host is not touched."""

from __future__ import annotations

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError, in_words
from ansible_collections.macos_setup.llm.plugins.module_utils.base.files import write_atomically
from ansible_collections.macos_setup.llm.plugins.module_utils.base.text import difference
from ansible_collections.macos_setup.llm.plugins.plugin_utils.config import lock

FACTS = ("revision", "bytes", "sha256")
LATER = "(known after the download)"

#: What is recorded -> the variable of each host that has it, and the key in it.
RECORDED = {"engine": ("__llama_cpp_plan", "engine"), "models": ("__llama_cpp_placed", "files")}


class ActionModule(ActionBase):
    """Merges what the hosts have into the file; every host of a play comes to the same one."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        _spec, arguments = self.validate_argument_spec(
            argument_spec={
                "path": {"type": "path", "required": True},
                "record": {"type": "str", "choices": list(RECORDED), "required": True},
            }
        )
        path = arguments["path"]
        try:
            before = lock.read(path), lock.read_tags(path)
            of_hosts = told(task_vars, *RECORDED[arguments["record"]])
            engines, models = (of_hosts if arguments["record"] == kind else {} for kind in ("engine", "models"))
            after = {**before[0], **entries_of(models, path)}, {**before[1], **tags_of(engines, path)}
            changed = before != after
            if changed and not self._task.check_mode:
                write_atomically(path, lock.text_of(*after))
        except LlamaCppError as error:
            raise AnsibleActionFail(str(error)) from None
        except OSError as error:
            words = f"{in_words(error, 'cannot be written', path)} It is as it was."
            if engines:
                words += " Let it be written, or name the commit in engine.version."
            raise AnsibleActionFail(words) from None
        shown = (lock.text_of(*content) if any(content) else "" for content in (before, after))
        return {**result, "changed": changed, "path": path, "diff": difference(path, *shown)}


def told(task_vars, variable, key):
    """Host -> ``key`` of the ``variable`` that each host of the play has; hosts without it are left out."""
    found = {}
    for host in task_vars["ansible_play_hosts"]:
        value = (task_vars["hostvars"][host].get(variable) or {}).get(key)
        if value:
            found[host] = value
    return found


def tags_of(engines, path):
    """The tags of the lock file ``path`` with their commits, from the engine's part of each host's plan."""
    tags, owners = {}, {}
    for host, engine in engines.items():
        tag, commit = (engine.get("locked_by") or {}).get(path), engine.get("commit")
        if not tag or not commit:
            continue
        owners.setdefault(tag, host)
        if tags.setdefault(tag, commit) != commit:
            raise LlamaCppError(
                f"{tag} is not the same commit everywhere, so {path} was left as it is.\n"
                f"  {tags[tag]} on {owners[tag]}\n  {commit} on {host}\n"
                "Name the right commit in engine.version, then run the play again."
            )
    return tags


def entries_of(found, path):
    """The entries of the lock file ``path``, from the ``files`` that gguf_model returned on each host."""
    entries, owners = {}, {}
    for host, results in found.items():
        for result in results:
            address = (result.get("locked_by") or {}).get(path)
            if not address:
                continue
            entry = {fact: result[fact] for fact in FACTS if result.get(fact)}
            if not entry.get("sha256"):
                entry = dict.fromkeys(("bytes", "sha256"), LATER)  # in check mode, before the download
            owners.setdefault(address, host)
            if entries.setdefault(address, entry)["sha256"] != entry["sha256"]:
                first = (owners[address], entries[address]["sha256"])
                raise LlamaCppError(
                    f"{address} is not the same file everywhere, so {path} was left as it is.\n"
                    + "".join(f"  sha256 {sha256} on {name}\n" for name, sha256 in (first, (host, entry["sha256"])))
                    + "Give the model the sha256 that is right, then run the play again."
                )
    return entries
