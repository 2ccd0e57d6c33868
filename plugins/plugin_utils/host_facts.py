# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What a plan needs to know of a host, wherever that comes from."""

from __future__ import annotations

from ansible.errors import AnsibleActionFail

#: Key in the plan -> name of the fact that tells it.
FACTS = {"system": "system", "architecture": "architecture", "home": "user_dir", "user": "user_id", "uid": "user_uid"}

#: Tells the same where no facts were gathered, a line each: POSIX, and no module to run. The home is that of the
#: account, as the fact user_dir has it, whatever HOME says.
ASK = (
    'uname -s; uname -m; user=$(id -un); echo "$user"; id -u; '
    'case "$user" in ""|*[!A-Za-z0-9._-]*) echo "$HOME" ;; *) eval echo "~$user" ;; esac'
)
ANSWERS = ("system", "architecture", "user", "uid", "home")


def host_facts(action, task_vars):
    """What is known of the host of ``action``, an action plugin: its facts, else what its shell tells."""
    facts = task_vars.get("ansible_facts") or {}
    if all(fact in facts for fact in FACTS.values()):
        return {key: facts[fact] for key, fact in FACTS.items()}
    host = dict(zip(ANSWERS, ask(action, ASK, len(ANSWERS))))
    return {**host, "uid": int(host["uid"])}


def ask(action, command, count):
    """The last ``count`` lines that ``command`` prints on the host of ``action``; a login may print some before."""
    answer = action._low_level_execute_command(command)
    lines = (answer.get("stdout") or "").splitlines()
    if answer.get("rc") or len(lines) < count:
        said = (answer.get("stderr") or "").strip()
        raise AnsibleActionFail(f"The host did not say what it is; nothing was changed. {said}")
    return lines[-count:]
