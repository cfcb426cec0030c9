"""What a program sends to a task, as JSON."""

from __future__ import annotations

from typing import Any

from pydantic_core import to_jsonable_python

from ..bundle.yaml_document import payload_faults
from ..saga.errors import Fault, SpecError


def as_payload(value: Any, name: str) -> Any:
    """Makes JSON of models, dataclasses and the like.

    Args:
        value: Anything.
        name: What faults call it.

    Returns:
        JSON that fits into one payload.

    Raises:
        SpecError: It cannot become JSON, or is too large.
    """
    try:
        said = to_jsonable_python(value)
        faults = payload_faults(said, name)
    except (ValueError, TypeError, RecursionError) as error:
        raise SpecError([Fault(name, f"cannot become JSON: {error}")]) from None
    if faults:
        raise SpecError(faults)
    return said


def expect_name(value: str | None, name: str) -> None:
    """Refuses an empty name: it is not the same as none.

    Args:
        value: The name; None where none is given.
        name: What faults call it.

    Raises:
        SpecError: It is empty.
    """
    if value is not None and not value.strip():
        raise SpecError([Fault(name, "is empty; leave it out to have the usual one")])
