"""How requests to models are written, and what a request that is written in one of the ways may come to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from ....saga.agents.hosted_body import Dialect
from ....saga.limits.cost_bound import TOKENS_AROUND, TOKENS_OF_A_MESSAGE

_CAPS: Final[Mapping[Dialect, tuple[str, ...]]] = {
    "chat": ("max_completion_tokens", "max_tokens"),
    "responses": ("max_output_tokens",),
    "messages": ("max_tokens",),
}
"""The fields that bound an answer; the last one where none is there."""

_MOST_ANSWERS: Final = 128
"""OpenAI's own limit of ``n``."""

_MOST_TOKENS: Final = 1_000_000_000
"""More than any model answers: a number that a process writes may be too large to reckon a price with."""


def most_tokens_of(dialect: Dialect, body: Mapping[str, Any]) -> tuple[int, int | None]:
    """Returns what a request comes to at most.

    A token is at least one byte (see `most_input_tokens`), so the bytes of the body bound what is sent.

    Args:
        dialect: How the body is written.
        body: The body.

    Returns:
        The tokens that are sent, and the tokens of all its answers together; None where it does not say.
    """
    size = len(json.dumps(body, ensure_ascii=False).encode(errors="surrogatepass"))
    said = body.get("input") if dialect == "responses" else body.get("messages")
    messages = len(said) if isinstance(said, list) else 1
    cap = _cap(dialect, body)
    longest = cap and min(cap * answers_of(dialect, body), _MOST_TOKENS)
    return size + messages * TOKENS_OF_A_MESSAGE + TOKENS_AROUND, longest


def answers_of(dialect: Dialect, body: Mapping[str, Any]) -> int:
    """Returns how many answers a request asks for."""
    number = body.get("n") if dialect == "chat" else 1
    return min(number, _MOST_ANSWERS) if isinstance(number, int) and number > 1 else 1


def bounded(dialect: Dialect, body: Mapping[str, Any], most: int) -> dict[str, Any]:
    """Returns a body whose answers have no more tokens than so many, all together."""
    each = max(1, most // answers_of(dialect, body))
    names = [name for name in _CAPS[dialect] if name in body] or [_CAPS[dialect][-1]]
    return {**body, **{name: min(_count(body.get(name)) or each, each) for name in names}}


def _cap(dialect: Dialect, body: Mapping[str, Any]) -> int | None:
    caps = [cap for name in _CAPS[dialect] if (cap := _count(body.get(name))) is not None]
    return min(caps, default=None)


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
