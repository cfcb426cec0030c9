"""What the limits of the pool say to a task that begins."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio.exceptions import ApplicationError

from ..pool_limits.shared_limits import SharedLimits
from ..pool_limits.store import BACK_SOON, StoreUnreachable
from ..saga.errors import ExpressionError, FailureType

MOST_READ = 10_000
"""Bytes of what limits may read of a task: it goes along with every model call."""


async def begin(limits: SharedLimits, run_id: str, task: str, input: Any) -> dict[str, Any]:
    """Counts a task that begins, and finds what model calls have to tell of it.

    Args:
        limits: The limits.
        run_id: The run; asked again for it, it is not counted again.
        task: The name of the task.
        input: Its input.

    Returns:
        The fields ``limited`` or ``pool`` of its `Snapshot`.

    Raises:
        ApplicationError: A key cannot be evaluated, or reads too much.
    """
    part = limits.read_of(input)
    if len(json.dumps(part)) > MOST_READ:
        message = f"the keys of limits read more than {MOST_READ} bytes of the input of {task}"
        raise ApplicationError(message, type=FailureType.INVALID_INPUT, non_retryable=True)
    try:
        full = await limits.take_task(run_id, input)
    except ExpressionError as error:
        raise ApplicationError(str(error), type=FailureType.EXPRESSION, non_retryable=True) from None
    except StoreUnreachable:
        until = datetime.now(UTC) + timedelta(milliseconds=BACK_SOON)
        return {"limited": {"limit": limits.of_tasks[0].name, "until": until.isoformat()}}
    if full is None:
        return {"pool": {"task": part, "type": task}} if limits.of_calls else {}
    when = None if full.until is None else datetime.fromtimestamp(full.until / 1000, UTC).isoformat()
    return {"limited": {"limit": full.charge.limit, "until": when}}
