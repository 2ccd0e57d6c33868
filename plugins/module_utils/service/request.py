# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What launchd_service and supervisor_service have in common, without Ansible: a look at a host asks the same code."""

from __future__ import annotations

from ..base.errors import LlamaCppError
from ..base.privileges import as_user
from ..engine import store
from ..ownership.manifest import Manifest
from .converge import STATES, converge
from .host_values import FINGERPRINT, filled, fingerprint_of
from .rollout import open_rollout

#: What the options of both managers have in common.
OPTIONS = {
    "content": {"type": "str"},
    "fingerprint": {
        "type": "dict",
        "options": {
            "values": {"type": "raw", "required": True},
            "files": {"type": "list", "elements": "path", "default": []},
        },
    },
    "state": {"type": "str", "choices": list(STATES), "default": "started"},
    "settle": {"type": "float"},
    "log_file": {"type": "path"},
    "rollout": {"type": "dict"},
    "manifest": {"type": "path"},
    "progress_file": {"type": "path"},
}


def brought_to_state(given, check_only, service, report, entry, values=None):
    """Bring ``service`` to the state that ``given`` (OPTIONS) asks for; returns the result of its module.

    :param check_only: only tell what would be done.
    :param report: see :func:`.converge.reporter`. :param entry: how the manifest names the service.
    :param values: what stands for the placeholders of host_values.py, but for the fingerprint.
    """
    content, rollout = given["content"], given["rollout"]
    if rollout:
        release = as_user(service.user, store.admitted, rollout["engine_dir"], rollout.get("release"))
        rollout = {**rollout, "release": release}
    if content is not None:
        content = filled(content, {**(values or {}), **_fingerprint(given["fingerprint"], rollout, service.user)})
    if given["state"] != "absent" and not check_only:
        as_user(service.user, Manifest(given["manifest"]).note, {service.definition.path: {"kind": "service", **entry}})
    return converge(
        service,
        given["state"],
        content,
        check=check_only,
        log_file=given["log_file"],
        rollout=open_rollout(rollout, report, service),
    )


def _fingerprint(wanted, rollout, user):
    if not wanted:
        return {}
    if not rollout:
        raise LlamaCppError(
            "fingerprint needs rollout, which tells the release that serves. Nothing was changed. Give both."
        )
    return {FINGERPRINT: as_user(user, fingerprint_of, wanted, rollout)}
