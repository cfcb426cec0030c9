"""Tells somebody outside that a task waits for people, by a webhook that never holds it up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final, Literal, TypeVar

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import FailureError

from ..history_format import NOTIFY
from ..record.task_record import TaskRecord
from ..temporal.task_marker import free_name

T = TypeVar("T")
NoticeType = Literal["task.waiting", "task.reminded", "task.answered"]

LINGER: Final = timedelta(seconds=5)
"""How long the end of a run waits for what is on its way; what is later then is lost."""

_TRIED_FOR: Final = timedelta(hours=1)
_ONE_TRY: Final = timedelta(seconds=15)
_RETRY: Final = RetryPolicy(
    initial_interval=timedelta(seconds=1), backoff_coefficient=2, maximum_interval=timedelta(minutes=1)
)
_MOST: Final = 50
"""Notices on their way at once; a receiver that is away for long gets no more than these."""
_TOLD = (
    "step",
    "entry",
    "kind",
    "ask",
    "actions",
    "update",
    "hash",
    "deadline",
    "default",
    "people",
    "roles",
)


class Notices:
    """What one run of a task tells a webhook; nothing where its snapshot has none."""

    def __init__(self, record: TaskRecord, *, enabled: bool) -> None:
        """Prepares for notices.

        Args:
            record: The task's record.
            enabled: Whether there is a webhook, as the task's snapshot says.
        """
        self._record = record
        self._enabled = enabled
        self._under_way: set[asyncio.Task[None]] = set()

    def tell(self, type_: NoticeType, question: Mapping[str, Any], **more: Any) -> None:
        """Begins to tell something about one question, and does not wait for it.

        Args:
            type_: What has happened.
            question: The question, as the board has it.
            **more: What else belongs to it.
        """
        if not self._enabled or len(self._under_way) >= _MOST:
            return
        info = workflow.info()
        data = {
            "namespace": info.namespace,
            "task_id": info.workflow_id,
            "run_id": info.run_id,
            "task": self._record.task,
            **{name: question[name] for name in _TOLD if name in question},
            **more,
        }
        notice = {"type": type_, "timestamp": workflow.now().isoformat(), "data": data}
        sending = asyncio.create_task(self._send(notice, free_name("notify")))
        self._under_way.add(sending)
        sending.add_done_callback(self._under_way.discard)

    async def after(self, work: Awaitable[T]) -> T:
        """Does some work to the end of a run, and waits a little for what is on its way then."""
        try:
            result = await work
        except Exception:
            await self.linger()
            raise
        await self.linger()
        return result

    async def linger(self) -> None:
        """Waits a little for what is on its way: the end of a run ends it."""
        if not self._under_way:
            return
        with suppress(TimeoutError):
            await workflow.wait_condition(
                lambda: not self._under_way, timeout=LINGER, timeout_summary="notices on their way"
            )

    async def _send(self, notice: Mapping[str, Any], activity_id: str) -> None:
        try:
            await workflow.execute_activity(
                NOTIFY,
                notice,
                activity_id=activity_id,
                start_to_close_timeout=_ONE_TRY,
                schedule_to_close_timeout=_TRIED_FOR,
                retry_policy=_RETRY,
                summary=str(notice["type"]),
            )
        except FailureError as error:
            self._record.log.add("counterstep", "nobody was told", "", f"{notice['type']}: {error}")
