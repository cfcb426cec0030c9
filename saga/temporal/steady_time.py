"""A time that local activities do not move."""

from __future__ import annotations

import asyncio

from temporalio import workflow

_NAME = "__counterstep_steady_time__"


def keep_time(loop: object, seconds: float) -> None:
    """Notes when the events have happened of which a workflow is told; `loop` is its instance of the SDK."""
    setattr(loop, _NAME, seconds)


def steady_time() -> float:
    """Returns the time of the last events of which the workflow was told, in seconds.

    The SDK also moves the time of a workflow on by what a local activity takes; live it may not do so where a
    replay does. Outside of any workflow, where what is thrown away may come to its end, it is 0.
    """
    if not workflow.in_workflow():
        return 0.0
    kept: float | None = getattr(asyncio.get_running_loop(), _NAME, None)
    return workflow.time() if kept is None else kept
