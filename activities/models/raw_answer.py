"""A provider's answer before the client reads it, for those that the client cannot read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

_USAGE = {
    "prompt_tokens": ("prompt_tokens", "input_tokens"),
    "completion_tokens": ("completion_tokens", "output_tokens"),
}
_AN_ANSWER = ("choices", "content", "candidates", "output")
_REASONS = ("stop", "length", "content_filter", "tool_calls", "function_call")


class RawAnswer:
    """Hears what the client has received.

    Attributes:
        has_heard: Whether the client has said anything, be it only that it is about to send the request.
    """

    def __init__(self) -> None:
        """Has heard nothing yet."""
        self.has_heard = False
        self._body: Mapping[str, Any] = {}

    def hear(self, details: Mapping[str, Any]) -> None:
        """Takes what litellm tells a `logger_fn`, once before the request and once after the answer."""
        self.has_heard = True
        text = details.get("original_response")
        if not isinstance(text, str):
            return
        try:
            body = json.loads(text)
        except (ValueError, RecursionError):
            return
        if isinstance(body, Mapping) and not body.get("error") and any(body.get(key) for key in _AN_ANSWER):
            self._body = body

    @property
    def has_answer(self) -> bool:
        """Whether the provider has answered."""
        return bool(self._body)

    def mended(self, model: str) -> dict[str, Any]:
        """Returns an answer in OpenAI's format that can be read: without the parts that cannot."""
        choice = _first(self._body.get("choices"))
        message = choice.get("message")
        reason = choice.get("finish_reason")
        return {
            "model": model,
            "choices": [
                {
                    "message": _message(message if isinstance(message, Mapping) else {}),
                    "finish_reason": reason if reason in _REASONS else "stop",
                }
            ],
            "usage": self._usage(),
        }

    def _usage(self) -> dict[str, int]:
        stated = self._body.get("usage")
        stated = stated if isinstance(stated, Mapping) else {}
        usage = {name: first_count(stated, keys) for name, keys in _USAGE.items()}
        return {**usage, "total_tokens": sum(usage.values())}


def token_count(stated: Any) -> int:
    """Returns how many tokens a provider states; 0 where it states no such number."""
    return stated if isinstance(stated, int) and stated > 0 else 0


def first_count(usage: Mapping[str, Any], names: Sequence[str]) -> int:
    """Returns the first of several numbers of tokens that a provider states."""
    return next((count for name in names if (count := token_count(usage.get(name)))), 0)


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    content = message.get("content")
    calls = message.get("tool_calls")
    reasoning = message.get("reasoning_content")
    mended: dict[str, Any] = {"role": "assistant", "content": _text(content)}
    if isinstance(calls, list) and (usable := [_call(call) for call in calls if _is_call(call)]):
        mended["tool_calls"] = usable
    if isinstance(reasoning, str):
        mended["reasoning_content"] = reasoning
    return mended


def _text(content: Any) -> str | None:
    if content is None or isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = [part.get("text") if isinstance(part, Mapping) else part for part in content]
        return "".join(part for part in parts if isinstance(part, str))
    return json.dumps(content, ensure_ascii=False)


def _is_call(call: Any) -> bool:
    return isinstance(call, Mapping) and isinstance(call.get("function"), Mapping)


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    arguments = call["function"].get("arguments")
    written = arguments if isinstance(arguments, str) else json.dumps(arguments or {})
    function = {"name": str(call["function"].get("name") or ""), "arguments": written}
    return {"id": str(call.get("id") or ""), "type": "function", "function": function}


def _first(choices: Any) -> Mapping[str, Any]:
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, Mapping) else {}
