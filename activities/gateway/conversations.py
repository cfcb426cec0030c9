"""Conversations that clients of the responses dialect leave to a provider: here the gateway keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Conversations:
    """What was said so far, by the id of the last answer; what is sent on stands for itself."""

    def __init__(self) -> None:
        """Knows no answers yet."""
        self._said: dict[str, list[Any]] = {}

    def expanded(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Returns a request with all that it refers to.

        Raises:
            ValueError: It refers to what only a provider would know; the message says what to do.
        """
        for name in ("conversation", "background", "prompt"):
            if body.get(name):
                raise ValueError(f"{name} is kept by a provider, and not taken here; send the whole input")
        earlier = body.get("previous_response_id")
        if not earlier:
            return dict(body)
        if not isinstance(earlier, str) or not isinstance(body.get("input"), str | list | None):
            raise ValueError("previous_response_id has to be a text, and input a text or a list")
        if earlier not in self._said:
            raise ValueError(f"there is no answer {earlier!r} in this run; send the whole input")
        whole = {name: value for name, value in body.items() if name != "previous_response_id"}
        return {**whole, "input": [*self._said[earlier], *_items(body.get("input"))]}

    def answered(self, body: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        """Notes an answer to a whole request."""
        if isinstance(answer.get("id"), str):
            self._said[answer["id"]] = [*_items(body.get("input")), *(answer.get("output") or ())]


def _items(given: Any) -> list[Any]:
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    return list(given or ())
