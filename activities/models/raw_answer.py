"""A provider's answer before the client reads it, for those that the client cannot read."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

_USAGE = {
    "prompt_tokens": ("prompt_tokens", "input_tokens", "promptTokenCount", "prompt_eval_count"),
    "completion_tokens": ("completion_tokens", "output_tokens", "candidatesTokenCount", "eval_count"),
}
_AN_ANSWER = ("choices", "content", "candidates", "output")
_REASONS = ("stop", "length", "content_filter", "tool_calls", "function_call")
_SAYS_WHY = ("finish_reason", "finishReason", "stop_reason", "done_reason")
_AT_A_LIMIT = re.compile(r"(?i)length|max_\w*tokens|limit|exceeded")
_BROKEN_OFF = re.compile(r"(?i)^error$|abort|insufficient|incomplete|interrupt")

_MOST_TOKENS: Final = 10**9
"""More than any request has."""


class RawAnswer:
    """Hears what the client has received.

    Attributes:
        has_heard: Whether the client has said anything, be it only that it is about to send the request.
        states_tokens: Whether the provider has said how many tokens it has counted.
        has_no_choice: Whether it has given a list of choices, as OpenAI does, and there is none in it.
    """

    def __init__(self) -> None:
        """Has heard nothing yet."""
        self.has_heard = self.states_tokens = self.has_no_choice = False
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
        if not isinstance(body, Mapping) or body.get("error"):
            return
        usage = _usage(body)
        self.states_tokens = any(usage.values())
        self.has_no_choice = not body.get("choices", True)
        is_message = isinstance(body.get("message"), Mapping)
        if is_message or self.states_tokens or any(body.get(key) for key in _AN_ANSWER):
            self._body = body

    @property
    def has_answer(self) -> bool:
        """Whether the provider has answered."""
        return bool(self._body)

    @property
    def break_off(self) -> str:
        """Why the answer is not whole: ``length`` at a limit, ``error`` otherwise; empty where it may be.

        The client takes every reason that it does not know for the end of a whole answer.
        """
        reason = self._reason
        if _AT_A_LIMIT.search(reason):
            return "length"
        return "error" if _BROKEN_OFF.search(reason) else ""

    @property
    def _reason(self) -> str:
        said = (place.get(name) for place in (self._choice, self._body) for name in _SAYS_WHY)
        return next((reason for reason in said if isinstance(reason, str)), "")

    @property
    def _choice(self) -> Mapping[str, Any]:
        return _first(self._body.get("choices")) or _first(self._body.get("candidates"))

    def mended(self, model: str) -> dict[str, Any]:
        """Returns an answer in OpenAI's format that can be read: without the parts that cannot."""
        reason, usage = self._reason, _usage(self._body)
        return {
            "model": model,
            "choices": [
                {
                    "message": _message(self._message()),
                    "finish_reason": reason if reason in _REASONS else "stop",
                }
            ],
            "usage": {**usage, "total_tokens": sum(usage.values())},
        }

    def _message(self) -> Mapping[str, Any]:
        """Returns the message of the answer, or what is nearest to one in the provider's own format."""
        choice, body = self._choice, self._body
        for message in (choice.get("message"), body.get("message"), choice.get("content")):
            if isinstance(message, Mapping):
                return {**message, "content": message.get("content", message.get("parts"))}
        return {"content": body.get("content")}


def _usage(body: Mapping[str, Any]) -> dict[str, int]:
    stated = body.get("usage", body.get("usageMetadata", body))
    stated = stated if isinstance(stated, Mapping) else {}
    return {name: first_count(stated, keys) for name, keys in _USAGE.items()}


def token_count(stated: Any) -> int:
    """Returns how many tokens a provider states; 0 where it states no such number."""
    return stated if isinstance(stated, int) and 0 < stated <= _MOST_TOKENS else 0


def are_parts(details: Any, whole: int) -> bool:
    """Says whether what a provider states of the parts of a number of tokens can be."""
    stated = vars(details).values() if details is not None else ()
    return all(0 <= count <= whole for count in stated if isinstance(count, int | float))


def first_count(usage: Mapping[str, Any], names: Sequence[str]) -> int:
    """Returns the first of several numbers of tokens that a provider states."""
    return next((count for name in names if (count := token_count(usage.get(name)))), 0)


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    content = message.get("content")
    calls = message.get("tool_calls") or _calls_in(content)
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
        said = [part for part in content if not (isinstance(part, Mapping) and part.get("thought"))]
        parts = [part.get("text") if isinstance(part, Mapping) else part for part in said]
        return "".join(part for part in parts if isinstance(part, str))
    return json.dumps(content, ensure_ascii=False)


def _calls_in(content: Any) -> list[dict[str, Any]]:
    """Returns the calls that are parts of a content, as Anthropic and Google have it."""
    parts = [part for part in content if isinstance(part, Mapping)] if isinstance(content, list) else []
    calls = [
        {"id": part.get("id"), "function": {"name": part.get("name"), "arguments": part.get("input")}}
        for part in parts
        if part.get("type") == "tool_use"
    ]
    made = [part["functionCall"] for part in parts if isinstance(part.get("functionCall"), Mapping)]
    return calls + [{"function": {"name": call.get("name"), "arguments": call.get("args")}} for call in made]


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
