"""Updates that arrive before their task has opened its record: they wait for that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from temporalio import workflow
from temporalio.common import RawValue

from ..names import nearest
from .signatures import check_signature
from .updates import Amend, Decide, Resolve, read_message, refused

_KINDS: Mapping[str, type[Decide] | type[Amend] | type[Resolve]] = {
    "decide": Decide,
    "amend": Amend,
    "resolve": Resolve,
}
UPDATES = tuple(_KINDS)


def check_early(name: str, args: Sequence[RawValue]) -> None:
    """Refuses what no task serves, what nobody can read, and what is not signed where it has to be.

    Raises:
        ApplicationError: There is no such update, its argument has another shape, or its token proves nothing
            (type ``Refused``).
    """
    if name not in UPDATES:
        raise refused(f"a task has no update {name!r}{nearest(name, UPDATES)}")
    try:
        argument = _read(args)
    except Exception as error:
        raise refused(f"the argument cannot be read: {error}") from None
    check_signature(read_message(_KINDS[name], argument[0] if argument else None))


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
