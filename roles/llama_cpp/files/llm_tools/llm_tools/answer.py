# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""An answer of a model: put together from the events of a stream or from one reply, judged, and told in figures."""

from __future__ import annotations

import json
import time

from .errors import Incomplete
from .sampling import MOST_TOKENS


class Answer:
    """What a model has said so far.

    :ivar id: the identifier of the completion, by which the server can be told to end its reasoning.
    :ivar content, reasoning: the text of each.
    :ivar tool_calls: list of ``{"id", "name", "arguments"}``; the arguments are JSON text as the model wrote it.
    :ivar finish_reason: ``stop``, ``length``, ``tool_calls``, or what the server calls it; None while it is unfinished.
    :ivar usage, timings: the figures of the server, as it names them.
    :ivar first_token_seconds: from the making of this object to the first piece; None for a whole reply.
    """

    def __init__(self):
        self.id = self.finish_reason = self.first_token_seconds = None
        self.content = self.reasoning = ""
        self.tool_calls = []
        self.usage, self.timings = {}, {}
        self._began = time.monotonic()

    @classmethod
    def of_reply(cls, reply):
        """The answer in a whole reply of ``/v1/chat/completions``."""
        answer = cls()
        answer.feed_reply(reply)
        return answer

    def feed_reply(self, reply):
        """Take in a whole reply of ``/v1/chat/completions``."""
        choice = reply["choices"][0]
        for _ in self.feed({**reply, "choices": [{**choice, "delta": choice.get("message")}]}):
            pass
        self.first_token_seconds = None

    def feed(self, event):
        """Take in an event of a stream; yields its pieces as ("reasoning" or "content", text)."""
        self.id = event.get("id") or self.id
        self.usage = event.get("usage") or self.usage
        self.timings = event.get("timings") or self.timings
        for choice in event.get("choices") or ():
            self.finish_reason = choice.get("finish_reason") or self.finish_reason
            delta = choice.get("delta") or {}
            for call in delta.get("tool_calls") or ():
                self._feed_call(call)
            for kind, key in (("reasoning", "reasoning_content"), ("content", "content")):
                text = delta.get(key)
                if text:
                    if self.first_token_seconds is None:
                        self.first_token_seconds = time.monotonic() - self._began
                    setattr(self, kind, getattr(self, kind) + text)
                    yield kind, text

    def _feed_call(self, part):
        place = part.get("index")
        if place is None or not 0 <= place < len(self.tool_calls):
            self.tool_calls.append({"id": None, "name": "", "arguments": ""})
            place = -1
        call, function = self.tool_calls[place], part.get("function") or {}
        call["id"] = part.get("id") or call["id"]
        for key in ("name", "arguments"):
            call[key] += function.get(key) or ""

    def message(self):
        """It as a message of a conversation, to be sent back with the next prompt."""
        calls = [
            {"id": call["id"], "type": "function", "function": {"name": call["name"], "arguments": call["arguments"]}}
            for call in self.tool_calls
        ]
        return {"role": "assistant", "content": self.content, **({"tool_calls": calls} if calls else {})}

    def saved(self, model=None):
        """It as a message of a saved conversation: with what it was reasoned, by which model, and its figures."""
        prompt, cached, produced = self.token_counts()
        usage = {"prompt_tokens": prompt, "cached_tokens": cached, "completion_tokens": produced}
        more = {"reasoning": self.reasoning, "model": model, "usage": usage if prompt or produced else None}
        return {**self.message(), **{key: value for key, value in more.items() if value}}

    def token_counts(self):
        """(tokens of the prompt, how many of them came from the cache or None, tokens of the answer)."""
        usage, timings = self.usage, self.timings
        cached = timings.get("cache_n")
        if cached is None:
            cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens")
        prompt = usage.get("prompt_tokens") or (timings.get("prompt_n") or 0) + (cached or 0)
        return prompt, cached, usage.get("completion_tokens") or timings.get("predicted_n") or 0

    def require_complete(self, limit):
        """Raise Incomplete when it is empty, only reasoning, or cut off.

        :param limit: the ``max_tokens`` of the request.
        """
        cut = self.finish_reason == "length"
        told = self._told_limit(limit)
        if not self.content.strip() and not self.tool_calls:
            if cut:
                raise Incomplete(f"the model gave no answer before it was cut off: {told}")
            thought = " It only reasoned; ask again." if self.reasoning else ""
            raise Incomplete(f"the model gave no answer.{thought}")
        if cut:
            raise Incomplete(f"the answer was cut off: {told}")

    def _told_limit(self, limit):
        tokens = self.usage.get("completion_tokens") or self.timings.get("predicted_n")
        if limit and limit > 0 and (not tokens or tokens >= limit):
            default = " by default" if limit == MOST_TOKENS else ""
            return f"{limit} tokens are the limit{default}. Allow more with --max-tokens, -1 for no limit."
        return "it filled the context of the model. Ask for less, or configure a larger context_size."


def tool_call_line(call):
    """A tool call for people and programs to read: the name and the arguments, as a line of JSON."""
    try:
        arguments = json.loads(call["arguments"] or "{}")
    except ValueError:
        arguments = call["arguments"]
    return json.dumps({"name": call["name"], "arguments": arguments}, ensure_ascii=False)


def figures(answer, context=None):
    """Tokens, cache, rates, time to the first token and use of the context (in tokens, where known), in one line."""
    timings = answer.timings
    if not timings and not answer.usage:
        return "The server reported no statistics."
    prompt, cached, produced = answer.token_counts()
    parts = [f"answer: {_pace(produced, timings, 'predicted')}"]
    parts.append(f"prompt: {_pace(prompt, timings, 'prompt')}" + (f", {cached:.0f} of them cached" if cached else ""))
    if answer.first_token_seconds is not None:
        parts.append(f"first token after {answer.first_token_seconds:.2f} s")
    if context:
        used = prompt + produced
        parts.append(f"context: {used:.0f} of {context} tokens used, {max(0, context - used):.0f} left")
    return "; ".join(parts)


def _pace(tokens, timings, prefix):
    """``12 tokens in 0.31 s, 38.7 tokens/s``"""
    milliseconds = timings.get(f"{prefix}_ms")
    if milliseconds is None:
        return f"{tokens:.0f} tokens"
    seconds, computed = milliseconds / 1000, timings.get(f"{prefix}_n") or tokens
    rate = timings.get(f"{prefix}_per_second") or (computed / seconds if seconds else 0)
    return f"{tokens:.0f} tokens in {seconds:.2f} s, {rate:.1f} tokens/s"
