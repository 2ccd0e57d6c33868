#!/usr/bin/python
# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT

from __future__ import annotations

DOCUMENTATION = r"""
module: supervisor_service
short_description: Run a program under a supervisord of its own
description:
  - Installs the configuration of a supervisord that looks after one program, and brings that program to a state.
  - The order of every change is stop, replace the file, start, prove. If the program does not stay up with the new
    configuration, the previous one is put back and started, and the module still fails.
  - Whether a restart is needed is decided by what supervisord runs, not by whether the file changed in this run, so a
    play that was killed in between is completed by the next one.
  - A program that outlived its supervisord is found and ended before a new one is started.
version_added: 0.1.0
author:
  - contributors to macos_setup.llm (@macos-setup)
extends_documentation_fragment:
  - macos_setup.llm.service
attributes:
  check_mode:
    description: Tells what would be done and does none of it; works on a host where nothing is installed yet.
    support: full
  diff_mode:
    description: Shows the change of the configuration and of the state.
    support: full
options:
  name:
    description: The program's name, as in the section C([program:NAME]).
    type: str
    required: true
  config:
    description: Path of the configuration file.
    type: path
    required: true
  content:
    description:
      - The whole configuration. The file is replaced only when it differs.
      - V(@FINGERPRINT@) in quotes at the end of a line stands for the O(fingerprint).
      - If omitted, the file is taken as it is.
    type: str
  supervisord:
    description: Path of the C(supervisord) program. It is run by the Python beside it, as a module of that.
    type: path
    required: true
  state:
    description:
      - V(started) - the program runs, with this configuration.
      - V(stopped) - the program does not run.
      - V(restarted) - as V(started), and it was started by this task.
      - V(absent) - neither the program nor its supervisord runs, and the configuration is removed.
    type: str
    choices: [started, stopped, restarted, absent]
    default: started
  settle:
    description:
      - Seconds during which a started program must keep its process id.
      - If omitted, as long as C(startsecs) in the configuration says.
    type: float
  log_file:
    description:
      - Log of the llama-server that the program runs, from which a failure tells the cause.
      - What supervisord caught of the program's own output is shown in any case.
    type: path
"""

EXAMPLES = r"""
- name: Run llama-server
  macos_setup.llm.supervisor_service:
    name: llama-server
    config: /srv/llm/service/supervisord.conf
    content: "{{ lookup('ansible.builtin.template', 'supervisord.conf.j2') }}"
    supervisord: /srv/llm/tools/bin/supervisord

- name: Stop it and leave no trace of it
  macos_setup.llm.supervisor_service:
    name: llama-server
    config: /srv/llm/service/supervisord.conf
    supervisord: /srv/llm/tools/bin/supervisord
    state: absent
"""

RETURN = r"""
state:
  description: The state V(before) and V(after) the task, each V(running), V(stopped) or V(absent).
  returned: success
  type: dict
  sample: {before: absent, after: running}
pid:
  description: The program's process id; V(null) when it does not run, and in check mode when it would be a new one.
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
  sample: start
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import EXPECTED, in_words
from ansible_collections.macos_setup.llm.plugins.module_utils.service.supervisor.request import OPTIONS, fulfil


def main():
    module = AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True)
    try:
        result = fulfil(module.params, module.check_mode)
    except EXPECTED as error:
        module.fail_json(msg=in_words(error))
    if not module._diff:
        del result["diff"]
    module.exit_json(**result)


if __name__ == "__main__":
    main()
