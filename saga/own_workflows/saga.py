"""A saga in a workflow of one's own: what was done inside is undone when the block does not end well."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextvars import ContextVar
from datetime import timedelta
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, cast, overload

from temporalio import workflow

from ..effect import Effect
from ..engine.lifecycle import Lifecycle, failure_of
from ..engine.opening import open_record, take_snapshot
from ..engine.run_context import OPENED, OPENING, RunContext
from ..errors import DefinitionError, FailureType
from ..failure import Failure
from ..limits.budget import Budget
from ..record.task_record import TaskRecord
from ..record.task_state import ENDED
from ..spec.approval import Asking
from ..spec.retry import Retry
from ..spec.snapshot import SnapshotRequest
from ..spec.waiting import Approve, Wait
from ..temporal.cancel_watch import CancelWatch
from ..temporal.stop_scope import StopScope
from ..temporal.task_marker import free_name, mark_as_task
from .call_target import Answering, CallTarget, read_action, undo_type, validation_of
from .running_calls import GIVEN_UP, RunningCalls, is_cancelled
from .saga_calls import SagaCalls
from .saga_waits import Decision, SagaWaits, said
from .tries import tries_of

T = TypeVar("T")

_SCOPE: ContextVar[StopScope | None] = ContextVar("counterstep_scope", default=None)


class Saga:
    """Undoes its calls when its block ends with an exception or a cancel.

    Use it as ``async with Saga() as saga:`` in a workflow of a worker that has the `CounterstepPlugin`. When
    the block ends well, everything stays. When it raises, or the workflow is cancelled, what still runs is
    waited for, every call is undone in reverse order, and the workflow fails as ``SagaRolledBack`` (or is
    Canceled). A workflow has one open saga at a time (``DefinitionError`` otherwise).
    """

    def __init__(
        self,
        *,
        budget: Budget | None = None,
        goal: str = "",
        order: Literal["parallel", "sequential"] = "parallel",
        give_up: timedelta | None = None,
    ) -> None:
        """Prepares a saga.

        Args:
            budget: The most it may spend on models.
            goal: What it is for; every model sees it.
            order: Undos side by side where nothing forbids it, or strictly one by one.
            give_up: How long an undo that stays stuck waits for a person (the update ``resolve``) before the
                workflow fails as ``SagaRollbackIncomplete``; None for as long as it takes.
        """
        self._budget = budget
        self._goal = goal
        self._order = order
        self._give_up = give_up
        self._scope = StopScope()

    async def __aenter__(self) -> Self:
        mark_as_task()
        opening = OPENING.get()
        opening = [] if opening is None else opening
        self._expect_no_other(opening)
        opening.append(self)
        try:
            await self._open()
        finally:
            opening.remove(self)
        self._calls = SagaCalls(self._context)
        self._waits = SagaWaits(self._context)
        self._running = RunningCalls(self._context, self._calls, self._scope)
        self._life = Lifecycle(self._context)
        self._life.begin()
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, workflow.NondeterminismError | GeneratorExit):
            return
        watch = CancelWatch()
        watch.requested = workflow.cancellation_reason() is not None
        ending = await watch.outlast(self._context.notices.after(self._end(error)), lambda: None)
        if ending is not None:
            raise ending from ending.__cause__

    @overload
    async def call(self, action: Callable[..., Coroutine[Any, Any, T]], *args: Any, **kwargs: Any) -> T: ...
    @overload
    async def call(self, action: Callable[..., T], *args: Any, **kwargs: Any) -> T: ...
    @overload
    async def call(self, action: Answering[T], *args: Any, **kwargs: Any) -> T: ...
    @overload
    async def call(self, action: Any, *args: Any, **kwargs: Any) -> Any: ...
    async def call(
        self,
        action: Any,
        *args: Any,
        undo: Callable[..., Any] | str | None = None,
        effect: Effect | None = None,
        validate: Sequence[Any] = (),
        retry: Retry | Mapping[str, Any] | None = None,
        timeout: timedelta | str | None = None,
        step: str | None = None,
        **kwargs: Any,
    ) -> Any:
        """Makes one call; its undo is recorded before it starts.

        Args:
            action: A tool or agent of a bundle, or any activity: the function, the `Agent`, or its name.
            *args: The call's arguments.
            undo: For a plain activity: the activity that undoes it; it is given an `Undo`.
            effect: For a plain activity without `undo`: what it does to the world.
            validate: Checks of the result: validators of a bundle, CEL rules, or mappings as in a spec.
            retry: How often and how fast it is tried, as in a spec, e.g. ``{"attempts": 2}``.
            timeout: The longest one attempt may take, e.g. ``"30s"``; of a model agent, one model call.
            step: The step's id on the board; None for the action's name.
            **kwargs: For a bundle's tool or agent its arguments by name (by position those that are named
                like one of the above); for a plain activity the options of ``workflow.execute_activity``.

        Returns:
            The result, as the type that the action declares.

        Raises:
            ApplicationError: The call failed, or a verdict refused its result. It has been undone by then.
            DefinitionError: The arguments do not fit, or a plain activity says neither `undo` nor `effect`.
            asyncio.CancelledError: The workflow was cancelled; the call has ended. Where your own code has
                cancelled it (``asyncio.timeout``), an interruptible call is undone by then, any other one
                once it has ended.
        """
        found = read_action(action, self._context.catalog)
        name = free_name(step or found.name.rpartition(".")[2])
        checks = [validation_of(item, self._context.catalog) for item in validate]
        tries = tries_of(retry, timeout)
        scope = self._running.scope_in(_SCOPE.get() or self._scope)
        self._calls.guard(name, _effect_of(found, effect))
        self._calls.add(name, found)
        work: Coroutine[Any, Any, Any]
        if found.entry is not None:
            if undo is not None or effect is not None:
                raise DefinitionError(
                    f"{found.name} is registered in a bundle, which says its effect and undo"
                )
            value = found.arguments(args, kwargs, engine=self._context.engine)
            work = self._calls.registered(found, name, value, checks, scope, tries)
        else:
            options = tries.with_options(found.name, kwargs)
            work = self._calls.plain(found, name, args, options, undo_type(undo), effect, checks, scope)
        interruptible = found.entry is not None and found.entry.interruptible
        return await self._running.run(work, name, scope, interruptible=interruptible)

    async def approve(
        self,
        ask: str,
        *,
        show: Any = None,
        choices: Sequence[str] = (),
        deadline: timedelta | str | None = None,
        default: str | None = None,
        asking: Asking | None = None,
        step: str = "approve",
    ) -> Decision:
        """Waits for a person, who answers by the update ``decide`` (``counterstep approve ID STEP``).

        Meanwhile the workflow is ``waiting``: on the board, and as the search attribute ``SagaState``.

        Args:
            ask: The question.
            show: What the person is to look at, and may edit; it has to become JSON.
            choices: The possible answers, if not ``approve``, ``reject`` and ``edit``; ``reject`` rejects.
            deadline: How long to wait at most, e.g. ``"1d"``.
            default: The answer that counts after that; ``reject`` if not said.
            asking: Who is asked, and when they are reminded; None for anybody.
            step: The step's id, which the answer names.

        Returns:
            What was decided.

        Raises:
            ApplicationError: The answer is ``reject`` (type ``Rejected``).
            DefinitionError: The arguments do not fit together.
            asyncio.CancelledError: The workflow was cancelled.
        """
        own = {"ask": ask, "choices": choices or None, "deadline": deadline, "default": default}
        keys = said(Approve, **{**dict(asking or ()), **{name: own[name] for name in own if own[name]}})
        return await self._waited(step, lambda name, scope: self._waits.approve(name, keys, show, scope))

    @overload
    async def wait(
        self,
        *,
        event: str,
        where: str | None = None,
        deadline: timedelta | str | None = None,
        step: str | None = None,
    ) -> Any: ...
    @overload
    async def wait(self, *, time: timedelta | str, step: str | None = None) -> None: ...
    async def wait(
        self,
        *,
        event: str | None = None,
        where: str | None = None,
        deadline: timedelta | str | None = None,
        time: timedelta | str | None = None,
        step: str | None = None,
    ) -> Any:
        """Waits for an event (the signal ``event``, also one that has come before), or for a while.

        Args:
            event: The event's name.
            where: A condition on it (CEL), which reads its payload as ``event``.
            deadline: How long to wait for it at most, e.g. ``"1h"``.
            time: How long to wait.
            step: The step's id on the board; None for ``wait``.

        Returns:
            The event's payload; None after a while.

        Raises:
            ApplicationError: The event has not come in time (type ``Timeout``).
            DefinitionError: The arguments do not fit together.
            asyncio.CancelledError: The workflow was cancelled.
        """
        keys = said(Wait, event=event, where=where, deadline=deadline, time=time)
        return await self._waited(step or "wait", lambda name, scope: self._waits.wait(name, keys, scope))

    async def undo(self, step: str) -> list[str]:
        """Undoes a call that has ended, and before it all calls that came later and so may build on it.

        Args:
            step: The step's id.

        Returns:
            The steps that are undone, in the order in which that was done; none where nothing stood.

        Raises:
            ApplicationError: An undo stays stuck, and nobody has resolved it in time (type ``Abandoned``).
            DefinitionError: There is no such step, or it is past the point of no return.
            asyncio.CancelledError: The workflow was cancelled.
        """
        self._calls.check_undo(step)
        scope = self._running.scope_in(_SCOPE.get() or self._scope)
        return cast(list[str], await self._running.run(self._calls.undo(step, scope), "", scope))

    async def gather(self, *calls: Awaitable[Any]) -> list[Any]:
        """Awaits calls side by side.

        Args:
            *calls: What ``saga.call(...)`` returned, or other awaitables.

        Returns:
            The results in order.

        Raises:
            BaseException: The first failure; the other calls have ended by then (those that change nothing
                were cancelled).
        """
        scope = StopScope(_SCOPE.get() or self._scope)
        token = _SCOPE.set(scope)
        try:
            tasks: list[asyncio.Future[Any]] = [asyncio.ensure_future(call) for call in calls]
        finally:
            _SCOPE.reset(token)
        waiting = list(tasks)
        first: BaseException | None = None
        while waiting:
            try:
                done, waiting = await workflow.wait(waiting, return_when=asyncio.FIRST_EXCEPTION)
            except asyncio.CancelledError:
                for task in tasks:
                    task.cancel()
                raise
            for task in done:
                error = asyncio.CancelledError() if task.cancelled() else task.exception()
                if error is not None and first is None:
                    first = error
                    scope.stop(str(error))
        if first is not None:
            raise first
        return [task.result() for task in tasks]

    async def _open(self) -> None:
        name = workflow.info().workflow_type
        self._record: TaskRecord = open_record(name, self._goal, self._budget)
        snapshot = await take_snapshot(SnapshotRequest(), activity_id=free_name("resolve"))
        self._context = RunContext.assemble(
            self._record, snapshot, sequential=self._order == "sequential", give_up=self._give_up
        )

    @staticmethod
    def _expect_no_other(opening: Sequence[object]) -> None:
        """Refuses a saga while another one is open: only one can answer the workflow's updates."""
        if opening or any(context.record.state not in ENDED for context in OPENED.get() or []):
            raise DefinitionError(
                "a saga is open in this workflow already: make the calls with that; another may be opened "
                "once it has ended, or in a child workflow"
            )

    async def _waited(self, step: str, make: Callable[[str, StopScope], Coroutine[Any, Any, T]]) -> T:
        name = free_name(step)
        scope = self._running.scope_in(_SCOPE.get() or self._scope)
        return cast(T, await self._running.run(make(name, scope), name, scope))

    # --- the end

    async def _end(self, error: BaseException | None) -> BaseException | None:
        """Returns what the block must raise, or None when it ended well."""
        if error is not None:
            self._scope.stop(str(error) or type(error).__name__)
        await self._running.drain()
        failure = None if error is None else failure_of(error)
        if error is None and (self._record.committed or not is_cancelled()):
            # What the workflow has turned its back on is undone; the rest stays.
            left = self._calls.left_behind()
            if not await self._context.rollback.run(GIVEN_UP, within=left):
                message = "a call that was given up stays"
                failure = Failure(step="", type=FailureType.ABANDONED, message=message)
            elif self._record.committed or not is_cancelled():
                self._life.complete()
                return None
        cancelled = is_cancelled() and (failure is None or isinstance(error, asyncio.CancelledError))
        if cancelled or failure is None:
            failure = Failure(step="", type=FailureType.CANCELLED, message="the workflow was cancelled")
        if self._record.committed:
            self._record.blame(failure)
            return self._life.ended(cancelled=False, cause=error)
        await self._life.undo(failure)
        return self._life.ended(cancelled=cancelled, cause=error)


def _effect_of(action: CallTarget, effect: Effect | None) -> Effect:
    return action.entry.effect if action.entry is not None else effect or Effect.COMPENSATABLE
