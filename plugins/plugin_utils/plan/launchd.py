# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Where launchd keeps the jobs of each scope, and what a daemon needs beside its plist."""

from __future__ import annotations

import posixpath

from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.macos.settings import DAEMONS

AGENTS = "Library/LaunchAgents"  # below the home of the user
NEWSYSLOG = "/etc/newsyslog.d"


def places(scope, name, host):
    """The keys of the plan that say where the job ``name`` of ``scope`` lives, and where one of the other scope would.

    ``domains`` are in the order in which they are wanted: the host says which there are.
    """
    here, elsewhere = (_scope(each, host) for each in (scope, "user" if scope == "system" else "system"))
    return {
        **here,
        "definition": posixpath.join(here["directory"], name + ".plist"),
        "elsewhere": elsewhere,
        "newsyslog": posixpath.join(host.get("newsyslog_dir", NEWSYSLOG), name + ".conf"),
    }


def daemon(name, host):
    """The plist of the job ``name`` of the domain ``system``."""
    return posixpath.join(_daemons(host), name + ".plist")


def mac_record(host):
    """The file in which root notes which settings of the Mac it has changed."""
    return posixpath.join(posixpath.dirname(_daemons(host)), "Application Support", "macos_setup.llm", "settings.json")


def _daemons(host):
    return host.get("daemons_dir", DAEMONS)


def _scope(scope, host):
    if scope == "system":
        return {"scope": scope, "domains": ["system"], "directory": _daemons(host)}
    # The second is there without a login at the screen: an agent lives in it as long as the first is not.
    domains = ["gui/{uid}".format(**host), "user/{uid}".format(**host)]
    return {"scope": scope, "domains": domains, "directory": posixpath.join(host["home"], AGENTS)}


def check_user(service, manager, host):
    """Raises LlamaCppError unless the service can run as the user who the play works as, to whom every file belongs.

    :param service: the section ``service`` of the configuration.
    """
    user = service.get("user", host["user"])
    remedy = "Nothing was changed. Run the play as the user of the service: ansible-playbook … --become --become-user "
    if user != host["user"]:
        raise LlamaCppError(
            f'service.user: "{user}" is not the user that the play works as ("{host["user"]}"), and the service runs '
            f"as the one to whom its files belong. {remedy}{user}"
        )
    if service["scope"] == "system" and manager != "launchd":
        raise LlamaCppError(
            'service.scope: "system" is a matter of launchd, and supervisor runs this service; expected: "user". '
            "Nothing was changed."
        )
    if service["scope"] == "system" and int(host["uid"]) == 0:
        raise LlamaCppError(
            f'service.scope: "system" runs the server as an ordinary user, and the play works as {user}. {remedy}NAME'
        )
