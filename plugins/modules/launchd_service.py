#!/usr/bin/python
# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT

from __future__ import annotations

DOCUMENTATION = r"""
module: launchd_service
short_description: Run a job under launchd
description:
  - Installs a property list and brings its job to a state, with launchctl's modern verbs only
    (enable, bootstrap, bootout, kickstart, print).
  - The order of a change is bootout, wait until the label is free, replace the plist, enable, bootstrap, prove. Proof
    is a process that keeps its process id. If the job does not stay up with the new plist, the previous one is put
    back and started, and the module still fails.
  - Whether a restart is needed is decided by what launchd has loaded, not by whether the file changed in this run, so
    a play that was killed in between is completed by the next one.
  - A failure tells the code, its meaning, which of the known causes was found, the last exit code, the cause that the
    server's log names, and the end of the log.
version_added: 0.1.0
author:
  - contributors to macos_setup.llm (@macos-setup)
extends_documentation_fragment:
  - macos_setup.llm.service
attributes:
  check_mode:
    description:
      - Tells what would be done and does none of it.
      - Works where neither the job nor launchctl exists yet; nothing is loaded then.
    support: full
  diff_mode:
    description: Shows the change of the plist, of its owner and mode, of O(enabled), and of the state.
    support: full
options:
  label:
    description: The job's label. The plist's C(Label) and file name must agree with it.
    type: str
    required: true
  plist:
    description:
      - Path of the property list.
      - launchd loads plists from C(~/Library/LaunchAgents) at login and from C(/Library/LaunchDaemons) at boot.
    type: path
    required: true
  content:
    description:
      - The whole property list as text. It is checked strictly, key by key, before anything is touched; the file is
        replaced only when it differs. Its mode becomes 0644, in the domain V(system) its owner root:wheel.
      - A string that is V(@SESSION@) stands for the session of the job's domain, Aqua in V(gui/UID) and Background in
        V(user/UID), as C(LimitLoadToSessionType) wants it; V(@FINGERPRINT@) for the O(fingerprint).
      - If omitted, the file is taken as it is.
    type: str
  domains:
    description:
      - Where the job may live. It is the domain in which the job is loaded, else the first of them that exists; the
        last is taken to exist in any case. Where there is no launchctl, it is the first.
      - V(system) for a daemon that serves before anyone logs in; V(gui/UID) for an agent of a user who is logged in at
        the screen; V(user/UID) for an agent of a user who is not.
    type: list
    elements: str
    required: true
  state:
    description:
      - V(started) - the job is loaded and its process runs, with this plist.
      - V(stopped) - the job is not loaded. launchd loads it again at the next boot or login, unless O(enabled=false).
      - V(restarted) - as V(started), and the process was started by this task.
      - V(absent) - the job is not loaded and its plist is removed.
    type: str
    choices: [started, stopped, restarted, absent]
    default: started
  enabled:
    description:
      - Whether launchd may load the job by itself, at boot or login.
      - If omitted, starting a job allows it, since launchd refuses a disabled one, and stopping it leaves that alone.
      - With V(false) and O(state=started), the job runs now and is not loaded at the next boot or login.
    type: bool
  launchctl:
    description: Path of launchctl. It is never looked for anywhere else.
    type: path
    default: /bin/launchctl
  output_file:
    description: File into which the job's program itself directs what it prints, where the plist does not.
    type: path
  user:
    description:
      - Name of the user whom the job serves. A task that runs as root does as this user all that is not launchd's, such
        as what O(rollout) asks for, and opens none of his files itself.
      - If omitted, the task does everything as whom it runs. Root then works only with what root alone can change.
    type: str
  home:
    description:
      - Home of that user. A job in the place whose C(HOME) is another one, or none, serves somebody else and is left
        alone; with O(state=started) or O(state=restarted) the task fails then. With O(state=absent), so is a plist
        without the mark of this collection.
    type: path
  newsyslog:
    description:
      - The file by which version 0.1.0 of this collection had newsyslog, which is root, rotate what the job printed. It
        is removed if it bears the mark of this collection.
    type: path
  settle:
    description:
      - Seconds during which a started job must keep its process id.
      - If omitted, as long as C(ThrottleInterval) in the plist says (10 if it does not), because a job that fails at
        once is started again after that time.
    type: float
  log_file:
    description:
      - Log of the llama-server that the job runs, from which a failure tells the cause.
      - What the job printed (C(StandardErrorPath) in the plist, else O(output_file)) is shown in any case.
    type: path
"""

EXAMPLES = r"""
- name: Serve from boot on, before anyone logs in
  become: true
  macos_setup.llm.launchd_service:
    label: com.llama.server
    plist: /Library/LaunchDaemons/com.llama.server.plist
    content: "{{ lookup('ansible.builtin.template', 'com.llama.server.plist.j2') }}"
    domains: [system]
    log_file: /var/log/llm/llama-server.log

- name: Remove the agent of the user who is logged in
  macos_setup.llm.launchd_service:
    label: com.llama.server
    plist: "{{ ansible_facts.user_dir }}/Library/LaunchAgents/com.llama.server.plist"
    domains: ["gui/{{ ansible_facts.user_uid }}", "user/{{ ansible_facts.user_uid }}"]
    state: absent
"""

RETURN = r"""
domain:
  description: The one of O(domains) in which the job is, or is to be.
  returned: success, unless the job in the place is somebody else's
  type: str
  sample: gui/501
state:
  description: The state V(before) and V(after) the task, each V(running), V(stopped) or V(absent).
  returned: success
  type: dict
  sample: {before: absent, after: running}
pid:
  description: The job's process id; V(null) when it does not run, and in check mode when it would be a new one.
  returned: success
  type: int
gap:
  description:
    - When nothing was served, from the stop of the old server until the new one was ready, in seconds since 1970; and
      how long that was. V(null) unless a running server was replaced through a O(rollout).
  returned: success
  type: dict
  sample: {began: 1790000000.1, ended: 1790000003.2, seconds: 3.1}
health:
  description:
    - What the server told when O(rollout) had it asked, as M(macos_setup.llm.llama_server_health) returns it. V(null)
      when it was not asked.
  returned: success
  type: dict
  sample: {build: b0-0c1e570-3f1a9b2c4d5e, model: tiny}
verified:
  description: Whether all that can be told was told; false when only a run that is not in check mode can.
  returned: success
  type: bool
step:
  description: What was done, or in check mode would be; V(null) for nothing.
  returned: success
  type: str
  sample: replace
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import EXPECTED, in_words
from ansible_collections.macos_setup.llm.plugins.module_utils.service.launchd.request import OPTIONS, fulfil


def main():
    module = AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True)
    try:
        result = fulfil(module.params, module.check_mode)
    except EXPECTED as error:
        module.fail_json(msg=in_words(error))
    if not module._diff:
        result.pop("diff", None)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
