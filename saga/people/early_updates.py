"""Updates that arrive before their task has opened its record: they wait for that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from temporalio import workflow
from temporalio.common import RawValue

from ..names import nearest
from .updates import refused

UPDATES = ("decide", "amend", "resolve")


def check_early(name: str, args: Sequence[RawValue]) -> None:
    """Refuses what no task serves, and what nobody can read.

    Raises:
        ApplicationError: There is no such update, or its argument is not JSON (type ``Refused``).
    """
    if name not in UPDATES:
        raise refused(f"a task has no update {name!r}{nearest(name, UPDATES)}")
    try:
        _read(args)
    except Exception as error:
        raise refused(f"the argument cannot be read: {error}") from None


async def answer_early(name: str, args: Sequence[RawValue]) -> Any:
    """Waits until the task serves the update, and has it answered.

    The validators of updates run before they are in history, and these are there already: what the handler
    itself refuses is the answer.
    """
    await workflow.wait_condition(lambda: workflow.get_update_handler(name) is not None)
    handler = workflow.get_update_handler(name)
    assert handler is not None
    return await handler(*_read(args))


def _read(args: Sequence[RawValue]) -> list[Any]:
    converter = workflow.payload_converter()
    return [converter.from_payload(argument.payload) for argument in args[:1]]
