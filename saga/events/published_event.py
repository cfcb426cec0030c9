"""An event as it is published, read strictly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from ..errors import Fault, SpecError
from ..names import nearest

MAX_NAME = 200
"""Characters of a topic, and of a key: both are parts of workflow ids."""

MAX_BYTES = 400
"""Bytes of these: the server takes ids of 1000, and what a task starts has longer ones than the task."""

_PARTS = ("topic", "key", "payload")


class PublishedEvent(BaseModel):
    """Something that has happened, as its publisher says.

    Attributes:
        topic: What kind of thing, e.g. ``order.paid``.
        key: Which one of its kind: it is the same event however often it is published under this key.
        payload: What is told of it, as JSON.
    """

    model_config = ConfigDict(frozen=True)

    topic: str
    key: str
    payload: Any = None


def read_event(value: Any) -> PublishedEvent:
    """Reads the argument of ``counterstep.publish``.

    Raises:
        SpecError: It has faults, which are all named.
    """
    if not isinstance(value, Mapping):
        shape = '{"topic": TOPIC, "key": KEY, "payload": ...}'
        raise SpecError([Fault("", f"an event is an object {shape}")])
    faults = [
        Fault(str(part), f"there is no such part of an event{nearest(str(part), _PARTS)}")
        for part in value
        if part not in _PARTS
    ]
    faults += event_faults(value.get("topic"), value.get("key"))
    if faults:
        raise SpecError(faults)
    payload = value.get("payload")
    return PublishedEvent(
        topic=value["topic"], key=key_text(value["key"]), payload={} if payload is None else payload
    )


def event_faults(topic: Any, key: Any) -> Iterator[Fault]:
    """Yields what is wrong with the names of an event."""
    if reason := topic_fault(topic):
        yield Fault("topic", reason)
    if key is None:
        reason = "is missing; say which one it is, e.g. the order's number, so that it counts only once"
    else:
        reason = key_fault(key)
    if reason:
        yield Fault("key", reason)


def topic_fault(topic: Any) -> str:
    """Says why something is not a topic; empty where it is one."""
    if not isinstance(topic, str):
        return "is missing" if topic is None else f"must be text, not {topic!r}"
    if not topic or "/" in topic or any(c.isspace() or not c.isprintable() for c in topic):
        return f"a topic looks like order.paid, without spaces and slashes, not {topic[:60]!r}"
    return _length_fault(topic)


def key_fault(key: Any) -> str:
    """Says why a value cannot be a key; empty where it can."""
    text = key_text(key)
    if not text:
        return "must be text or a whole number, and not empty" + ("" if key == "" else f", not {key!r}"[:80])
    if text != text.strip() or not text.isprintable():
        return f"must not have line breaks, or spaces around it: {text[:60]!r}"
    return _length_fault(text)


def _length_fault(text: str) -> str:
    if len(text) > MAX_NAME:
        return f"has {len(text)} characters; the most is {MAX_NAME}"
    size = len(text.encode())
    return f"has {size} bytes; the most is {MAX_BYTES}" if size > MAX_BYTES else ""


def key_text(key: Any) -> str:
    """Writes a key as text: 17, 17.0 and "17" are the same; empty for what cannot be one."""
    if isinstance(key, float) and key.is_integer():
        key = int(key)
    if isinstance(key, bool) or not isinstance(key, str | int):
        return ""
    return str(key)
