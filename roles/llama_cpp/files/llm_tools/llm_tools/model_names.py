# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The model a request is for: its name, what it is for, and how much fits into its context."""

from __future__ import annotations

import contextlib

from .core.base.errors import LlamaCppError
from .core.base.text import did_you_mean
from .core.llama.errors import ContextExceeded
from .core.llama.readiness import offered_models
from .errors import UsageError


def requested_model(environment, server, wanted):
    """The name of the model that has the name or alias ``wanted``; the default one when that is None.

    Raises UsageError if there is none; llama-server with one model would answer under any name.
    """
    if not wanted:
        return environment.default_model
    offered = offered_models(server)
    if wanted not in offered:
        names = sorted(offered)
        hint = did_you_mean(wanted, names).replace(";", ".", 1).replace("did", "Did")
        raise UsageError(f'unknown model "{wanted}".{hint[1:]} Available models: {", ".join(names)}.')
    return offered[wanted]["id"]


def model_for(environment, server, wanted, purpose):
    """The name of the model that is ``wanted``, else of the default one, else of the only one for ``purpose`` here.

    Raises UsageError when that is for something else.
    """
    model = requested_model(environment, server, wanted)
    only = environment.models_for(purpose)
    if not wanted and not environment.elsewhere and model not in only and len(only) == 1:
        return only[0]
    check_purpose(environment, model, purpose)
    return model


def check_purpose(environment, model, wanted="chat"):
    """Raise UsageError if ``model`` is configured for something else: llama-server would fail or return nonsense."""
    if environment.elsewhere or not model:
        return
    purpose = environment.purpose_of(model)
    if purpose != wanted:
        others = environment.models_for(wanted)
        hint = f"{wanted} models: {', '.join(others)}." if others else f"this host has no {wanted} model."
        raise UsageError(f'the model "{model}" is configured for {purpose}, not for {wanted}; {hint}')


def context_of(server, model):
    """The size of the context of ``model`` (None: of the first one) in tokens, or None where it is not told."""
    try:
        return (_meta(server, model) or {}).get("n_ctx")
    except LlamaCppError:
        return None


@contextlib.contextmanager
def told_context(environment, server, model):
    """Words for a prompt that is too long: how long it is, what the limit is, and how to raise it."""
    try:
        yield
    except ContextExceeded as error:
        raise type(error)(
            _too_long(environment, server, model, error), error.status, error.reason, error.prompt_tokens, error.context
        ) from error


def _too_long(environment, server, model, error):
    prompt = "" if error.prompt_tokens is None else f" of {error.prompt_tokens} tokens"
    limit = "" if error.context is None else f" of {error.context} tokens"
    text = f"the prompt{prompt} does not fit into the context{limit}. Shorten it"
    if environment.elsewhere or not model:
        return f"{text}."
    trained = None
    with contextlib.suppress(LlamaCppError):
        trained = (_meta(server, model) or {}).get("n_ctx_train")
    if trained and error.context and error.context >= trained:
        return f"{text}: the model was trained for no more than {trained} tokens."
    most = f"; the model was trained for up to {trained}" if trained else ""
    return f"{text}, or raise models.{model}.context_size in the configuration and run the play{most}."


def _meta(server, model):
    offered = offered_models(server)
    return (offered.get(model) or next(iter(offered.values()), {})).get("meta")
