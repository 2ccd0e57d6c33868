# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Back to a release that is on the host already: no build, no download, and the same conditions as for a new one."""

from __future__ import annotations

from ..base.privileges import as_user
from ..engine import selftest, store
from ..llama import options
from .converge import converge
from .rollout import open_rollout, record_in, text_of


def roll_back(service, settings, wanted=None, check=False, report=lambda stage: None):
    """Put the release ``wanted``, or the one that served before the current one, in service.

    :param service: a ServiceManager; None where no service was set up. One that is stopped stays so.
    :param settings: ``rollout``, as rollout.Rollout takes it, with a list of paths as ``files``, which stay as
        they are; ``arguments`` of the server, which the release must know; ``selftest``: ``model``, ``answers`` and
        ``device``.
    :param wanted: a name, or its beginning.
    :param check: only tell what would be done.
    :returns: ``changed``, ``before`` and ``release`` (names), and ``gap`` (see rollout.Rollout).
    :raises LlamaCppError: when it cannot be put in service; what served before serves.
    """
    rollout = settings["rollout"]
    report("asking the self-test's questions")
    before, name, files = as_user(service and service.user, _tested, settings, wanted, check)
    found = {"changed": name != before, "before": before, "release": name, "gap": None}
    if service is None:
        if not check:
            store.switch(rollout["engine_dir"], name)
        return found
    state = "started" if service.status()["running"] else "stopped"
    change = open_rollout({**rollout, "release": name, "files": files}, report, service)
    result = converge(service, state, check=check, rollout=change)
    return {**found, **{key: result[key] for key in ("changed", "gap")}}


def _tested(settings, wanted, check):
    """The current release, the one to go to, which has passed its tests, and the text of each file of the rollout."""
    rollout, test = settings["rollout"], settings["selftest"]
    engine_dir = rollout["engine_dir"]
    before = store.current_release(engine_dir)
    name = store.choose(engine_dir, wanted, record_in(rollout["record"]).get("previous"))
    server = store.program_of(engine_dir, name)
    if name != before and not check:
        selftest.check_engine(server, test["model"], test["answers"], device=test["device"])
    options.check(server, settings["arguments"])
    return before, name, {path: text_of(path) for path in rollout["files"]}
