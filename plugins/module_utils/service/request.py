# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What the modules launchd_service and supervisor_service do, without Ansible: a look at a host asks the same code."""

from __future__ import annotations

import os

from ..base.definition import Definition
from ..base.errors import LlamaCppError
from ..base.privileges import as_user, is_root, require_root_owned, user_to_act_for
from ..engine import store
from ..ownership.manifest import Manifest
from ..ownership.marker import is_ours
from .converge import STATES, converge, reporter
from .host_values import FINGERPRINT, SESSION, filled, fingerprint_of, session_of
from .launchd.domains import domain_of, home_of
from .launchd.job import Launchd
from .launchd.launchctl import Launchctl
from .rollout import open_rollout, paths_of
from .supervisor.program import Supervisor

#: What the options of both managers have in common.
_OPTIONS = {
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

LAUNCHD_OPTIONS = {
    **_OPTIONS,
    "label": {"type": "str", "required": True},
    "plist": {"type": "path", "required": True},
    "domains": {"type": "list", "elements": "str", "required": True},
    "enabled": {"type": "bool"},
    "launchctl": {"type": "path", "default": "/bin/launchctl"},
    "output_file": {"type": "path"},
    "user": {"type": "str"},
    "home": {"type": "path"},
    "newsyslog": {"type": "path"},
}

SUPERVISOR_OPTIONS = {
    **_OPTIONS,
    "name": {"type": "str", "required": True},
    "config": {"type": "path", "required": True},
    "supervisord": {"type": "path", "required": True},
}


def launchd(given, check_only):
    """Bring the job to the state that ``given`` (LAUNCHD_OPTIONS) asks for; returns the result of launchd_service.

    :param check_only: only tell what would be done.
    :raises LlamaCppError: what it cannot be brought to, and why.
    """
    user = user_to_act_for(given["user"], _paths(given))
    if is_root():
        require_root_owned(os.path.dirname(given["plist"]))  # what is wrong with the file itself is put right
    launchctl = Launchctl(given["launchctl"])
    domain = domain_of(launchctl, [given["label"]], given["domains"])
    why = _why_left_alone(given, launchctl, domain)
    if why:
        return {"changed": False, "msg": why}
    report = reporter(given["progress_file"], given["label"])
    service = Launchd(
        given["label"],
        given["plist"],
        domain,
        given["launchctl"],
        settle=given["settle"],
        enabled=given["enabled"],
        report=report,
        user=user,
        output_file=given["output_file"],
    )
    entry = {"manager": "launchd", "name": given["label"], "domain": domain, "launchctl": given["launchctl"]}
    rotation = _rotation_by_newsyslog(given["newsyslog"])
    result = _converge(given, check_only, service, report, entry, {SESSION: session_of(domain)})
    if rotation:
        result = {**result, "changed": True, "diff": [*result["diff"], rotation.diff(None)]}
        if not check_only:
            rotation.remove()
    return {**result, "domain": domain}


def supervisor(given, check_only):
    """The same for ``given`` as SUPERVISOR_OPTIONS and for supervisor_service."""
    report = reporter(given["progress_file"], given["name"])
    service = Supervisor(given["name"], given["config"], given["supervisord"], settle=given["settle"], report=report)
    entry = {"manager": "supervisor", "program": given["name"], "supervisord": given["supervisord"]}
    return _converge(given, check_only, service, report, entry, {})


def _converge(given, check_only, service, report, entry, values):
    content, rollout = given["content"], given["rollout"]
    if rollout:
        release = as_user(service.user, store.admitted, rollout["engine_dir"], rollout.get("release"))
        rollout = {**rollout, "release": release}
    if content is not None:
        content = filled(content, {**values, **_fingerprint(given["fingerprint"], rollout, service.user)})
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


def _paths(given):
    """What is not launchd's."""
    fingerprint = given["fingerprint"] or {"files": []}
    paths = [given["manifest"], given["log_file"], given["output_file"], *fingerprint["files"]]
    return [*paths, *paths_of(given["rollout"] or {})]


def _why_left_alone(given, launchctl, domain):
    """Why the job in the place is left as it is; None when it is not somebody else's, or there is none.

    :raises LlamaCppError: it stands in the way.
    """
    if not given["home"]:
        return None
    theirs = home_of(launchctl, given["label"], domain, given["plist"])
    if theirs is None:
        return None
    if given["state"] == "absent" and os.path.exists(given["plist"]) and not is_ours(given["plist"]):
        return f"{given['plist']} lacks the mark of this collection. Nothing was changed."
    if theirs == given["home"]:
        return None
    words = "%s/%s serves %s, and this is for the one of %s. Nothing was changed." % (
        domain,
        given["label"],
        f"the user of {theirs}" if theirs else "something else (it has no HOME)",
        given["home"],
    )
    if given["state"] in ("started", "restarted"):
        raise LlamaCppError(f"{words} A Mac has one such job: have it removed by its user (playbooks/uninstall.yml).")
    return words


def _rotation_by_newsyslog(path):
    """The file by which version 0.1.0 had newsyslog, which is root, rotate a file of the user; None when there is none.

    One without the mark is somebody else's.
    """
    if not path:
        return None
    if is_root():
        require_root_owned(path)
    return Definition(path) if is_ours(path) else None
