"""Turns what a program sends to a task into JSON."""

from __future__ import annotations

from typing import Any

from ..bundle.yaml_document import payload_faults
from ..saga.errors import Fault, SpecError
from ..saga.json_value import write_json


def as_payload(value: Any, name: str) -> Any:
    """Turns models, dataclasses and other values into JSON.

    Args:
        value: Any value.
        name: How faults name the value.

    Returns:
        JSON that fits into one payload.

    Raises:
        SpecError: The value cannot be turned into JSON, a secret in it would be masked, or it is too large.
    """
    try:
        said = write_json(value)
        faults = payload_faults(said, name)
    except (ValueError, TypeError, RecursionError) as error:
        raise SpecError([Fault(name, f"cannot become JSON: {error}")]) from None
    if faults:
        raise SpecError(faults)
    return said


def expect_name(value: str | None, name: str) -> None:
    """Refuses an empty name, because it does not mean the same as a name that is left out.

    Args:
        value: The name; None if it is left out.
        name: How faults name it.

    Raises:
        SpecError: The name is empty.
    """
    if value is not None and not value.strip():
        raise SpecError([Fault(name, "is empty; leave it out to have the usual one")])
