"""A stream that begins before its answer is there, so that a client with little patience goes on waiting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from ...saga.agents.foreign.host_protocol import HostAnswer
from ...saga.agents.hosted_body import Dialect
from .streams import as_refusal, as_stream

PATIENCE: Final = 3.0
"""Seconds without a byte: many HTTP clients wait for five, and what is refused later has no status."""

_SIGNS: Final[Mapping[Dialect, str]] = {
    "chat": ": the answer is not there yet\n\n",
    "responses": ": the answer is not there yet\n\n",
    "messages": 'event: ping\ndata: {"type": "ping"}\n\n',
}
"""What clients of a dialect pass over: comments, and the event that Anthropic has for it."""


async def late_stream(
    dialect: Dialect, call: asyncio.Future[HostAnswer], body: Mapping[str, Any]
) -> AsyncIterator[str]:
    """Yields signs of life until the answer is there, and then the answer.

    Args:
        dialect: Whose.
        call: Ends with the answer.
        body: The request.
    """
    while not call.done():
        yield _SIGNS[dialect]
        await asyncio.wait({call}, timeout=PATIENCE)
    answer = call.result()
    if answer.refusal is not None:
        yield as_refusal(dialect, answer.refusal)
        return
    for event in as_stream(dialect, answer.value, body):
        yield event
