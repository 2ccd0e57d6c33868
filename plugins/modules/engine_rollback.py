#!/usr/bin/python
# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Module ``engine_rollback``; the work is done in ``module_utils/service/rollback.py``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: engine_rollback
short_description: Go back to a release of llama.cpp that is installed already
version_added: 0.1.0
description:
  - Puts an installed release in service, without a build or a download. It must answer the self-test, know every
    option of the configured server, and serve the real model; otherwise what served before is put back.
options:
  release:
    description: Name of the release, or its beginning. If omitted, the one that served before the current one.
    type: str
  service:
    description: The service, as C(module_utils/service/description.py) describes it; none where no service is set up.
    type: dict
  settings:
    description: C(rollout), C(arguments) and C(selftest), as C(module_utils/service/rollback.py) describes them.
    type: dict
    required: true
  progress_file:
    description: Where progress is written; set by the action plugin.
    type: path
attributes:
  check_mode:
    description: Predicts the change; the self-test and the question to the server are left out.
    support: full
  diff_mode:
    description: Shows which release is current.
    support: full
  idempotent:
    description: With O(release), a second run changes nothing. Without it, each run goes back to the release before.
    support: partial
author:
  - contributors to macos_setup.llm (@macos-setup)
"""

EXAMPLES = r"""
- name: Serve with the release of before the upgrade
  macos_setup.llm.engine_rollback:
    service: "{{ plan.service.description }}"
    settings: "{{ plan.rollback }}"
"""

RETURN = r"""
before:
  description: The release that was current.
  returned: success
  type: str
release:
  description: The release that is current now.
  returned: success
  type: str
  sample: 0c1e570-3f1a9b2c4d5e
gap:
  description: When nothing was served (C(began), C(ended), in seconds since 1970) and for how many C(seconds).
  returned: success
  type: dict
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import EXPECTED, in_words
from ansible_collections.macos_setup.llm.plugins.module_utils.base.privileges import (
    is_root,
    require_root_owned,
    user_to_act_for,
)
from ansible_collections.macos_setup.llm.plugins.module_utils.service.converge import reporter
from ansible_collections.macos_setup.llm.plugins.module_utils.service.description import open_service
from ansible_collections.macos_setup.llm.plugins.module_utils.service.rollback import roll_back
from ansible_collections.macos_setup.llm.plugins.module_utils.service.rollout import paths_of


def main():
    module = AnsibleModule(
        argument_spec={
            "release": {"type": "str"},
            "service": {"type": "dict"},
            "settings": {"type": "dict", "required": True},
            "progress_file": {"type": "path"},
        },
        supports_check_mode=True,
    )
    given = module.params
    report = reporter(given["progress_file"], "rollback")
    try:
        service, test = given["service"], given["settings"]["selftest"]
        if service:
            paths = [*paths_of(given["settings"]["rollout"]), test["model"], test["answers"]]
            user = user_to_act_for(service.get("user"), paths)
            if is_root() and service.get("manager") == "launchd":
                require_root_owned(os.path.dirname(service["definition"]))
            service = open_service({**service, "user": user})
        result = roll_back(service, given["settings"], given["release"], module.check_mode, report)
    except EXPECTED as error:
        module.fail_json(msg=in_words(error))
    diff = {side: "current: %s\n" % result[key] for side, key in (("before", "before"), ("after", "release"))}
    module.exit_json(**result, diff=diff)


if __name__ == "__main__":
    main()
