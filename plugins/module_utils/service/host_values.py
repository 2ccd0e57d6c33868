# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What only the host knows of a service's definition, and where the templates leave room for it."""

from __future__ import annotations

import hashlib
import json
import re

from ..base.files import identity
from ..engine import store

#: In a template, these stand for: the fingerprint of all that a running server depends on, which its manager carries in
#: its environment, so that what runs can be compared with what is wanted even after a play that was killed halfway;
#: and the session in which launchd is to load an agent.
FINGERPRINT, SESSION = "@FINGERPRINT@", "@SESSION@"

#: Kind of a domain of launchd -> the session of a job in it (man launchd.plist, LimitLoadToSessionType).
SESSIONS = {"gui": "Aqua", "user": "Background", "system": "System"}


def session_of(domain):
    """The session of a job in ``domain``."""
    return SESSIONS[domain.partition("/")[0]]


def fingerprint_of(wanted, rollout):
    """The fingerprint of a server, as hex digits.

    :param wanted: ``values``, any JSON from the plan; ``files``, paths of files that the server reads when it starts:
        another one in the place of one of them makes another fingerprint, its content is not read.
    :param rollout: ``engine_dir`` and ``release``, the release that is going to serve; without one, the current does.
    """
    release = rollout.get("release") or store.current_release(rollout["engine_dir"])
    files = {path: _identity(path) for path in wanted["files"]}
    facts = json.dumps([wanted["values"], release, files], sort_keys=True)
    return hashlib.sha256(facts.encode()).hexdigest()


def _identity(path):
    try:
        return identity(path)
    except OSError:
        return None


def filled(content, values):
    """``content`` with ``values`` (placeholder -> text) in the places that the templates leave for them.

    Such a place is a whole string of a plist, or the end of a line in quotes: what stands elsewhere, in the middle of a
    path, is data.
    """
    for placeholder, text in values.items():
        content = re.sub(f'(?m)(?<=[>"]){re.escape(placeholder)}(?=</string>$|"$)', text, content)
    return content
