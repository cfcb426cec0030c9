"""Updates that arrive before their task has opened its book: they wait for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from temporalio import workflow
from temporalio.common import RawValue

from .messages import refused
from .names import nearest

UPDATES = ("decide", "amend", "resolve")


def check_early(name: str, args: Sequence[RawValue]) -> None:
    """Refuses what no task serves.

    Raises:
        ApplicationError: There is no such update (type ``Refused``).
    """
    if name not in UPDATES:
        raise refused(f"a task has no update {name!r}{nearest(name, UPDATES)}")


async def answer_early(name: str, args: Sequence[RawValue]) -> Any:
    """Waits until the task serves the update, and has it answered.

    The validators of updates run before they are in history, and these are there already: what the handler
    itself refuses is the answer.
    """
    await workflow.wait_condition(lambda: workflow.get_update_handler(name) is not None)
    handler = workflow.get_update_handler(name)
    assert handler is not None
    converter = workflow.payload_converter()
    return await handler(*(converter.from_payload(argument.payload) for argument in args[:1]))
