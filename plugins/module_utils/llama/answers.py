# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The form (base/json_form.py) of what llama-server answers, as far as anything here reads it.

Whatever answers otherwise is not understood, in one place; it may be no llama-server at all.
"""

from __future__ import annotations

from ..base.json_form import NUMBER, Needed, OneOf

_CALL = {"index": int, "id": str, "function": {"name": str, "arguments": str}}
_MESSAGE = {"content": str, "reasoning_content": str, "tool_calls": [_CALL]}
_TIMINGS = {f"{what}_{unit}": NUMBER for what in ("predicted", "prompt") for unit in ("n", "ms", "per_second")}
_FIGURES = {
    "usage": {"completion_tokens": int, "prompt_tokens": int, "prompt_tokens_details": {"cached_tokens": int}},
    "timings": {**_TIMINGS, "cache_n": NUMBER},
}
_PROGRESS = {"n_decoded": int}

OBJECT = {}
PROPS = {"build_info": str, "role": str, "is_sleeping": bool}
MODELS = {
    "data": Needed(
        [
            {
                "id": Needed(str),
                "aliases": [str],
                "meta": {"n_ctx": int, "n_ctx_train": int, "size": NUMBER},
                "status": {"value": str, "failed": bool, "exit_code": int},
            }
        ]
    )
}
SLOTS = [
    {
        "is_processing": bool,
        "id_task": int,
        "n_prompt_tokens_processed": int,
        "next_token": OneOf(([_PROGRESS], _PROGRESS)),
    }
]
COMPLETION = {"content": Needed(str), "stop_type": str, **_FIGURES}
COMPLETION_EVENT = {"content": str, "stop": bool, "stop_type": str, **_FIGURES}
EMBEDDING = {"data": Needed([{"embedding": Needed(list), "index": int}])}
TOKENS = {"tokens": Needed(list)}
RANKS = {"results": Needed([{"index": Needed(int)}])}
CHAT = {"choices": Needed([{"message": _MESSAGE, "finish_reason": str}]), **_FIGURES}
EVENT = {
    "id": str,
    "choices": [{"delta": _MESSAGE, "finish_reason": str}],
    "prompt_progress": {"processed": Needed(NUMBER), "total": Needed(NUMBER)},
    **_FIGURES,
}
