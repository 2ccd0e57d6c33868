# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Brings a service to the state that is asked for, whichever manager runs it.

The order of every change is: stop what runs, put the new definition in place, and what else is rolled out
(service/rollout.py), start, prove. So a running service always runs what its definition says, and a play killed at any
point leaves one of few states that the next run tells apart: the old service, no service, or the new one not yet proved
(``Definition.previous`` exists, or the rollout says so).
"""

from __future__ import annotations

import contextlib

from ..base.errors import LlamaCppError
from ..base.progress import Progress, WatcherGone
from ..base.text import difference
from ..llama.log_causes import explaining
from .rollout import NoRollout

STATES = ("started", "stopped", "restarted", "absent")

# step -> the state it ends in
_AFTER = {"replace": "running", "restart": "running", "start": "running", "prove": "running"}
_AFTER.update({"rewrite": "stopped", "stop": "stopped", "remove": "absent"})

#: The steps that start a server.
STARTING = ("replace", "restart", "start")


def reporter(progress_file, name):
    """What a service calls with each stage of a change, for people to see.

    A change that has begun is completed even when the play has ended: half of one is a service that is down.
    """
    progress = Progress(progress_file, name)

    def report(stage):
        with contextlib.suppress(WatcherGone):
            progress.update(stage)

    return report


def converge(service, state, content=None, *, check=False, log_file=None, rollout=None):
    """Make ``service`` (a ServiceManager) be in ``state`` with ``content`` as its definition.

    :param state: one of STATES.
    :param content: the definition's text, or None to keep the file as it is.
    :param check: only tell what would be done.
    :param log_file: the log of the llama-server that the service runs, from which a failed start tells its cause.
    :param rollout: what goes with a change, which stays if the server serves with it; None: if it keeps running.
    :returns: {"changed", "step", "state": {"before", "after"}, "pid", "gap", "health", "verified", "diff": [...]}; a
        state is "running", "stopped" or "absent"; ``health`` is what the server told, None when it was not asked;
        ``verified`` is false when only a run that is no check can tell.
    :raises LlamaCppError: the service is not in the state; the text says what it was left in.
    """
    rollout = rollout or NoRollout()
    with contextlib.nullcontext() if check else rollout.exclusively():
        return _converge(service, state, content, check, rollout, log_file)


def _converge(service, state, content, check, rollout, log_file):
    before = service.status()
    found = service.definition.content()
    if state == "absent":
        content = None
    elif content is not None:
        service.check_definition(content)
    elif found is None and state != "stopped":
        raise LlamaCppError(
            "%s cannot be started: there is no %s, and no content for it was given. Nothing was changed."
            % (service.name, service.definition.path)
        )
    rewrite = content is not None and content != found
    rolled_out = [] if state == "absent" else rollout.deviations()
    step = _step(service, state, before, rewrite, rollout)
    if step in STARTING:
        rollout.require_address(service.active())
    deviations = [] if state == "absent" else service.deviations()
    attributes = [] if content is None or rewrite else service.definition.deviations()
    diff = _diff(service, step, content, _name(before), rolled_out + attributes + deviations)
    if not check:
        if attributes:
            service.definition.correct_attributes()
        if deviations:
            service.correct()
        _perform(service, step, content if rewrite else None, rollout, before["running"], log_file)
    untouched = step in (None, "prove")
    after = before if check else service.status()
    return {
        "changed": bool(attributes or deviations) or not untouched,
        "step": step,
        "state": {"before": _name(before), "after": _AFTER.get(step, _name(before)) if check else _name(after)},
        "pid": after["pid"] if untouched or not check else None,
        "gap": rollout.gap,
        "health": rollout.health,
        "verified": not (check and step == "prove"),
        "diff": diff,
    }


def _step(service, state, before, rewrite, rollout):
    """The one thing to do, as a word; None when there is nothing."""
    if state == "absent":
        return "remove" if before["installed"] or service.active() else None
    if state == "stopped":
        return "rewrite" if rewrite or rollout.deviations() else "stop" if service.active() else None
    if rewrite:
        return "replace"
    if service.drifted() or (before["running"] and (state == "restarted" or rollout.deviations())):
        return "restart"
    if not before["running"]:
        return "start"
    return "prove" if service.definition.pending() or rollout.unconfirmed() else None


def _perform(service, step, content, rollout, running, log_file):
    """Do ``step``; ``content`` is the new definition, or None to keep the one in place."""
    definition = service.definition
    if content is not None:
        definition.prepare(content)
    try:
        if step in ("replace", "rewrite", "restart", "remove"):
            if running:
                rollout.stopping()
            service.clear()
        if step == "remove":
            definition.remove()
        elif step == "rewrite":
            _put_in_place(definition, content, rollout)
        elif step == "stop":
            service.stop()
        elif step is not None:
            _start_or_undo(service, step, content, rollout, log_file)
    finally:
        definition.discard()


def _put_in_place(definition, content, rollout):
    if content is not None:
        definition.commit()
    rollout.apply()


def _start_or_undo(service, step, content, rollout, log_file):
    try:
        _put_in_place(service.definition, content, rollout)
        with explaining(log_file, service.user):
            service.prove() if step == "prove" else service.start()
    except LlamaCppError as failure:
        raise _failure(service, failure, rollout, created=content is not None) from None
    try:
        rollout.verify(service)
    except LlamaCppError as failure:
        raise _failure(service, failure, rollout, created=False) from None
    rollout.confirm()
    service.definition.accept()


def _failure(service, failure, rollout, created):
    """The error that says what went wrong and what came of going back.

    :param created: whether a definition that was not there before is to be removed again. One that at least keeps
        running stays: there is nothing better to put in its place.
    """
    try:
        changed = rollout.undo()
        if not changed and not created and not service.definition.pending():
            return failure
        return LlamaCppError(f"{failure}\n{_put_back(service, rollout)}")
    except LlamaCppError as second:
        why = str(second).partition("\n")[0]
        return LlamaCppError(
            "%s\nThe previous %s was put back, but it does not run either, so no server is running: %s"
            % (failure, service.definition.path, why)
        )


def _put_back(service, rollout):
    """Put the previous definition back and start it; returns what came of it, in words."""
    path = service.definition.path
    service.clear()
    if not service.definition.restore():
        return "%s was removed again, as there was none before; nothing is running." % path
    service.start()
    rollout.verify(service)
    pid = service.status()["pid"]
    return " ".join(["The previous %s was put back and runs again (pid %s)." % (path, pid), *rollout.words()])


def _name(status):
    if status["running"]:
        return "running"
    return "stopped" if status["installed"] else "absent"


def _diff(service, step, content, before, deviations):
    changes = []
    if step == "remove" or (content is not None and step in ("replace", "rewrite")):
        changes.append(service.definition.diff(None if step == "remove" else content))
    if step not in (None, "prove"):
        after = _AFTER[step] + (" (restarted)" if before == _AFTER[step] else "")
        deviations = [*deviations, ("state of " + service.name, before, after)]
    for what, old, new in deviations:
        changes.append(difference(what, old + "\n", new + "\n"))
    return changes
