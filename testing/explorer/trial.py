"""One run of a task with one fault, watched from outside until its end."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

from temporalio.client import (
    Client,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.service import RPCError

from ...client.start_once import AGENT_TASK, spec_document
from ...saga.record.search_attributes import SAGA_STATE
from ...saga.spec.task_spec import TaskSpec
from .compensation_contract import Effects
from .effect_ledger import EffectLedger, Visit
from .fault import FaultKind, PlannedFault, Role
from .quick_calls import CALL_LIMIT, LATE, quick_spec

_POLL_SECONDS: Final = 0.03
_WORKFLOW_TASK: Final = timedelta(seconds=2)
"""How long the server waits for a worker that was killed in the middle of a workflow task."""


@dataclass(frozen=True)
class Trial:
    """The result of one run.

    Attributes:
        run: The workflow id.
        fault: What was broken, or None.
        state: The task's state on its board; ``running`` if it had not ended in time.
        board: The board after the end; empty if no worker answered.
        visits: What its calls and undos did.
        by_hand: The ids of ledger entries whose undo the explorer has declared to be done by hand.
        before: The effects that stood in the user's system before the run, with their counts; empty if that
            is unknown.
        after: The effects that stand now.
        asked: Whether the user's system was asked.
    """

    run: str
    fault: PlannedFault | None
    state: str
    board: dict[str, Any]
    visits: list[Visit]
    by_hand: frozenset[str] = frozenset()
    before: Counter[str] = field(default_factory=Counter)
    after: Counter[str] = field(default_factory=Counter)
    asked: bool = False

    @property
    def was_broken(self) -> bool:
        """Whether the planned fault really happened."""
        return self.fault is None or any(visit.faulty for visit in self.visits)


@dataclass(frozen=True)
class Bench:
    """Everything that a trial needs.

    Attributes:
        client: A client of the explorer's own server.
        ledger: The file that the workers write.
        input: The task's input.
        effects: Returns the effects that stand in the user's system; may be None.
        prepare: Is called with the id of each run before it starts; may be None.
        limit: How long one run may take before it counts as stuck.
    """

    client: Client
    ledger: EffectLedger
    input: Any
    effects: Effects | None = None
    prepare: Callable[[str], Any] | None = None
    limit: timedelta = timedelta(seconds=60)

    async def run(
        self, spec: TaskSpec, task_queue: str, fault: PlannedFault | None = None, *, fails_late: bool = False
    ) -> Trial:
        """Runs the task once.

        Args:
            spec: The user's spec; it is run at the explorer's pace.
            task_queue: The queue of the workers.
            fault: What to break, or None.
            fails_late: Whether to roll the task back when all its steps are done.

        Returns:
            The result of the run.
        """
        run = f"explore-{uuid4().hex[:16]}"
        if self.prepare is not None:
            await asyncio.to_thread(self.prepare, run)
        before = await self._standing(run)
        if fault is not None:
            self.ledger.plan(run, fault)
        document = spec_document(quick_spec(spec, fails_late=fails_late))
        handle = await self.client.start_workflow(
            AGENT_TASK,
            {"spec": document, "input": self.input},
            id=run,
            task_queue=task_queue,
            task_timeout=_WORKFLOW_TASK,
        )
        watch = _TrialWatch(self.client, handle, self.ledger, fault)
        state = "running"
        try:
            async with asyncio.timeout(self.limit.total_seconds()):
                state = await watch.until_end()
                board = await _board(handle)
                await self._until_quiet(run, fault)
        except TimeoutError:
            with suppress(RPCError):
                await handle.terminate("the fault explorer has waited long enough")
            board = {}
        return Trial(
            run=run,
            fault=fault,
            state=board.get("state", state),
            board=board,
            visits=self.ledger.visits(run),
            by_hand=frozenset(watch.by_hand),
            before=before,
            after=await self._standing(run),
            asked=self.effects is not None,
        )

    async def _standing(self, run: str) -> Counter[str]:
        if self.effects is None:
            return Counter()
        return Counter(await asyncio.to_thread(lambda: list(self.effects(run)) if self.effects else []))

    async def _until_quiet(self, run: str, fault: PlannedFault | None) -> None:
        """Waits for calls that may land after the task has ended, so that they are noticed as faults."""
        end = time.monotonic() + (CALL_LIMIT + LATE).total_seconds() + 1
        while time.monotonic() < end:
            visits = self.ledger.visits(run)
            dead = {v.pid for v in visits if v.faulty} if fault is not None and fault.kind.kills else set()
            # Only a call that hangs can land late; an attempt that was broken in another way has ended.
            hangs = fault is not None and fault.kind is FaultKind.HANG
            pending = [v for v in visits if v.ended is None and v.role is not Role.READ and v.pid not in dead]
            if not any(hangs or not visit.faulty for visit in pending):
                return
            await asyncio.sleep(_POLL_SECONDS)


class _TrialWatch:
    """Does what a run needs from outside: it cancels the task, and answers in place of people."""

    def __init__(
        self,
        client: Client,
        handle: WorkflowHandle[Any, Any],
        ledger: EffectLedger,
        fault: PlannedFault | None,
    ) -> None:
        self._client = client
        self.by_hand: set[str] = set()
        self._handle = handle
        self._ledger = ledger
        self._fault = fault

    async def until_end(self) -> str:
        """Returns ``completed``, or ``failed`` for any other end."""
        ended = asyncio.create_task(self._end())
        helpers: list[asyncio.Task[Any]] = [asyncio.create_task(self._answer_questions())]
        if self._fault is not None and self._fault.kind is FaultKind.CANCEL:
            helpers.append(asyncio.create_task(self._cancel_at_gate()))
        try:
            waiting: set[asyncio.Task[Any]] = {ended, *helpers}
            while not ended.done():
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            return ended.result()
        finally:
            for task in (ended, *helpers):
                task.cancel()
            await asyncio.gather(ended, *helpers, return_exceptions=True)

    async def _end(self) -> str:
        try:
            await self._handle.result()
        except WorkflowFailureError:
            return "failed"
        return "completed"

    async def _cancel_at_gate(self) -> None:
        while self._ledger.gate(self._handle.id) is None:  # noqa: ASYNC110 (it is another process)
            await asyncio.sleep(_POLL_SECONDS)
        length = (await self._handle.describe()).history_length
        await self._handle.cancel()
        for _ in range(30):
            description = await self._handle.describe()
            # The request, and a workflow task that has dealt with it.
            if description.history_length >= length + 4 or description.close_time is not None:
                break
            await asyncio.sleep(_POLL_SECONDS)
        self._ledger.open_gate(self._handle.id)

    async def _answer_questions(self) -> None:
        """Answers in place of people as long as the task runs."""
        pause = 0.1 if self._fault is not None and self._fault.kind is FaultKind.FAIL_EVER else 0.5
        while True:
            await asyncio.sleep(pause)
            description = await self._handle.describe()
            if description.status is not WorkflowExecutionStatus.RUNNING:
                return
            if description.typed_search_attributes.get(SAGA_STATE) not in ("needs_attention", "waiting"):
                continue
            board = await _board(self._handle)
            for entry in board.get("ledger", ()):
                if entry["state"] == "stuck":
                    await self._say_done(entry["id"])
            for question in board.get("waiting_for") or ():
                task = question.get("task", self._handle.id)  # or a child
                if question["kind"] == "pivot":
                    await self._say_whether_applied(task, question["step"])
                elif question["update"] == "decide":
                    action = _choose(question["actions"])
                    with suppress(WorkflowUpdateFailedError):
                        shown = {"hash": question["hash"]} if "hash" in question else {}
                        # Where several people have to say the same, each of them says it.
                        shown["by"] = f"fault explorer {len(question.get('said', ())) + 1}"
                        await self._answer("decide", task, question["step"], action, **shown)

    async def _say_done(self, entry: str) -> None:
        self.by_hand.add(entry)
        try:
            await self._answer("resolve", self._handle.id, entry, "done")
        except WorkflowUpdateFailedError:
            self.by_hand.discard(entry)

    async def _say_whether_applied(self, task: str, step: str) -> None:
        """Says whether a pivot was applied, from the effect ledger, once its attempts are over."""
        visits = [v for v in self._ledger.visits(self._handle.id) if v.step == step and v.role is Role.EFFECT]
        hangs = self._fault is not None and self._fault.kind is FaultKind.HANG
        if hangs and any(visit.ended is None for visit in visits):
            return  # it is asked again
        applied = [visit for visit in visits if visit.outcome == "done"]
        outputs = [visit.output for visit in applied if visit.output is not None]
        answer = {"value": outputs[-1]} if outputs else {}
        with suppress(WorkflowUpdateFailedError):
            await self._answer("resolve", task, step, "applied" if applied else "not_applied", **answer)

    async def _answer(self, update: str, task: str, step: str, action: str, **more: Any) -> None:
        """Sends an update; it does not matter if the task ends before it has answered."""
        message = {"step": step, "action": action, "by": "fault explorer", "note": "explored", **more}
        with suppress(WorkflowUpdateRPCTimeoutOrCancelledError, RPCError):
            await self._client.get_workflow_handle(task).execute_update(update, message)


def _choose(actions: Sequence[str]) -> str:
    """Chooses to undo if that is possible, and otherwise to go on."""
    wanted = [action for action in ("rollback", "skip") if action in actions]
    return (wanted or [action for action in actions if action != "reject"])[0]


async def _board(handle: WorkflowHandle[Any, Any]) -> dict[str, Any]:
    """Asks for the board, even if the worker was killed a moment ago."""
    for _ in range(5):
        try:
            board: dict[str, Any] = await handle.query("board", rpc_timeout=timedelta(seconds=5))
        except (RPCError, WorkflowQueryFailedError):
            await asyncio.sleep(0.2)
        else:
            return board
    return {}
