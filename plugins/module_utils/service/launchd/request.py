# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What is asked of the module launchd_service."""

from __future__ import annotations

import os

from ...base.definition import Definition
from ...base.errors import LlamaCppError
from ...base.privileges import is_root, require_root_owned, user_to_act_for
from ...ownership.marker import is_ours
from .. import request
from ..converge import reporter
from ..host_values import SESSION, session_of
from ..rollout import paths_of
from .domains import domain_of, home_of
from .job import Launchd
from .launchctl import Launchctl

#: The options of the module.
OPTIONS = {
    **request.OPTIONS,
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


def fulfil(given, check_only):
    """Bring the job to the state that ``given`` (OPTIONS) asks for; returns the result of launchd_service.

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
    result = request.brought_to_state(given, check_only, service, report, entry, {SESSION: session_of(domain)})
    if rotation:
        result = {**result, "changed": True, "diff": [*result["diff"], rotation.diff(None)]}
        if not check_only:
            rotation.remove()
    return {**result, "domain": domain}


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
