"""The events that have led to a workflow, one by the other: they travel in a header, and end a loop."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from temporalio.api.common.v1 import Payload
from temporalio.exceptions import ApplicationError

from ..errors import FailureType
from ..history_format import EVENTS_HEADER

MAX_HOPS = 5
"""Events in a row, each published by a task that the one before it has started."""

LED_BY: ContextVar[tuple[str, ...]] = ContextVar("counterstep_led_by", default=())
"""In an activity: the topics of the events that have led to it."""

_STARTING: ContextVar[tuple[str, ...] | None] = ContextVar("counterstep_starting", default=None)


def read_chain(headers: Mapping[str, Payload]) -> tuple[str, ...]:
    """Reads the topics of the events that have led to what has these headers; usually there are none."""
    payload = headers.get(EVENTS_HEADER)
    return () if payload is None else tuple(json.loads(payload.data))


def with_chain(headers: Mapping[str, Payload], chain: tuple[str, ...]) -> Mapping[str, Payload]:
    """Returns headers that also have these topics, which are not encrypted; nothing is added for none."""
    if not chain:
        return headers
    data = json.dumps(chain).encode()
    return {**headers, EVENTS_HEADER: Payload(metadata={"encoding": b"json/plain"}, data=data)}


def passed_on(headers: Mapping[str, Payload]) -> tuple[str, ...]:
    """Returns what the running workflow passes on to what it starts.

    Args:
        headers: Those that the workflow was started with.
    """
    starting = _STARTING.get()
    return read_chain(headers) if starting is None else starting


@contextmanager
def leading_on(chain: tuple[str, ...]) -> Iterator[None]:
    """While it lasts, what is started has been led to by these events."""
    token = _STARTING.set(chain)
    try:
        yield
    finally:
        _STARTING.reset(token)


def expect_no_loop(topic: str, chain: tuple[str, ...]) -> None:
    """Refuses an event that too many others have led to.

    Raises:
        ApplicationError: Its type is ``TooManyHops``.
    """
    if len(chain) < MAX_HOPS:
        return
    way = " -> ".join((*chain, topic))
    message = (
        f"{topic} was published by a task that {len(chain)} events in a row have led to ({way}); the most is "
        f"{MAX_HOPS}, so that events and tasks do not start each other for ever"
    )
    raise ApplicationError(message, type=FailureType.TOO_MANY_HOPS, non_retryable=True)
