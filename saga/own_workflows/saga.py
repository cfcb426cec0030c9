"""A saga in a workflow of one's own: what was done inside is undone when the block does not end well."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, cast, overload

from temporalio import workflow

from ..effect import Effect
from ..engine.lifecycle import Lifecycle
from ..engine.opening import open_record, take_snapshot
from ..engine.run_context import OPENING, RunContext
from ..errors import DefinitionError
from ..limits.budget import Budget
from ..limits.limit_policies import OnLimit
from ..record.task_record import TaskRecord
from ..record.task_state import ENDED
from ..spec.approval import Asking
from ..spec.retry import Retry
from ..spec.snapshot import SnapshotRequest
from ..spec.waiting import Approve, Wait
from ..temporal.cancel_watch import CancelWatch
from ..temporal.stop_scope import StopScope
from ..temporal.task_marker import free_name, mark_as_task
from .agent_calls import AgentCalls
from .call_target import Answering, read_action, undo_type, validation_of
from .one_at_a_time import expect_no_other
from .running_calls import RunningCalls
from .saga_calls import SagaCalls
from .saga_end import SagaEnd
from .saga_plan import PlanTerms, SagaPlan, operations_in, step_of
from .saga_undos import SagaUndos
from .saga_waits import Decision, SagaWaits, said
from .side_by_side import SCOPE, side_by_side
from .tries import tries_of

T = TypeVar("T")


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
        on_limit: OnLimit | None = None,
    ) -> None:
        """Prepares a saga.

        Args:
            budget: The most it may spend on models.
            goal: What it is for; every model sees it.
            order: Undos side by side where nothing forbids it, or strictly one by one.
            give_up: How long an undo that stays stuck waits for a person (the update ``resolve``) before the
                workflow fails as ``SagaRollbackIncomplete``; None for as long as it takes.
            on_limit: What follows when a limit is reached, see `Agent`; None to fail.
        """
        self._budget, self._goal, self._order = budget, goal, order
        self._give_up, self._on_limit = give_up, on_limit
        self._scope = StopScope()
        self._agent_calls: AgentCalls | None = None

    async def __aenter__(self) -> Self:
        mark_as_task()
        opening = OPENING.get()
        opening = [] if opening is None else opening
        expect_no_other(opening)
        opening.append(self)
        try:
            await self._open()
        finally:
            opening.remove(self)
        self._calls = SagaCalls(self._context)
        self._waits = SagaWaits(self._context)
        self._undos = SagaUndos(self._context, self._calls)
        self._running = RunningCalls(self._context, self._calls, self._scope)
        self._agent_calls = AgentCalls(self._context, self._calls, self._running, self._current)
        life = Lifecycle(self._context)
        life.begin()
        self._end = SagaEnd(self._context, self._calls, self._running, life, self._scope)
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
        ending = await watch.outlast(self._context.notices.after(self._end.reach(error)), lambda: None)
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
        timeout: timedelta | str | Mapping[str, Any] | None = None,
        step: str | None = None,
        tools: Sequence[Any] | None = None,
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
            timeout: The longest one attempt (of a model agent, one request) may take: ``"30s"``, ``"p95"``.
            step: The step's id on the board; None for the action's name.
            tools: For a model agent: which of its tools it may call; None for all. Else an argument by name.
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
        found, kwargs = read_action(action, self._context.catalog).with_tools(tools, kwargs)
        name = free_name(step or found.name.rpartition(".")[2])
        checks = [validation_of(item, self._context.catalog) for item in validate]
        tries = await self._calls.begin(tries_of(retry, timeout), found, name)
        scope = self._running.scope_in(self._current())
        self._calls.guard(name, found.effect(effect))
        self._calls.add(name, found)
        if found.entry is not None:
            if undo is not None or effect is not None:
                raise DefinitionError(f"{found.name} comes from a bundle, which says its effect and undo")
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

    async def plan(
        self,
        planner: Any,
        *args: Any,
        tools: Sequence[Any],
        step: str = "ops",
        keep: Literal["same", "closure"] = "same",
        max_parallel: int | None = None,
        **kwargs: Any,
    ) -> SagaPlan:
        """Has an agent plan, and does what it has planned: operations that have names, and an order.

        Called once more with the same `step`, it changes that plan, as `SagaPlan.amend` does.

        Args:
            planner: An agent that answers with a list of `Operation`, or an object with ``operations``.
            *args: Its arguments.
            tools: What an operation may call: tools of a bundle and agents in Python, or their names.
            step: What the plan is called; its operations are the steps ``STEP[ID]``.
            keep: What a changed plan leaves untouched, as in a spec.
            max_parallel: How many operations run at once, at most.
            **kwargs: The planner's arguments by name.

        Returns:
            The plan, every operation of which is done.

        Raises:
            ApplicationError: The plan cannot be run (type ``Rejected``), and nothing of it has; or an
                operation failed and is undone, and those done before it stand.
            DefinitionError: The arguments do not fit.
            asyncio.CancelledError: The workflow was cancelled.
        """
        terms = PlanTerms.read(self._context.catalog, tools, step, keep, max_parallel)
        made = await self.call(planner, *args, **kwargs)
        plan = SagaPlan(self._context, self._calls, self._running, self._current, terms)
        await plan.amend(operations_in(made))
        return plan

    async def undo(self, step: str) -> list[str]:
        """Undoes a call that has ended, and before it all calls that came later and so may build on it.

        Args:
            step: The step's id; of an operation of a plan, its own. A plan that runs comes to its end first.

        Returns:
            The steps that are undone, in the order in which that was done; none where nothing stood.

        Raises:
            ApplicationError: An undo stays stuck, and nobody has resolved it in time (type ``Abandoned``).
            DefinitionError: There is no such step, or it is past the point of no return.
            asyncio.CancelledError: The workflow was cancelled.
        """
        step = step_of(self._record, step)
        self._undos.check(step)
        scope = self._running.scope_in(self._current())
        return cast(list[str], await self._running.run(self._undos.undo(step, scope), "", scope))

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
        return await side_by_side(calls, StopScope(self._current()))

    def _current(self) -> StopScope:
        """Returns what begins now belongs to: the whole saga, or the part of it that the caller runs in."""
        return SCOPE.get() or self._scope

    async def _open(self) -> None:
        self._record: TaskRecord = open_record(workflow.info().workflow_type, self._goal, self._budget)
        self._record.policies.say("", self._on_limit)
        asked = SnapshotRequest(appraise=self._budget is not None and self._budget.prices_matter)
        snapshot = await take_snapshot(asked, activity_id=free_name("resolve"))
        self._context = RunContext.assemble(
            self._record, snapshot, sequential=self._order == "sequential", give_up=self._give_up
        )

    async def _waited(self, step: str, make: Callable[[str, StopScope], Coroutine[Any, Any, T]]) -> T:
        name = free_name(step)
        scope = self._running.scope_in(self._current())
        return cast(T, await self._running.run(make(name, scope), name, scope))

    def made_by_agents(self) -> AgentCalls:
        """Returns what makes the calls of agents of frameworks; the adapters ask for it.

        Raises:
            DefinitionError: The saga is not open, or has ended.
        """
        if self._agent_calls is None or self._record.state in ENDED:
            raise DefinitionError(
                "the saga is not open: give agents its tools inside of `async with Saga() as saga:`"
            )
        return self._agent_calls
