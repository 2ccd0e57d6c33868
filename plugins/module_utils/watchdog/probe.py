# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""One look at a llama-server that disturbs it as little as possible.

What answers when is from tools/server of llama.cpp 0c1e570. ``/health`` and ``/props`` need an HTTP thread only, and
``/props`` the lock of the task queue, which a server that wakes up holds until its model is loaded. ``/slots`` goes
through the queue, and is answered in the middle of a computation too, so it tells a busy server from a dead one; but
it counts as work, as every question does: it wakes a server that sleeps and keeps one awake. A token of one's own is
the only proof that the model computes; it is asked for while no slot works, since it would have to wait otherwise.

A router answers ``/health``, ``/props`` and ``/v1/models`` itself, whatever its models do; each of them is a server of
its own, looked at through the router if it is loaded. One that is not is left alone: to ask it would load it, and
perhaps unload another.
"""

from __future__ import annotations

import http
import re
import socket

from ..base.log_tail import tail
from ..llama.errors import NotAuthorised, NotRunning, ServerError, StillLoading
from .policy import ANSWERED, DOWN, FAILING, LOADING, RESTING, SILENT, SLEEPING, UNCLEAR, WAKING, WORKING, Look

#: A slot at work in the server's log, behind the time that the runner writes: one that generates tells every 3 s, one
#: that reads a long prompt after every batch. Task -1 is none. A router puts ``[port]`` before its models' lines.
SLOT_AT_WORK = re.compile(r"^(\S+) .*\bslot +\S+: id +\d+ \| task \d+ \| ")

PROMPT = "Hello"
ONE_TOKEN = {"n_predict": 1, "temperature": 0}

#: What the states of a router's models mean that are not asked. An unloaded one means nothing.
NOT_READY = {"loading": LOADING, "sleeping": SLEEPING}

#: What one model does outweighs what the others do, the last of these the most.
GRAVITY = (SLEEPING, LOADING, RESTING, ANSWERED, WORKING, UNCLEAR, DOWN, FAILING, SILENT)


def look_at(server, process, *, model=None, purposes=None, ask=True, sleeps=False):
    """The :class:`Look` at ``server``, a :class:`LlamaServer`.

    :param process: what the service manager runs, for the result.
    :param model: the model to ask, where a server has several.
    :param purposes: what each model is for, by name; ``chat`` where nothing is said.
    :param ask: whether the model may be used, which keeps the server from unloading it.
    :param sleeps: whether the server unloads its model when idle, and thus loads it again at any time.
    """
    try:
        props = server.props()
    except ServerError as error:
        return _without_props(server, process, error, sleeps)
    if props.get("role") == "router":
        return _look_at_router(server, process, model, purposes or {}, ask)
    sleeping = props.get("is_sleeping")
    if sleeping or not ask:
        return Look(process, SLEEPING if sleeping else RESTING, loaded=True)
    return _use(server, process, model, (purposes or {}).get(model))


def _look_at_router(server, process, default, purposes, ask):
    """The look at the gravest of what the loaded models do.

    Only one is asked for a token, the default one if it can be: questions, other than ``/slots``, tell the router
    which model was used last, and so which one has to go when another is wanted.
    """
    try:
        states = {model["id"]: (model.get("status") or {}).get("value") for model in server.models()}
    except ServerError as error:
        return _failed_look(process, error, loaded=True)
    ready = sorted((name for name, state in states.items() if state == "loaded"), key=lambda name: name != default)
    looks = [Look(process, NOT_READY[state], True) for state in states.values() if state in NOT_READY]
    if ready and not ask:  # beside one that sleeps too: what is loaded is to be asked some time
        looks.append(Look(process, RESTING, loaded=True))
    for name in ready if ask else ():
        looks.append(_use(server, process, name, purposes.get(name), routed=True, token=name == ready[0]))
    return max(looks, key=lambda look: GRAVITY.index(look.seen), default=Look(process, RESTING, loaded=True))


def _use(server, process, model, purpose, routed=False, token=True):
    """The look at a server that is ready to work, or says so; with ``routed`` at the one of ``model``."""
    try:
        slots = server.slots(model if routed else None)
    except ServerError as error:
        if _seen(error) != UNCLEAR:
            return _failed_look(process, error, loaded=True)
        slots = None
    work = tuple(_work(slot) for slot in slots or () if slot.get("is_processing"))
    if any(generated is None for _task, _done, generated in work):
        return Look(process, UNCLEAR, loaded=True, reason="Its slots work, and do not tell how far they are.")
    if work:
        return Look(process, WORKING, True, work, "Its slots work for somebody and stand still.")
    try:
        if token:
            _ask(server, model, purpose, load=not routed)
    except ServerError as error:
        look = _failed_look(process, error, loaded=True)
        if look.seen == SILENT and slots is None:
            reason = f"{error} It may be busy: it does not tell of its slots, so nothing follows from that."
            return look._replace(seen=UNCLEAR, reason=reason)
        return look
    return Look(process, ANSWERED if token else RESTING, loaded=True)


def _ask(server, model, purpose, load):
    """Have the model compute as little as there is."""
    options = {"load": load, **({"model": model} if model else {})}
    if purpose == "embedding":
        server.embed(PROMPT, **options)
    elif purpose == "rerank":
        server.rerank(PROMPT, [PROMPT], **options)
    else:
        server.complete(PROMPT, **ONE_TOKEN, **options)


def _without_props(server, process, failure, sleeps):
    """What follows when ``/props`` failed. A server that wakes up is silent there and lively at ``/health``."""
    look = _failed_look(process, failure)
    if look.seen != SILENT:
        return look
    try:
        loading = server.health() == "loading"
    except ServerError:
        return look
    if loading:
        return look._replace(seen=LOADING)
    return look._replace(seen=WAKING if sleeps else SILENT, loaded=True)


def _failed_look(process, error, loaded=False):
    return Look(process, _seen(error), loaded, reason=str(error))


def _seen(error):
    """What a failed request means."""
    if isinstance(error, StillLoading):
        return LOADING
    if error.status == http.HTTPStatus.BAD_REQUEST and "not loaded" in error.reason:  # a router unloaded it just now
        return RESTING
    if isinstance(error.__cause__, (socket.timeout, TimeoutError)):  # two classes before Python 3.10
        return SILENT
    if isinstance(error, NotRunning) and isinstance(error.__cause__, ConnectionError):
        return DOWN
    if error.status == http.HTTPStatus.INTERNAL_SERVER_ERROR and not isinstance(error, NotAuthorised):
        return FAILING
    return UNCLEAR


def last_work_logged(log):
    """When a slot last told of work in the server's log ``log``, as the text there; empty when none did lately."""
    times = (SLOT_AT_WORK.match(line) for line in reversed(tail(log).splitlines()))
    return next((found.group(1) for found in times if found), "")


def _work(slot):
    """(task, prompt tokens processed, tokens generated) of a slot at work, the last one None where it is not told."""
    progress = slot.get("next_token") or {}
    progress = progress[0] if isinstance(progress, list) else progress  # a list of one, or just that one
    return slot.get("id_task"), slot.get("n_prompt_tokens_processed") or 0, progress.get("n_decoded")
