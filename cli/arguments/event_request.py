"""The event that the user wants to publish, checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...saga.errors import Fault, SpecError
from ...saga.events.published_event import PublishedEvent, event_faults
from .values import read_value, read_values


def read_event_request(
    topic: str, key: str | None, payload: str | None, pairs: Sequence[str], input_file: str | None
) -> PublishedEvent:
    """Reads and checks an event.

    Args:
        topic: Its topic.
        key: Its key.
        payload: Its payload as JSON text, or None where it is made of the others.
        pairs: The ``K=V`` arguments of the command line, which override the file.
        input_file: A JSON or YAML file, ``-`` for stdin, or None.

    Returns:
        The event.

    Raises:
        SpecError: Something is wrong with it; the error names all faults.
    """
    faults = [Fault(_NAMES[fault.path], fault.message) for fault in event_faults(topic, key)]
    said: Any = None
    try:
        if payload is None:
            said = read_values(pairs, input_file, option="--input", root="payload")
        else:
            said = read_value(payload, option="PAYLOAD")
    except SpecError as error:
        faults += error.faults
    if payload is not None and (pairs or input_file is not None):
        faults.append(Fault("PAYLOAD", "is said already; leave --input and --input-file out, or PAYLOAD"))
    if faults:
        raise SpecError(faults)
    return PublishedEvent(topic=topic, key=key or "", payload=said)


_NAMES = {"topic": "TOPIC", "key": "--key"}
