"""Runs undos in the order that the ledger allows, and waits for a person where one stays stuck."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta

from temporalio import workflow

from ..failure import Failed
from ..ledger.ledger import EntryState, Ledger
from ..people.notices import Notices
from ..people.step_question import stuck_question
from ..record.status import Status
from ..record.task_record import TaskRecord
from ..record.task_state import TaskState
from ..temporal.stop_scope import StopScope
from .caller import Caller

_ALIVE = frozenset({EntryState.STUCK, EntryState.UNDOING})


class Rollback:
    """Undoes what the ledger of one task lists, wholly or in part."""

    def __init__(
        self,
        record: TaskRecord,
        caller: Caller,
        status: Status,
        notices: Notices,
        *,
        sequential: bool = False,
        give_up: timedelta | None = None,
    ) -> None:
        """Prepares rollbacks.

        Args:
            record: The task's record.
            caller: Makes the calls.
            status: Shows that a person is needed.
            notices: Tells a webhook of it.
            sequential: Strictly one by one, newest start first; else side by side where the order allows it.
            give_up: How long a stuck undo waits for a person; None for as long as it takes.
        """
        self._record = record
        self._caller = caller
        self._status = status
        self._notices = notices
        self._sequential = sequential
        self._give_up = give_up

    async def run(
        self, reason: str, *, within: Iterable[str] | None = None, scope: StopScope | None = None
    ) -> bool:
        """Undoes entries of the ledger.

        An undo that has failed past its retries holds back only those ordered after it. When nothing else is
        left to do, the task needs attention until somebody says what becomes of it (the update ``resolve``).

        Args:
            reason: Why; every compensation is told.
            within: Only these entries; None for all.
            scope: Where it is stopped, nobody is waited for: the rollback of the whole task takes over.

        Returns:
            True when nothing is left to be undone; False when something stays stuck.
        """
        # What a step did before it is done again stands until it is known what that comes to.
        chosen = None if within is None else frozenset(within) - self._record.plans.spared
        with self._record.undos.rolling_back(chosen):
            return await self._run(reason, chosen, scope)

    async def _run(self, reason: str, chosen: frozenset[str] | None, scope: StopScope | None) -> bool:
        running: dict[asyncio.Task[None], str] = {}
        while True:
            room = max(self._caller.load.undos.most - len(running), 0)
            for entry_id in self._record.ledger.ready(within=chosen, sequential=self._sequential, most=room):
                entry = self._record.begin_undo(entry_id)
                running[asyncio.create_task(self._caller.undo(entry, reason))] = entry_id
            seen = self._record.ledger
            if running:
                await self._next_end(running, seen)
                self._note_ended(running)
            elif not seen.is_open(within=chosen):
                return True
            elif not await self._outlast_stuck(seen, scope):
                return False

    async def _next_end(self, running: Iterable[asyncio.Task[None]], seen: Ledger) -> None:
        await workflow.wait_condition(lambda: self._moved(seen) or any(task.done() for task in running))

    def _note_ended(self, running: dict[asyncio.Task[None], str]) -> None:
        for task in [task for task in running if task.done()]:
            entry_id = running.pop(task)
            try:
                task.result()
            except Failed as failed:
                self._record.fail_undo(entry_id, failed.failure.message)
                stuck = stuck_question(self._record.ledger[entry_id], workflow.now())
                self._notices.tell("task.waiting", stuck)
            else:
                self._record.finish_undo(entry_id)

    async def _outlast_stuck(self, seen: Ledger, scope: StopScope | None) -> bool:
        """Waits until the ledger moves; False where nobody is to be waited for any longer."""
        if not any(entry.state in _ALIVE for entry in seen) or (scope is not None and scope.stopped):
            return False
        stuck = [entry for entry in seen if entry.state is EntryState.STUCK]
        left = self._patience()
        if left is not None and left <= timedelta():
            return False
        step = stuck[0].step if stuck else ""
        if stuck:
            self._status.hold(TaskState.NEEDS_ATTENTION, step)
        with suppress(TimeoutError):
            await workflow.wait_condition(
                lambda: self._moved(seen) or (scope is not None and scope.stopped),
                timeout=left,
                timeout_summary="how long a stuck undo waits for a person",
            )
        if stuck:
            self._status.release(TaskState.NEEDS_ATTENTION, step)
        return True

    def _patience(self) -> timedelta | None:
        """Returns how much longer stuck undos wait for a person; None where there is no limit."""
        stuck = self._record.undos.stuck(self._record.ledger)
        since = max((since for _, since in stuck), default=None)
        if self._give_up is None or since is None:
            return None
        return since + self._give_up - workflow.now()

    def _moved(self, seen: Ledger) -> bool:
        return self._record.ledger is not seen
