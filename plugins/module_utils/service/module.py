# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What the modules of a service have in common, whichever manager runs it."""

from __future__ import annotations

from ..base.errors import EXPECTED, in_words
from ..base.privileges import as_user
from ..ownership.manifest import Manifest
from .converge import STATES, converge, reporter
from .rollout import open_gate

#: The options that such a module has beside those of its manager.
ARGUMENTS = {
    "content": {"type": "str"},
    "state": {"type": "str", "choices": list(STATES), "default": "started"},
    "settle": {"type": "float"},
    "log_file": {"type": "path"},
    "gate": {"type": "dict"},
    "manifest": {"type": "path"},
    "progress_file": {"type": "path"},
}


def run(module, name, noted, service_with):
    """Bring the service to the state that the options of ``module`` ask for, and end the module.

    :param noted: path of the definition -> what the manifest says of it.
    :param service_with: function from what the service reports its stages to, to the service.
    """
    given = module.params
    report = reporter(given["progress_file"], name)
    try:
        service = service_with(report)
        if given["state"] != "absent" and not module.check_mode:
            as_user(service.user, Manifest(given["manifest"]).note, noted)
        result = converge(
            service,
            given["state"],
            given["content"],
            check=module.check_mode,
            log_file=given["log_file"],
            gate=open_gate(given["gate"], report, service),
        )
    except EXPECTED as error:
        module.fail_json(msg=in_words(error))
    if not module._diff:
        del result["diff"]
    module.exit_json(**result)
