"""A saga in a workflow of one's own: what was done inside is undone when the block does not end well."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, overload

from temporalio import workflow

from .action import NAME_ATTRIBUTE, Action, read_action
from .book import Book
from .budget import Budget
from .caller import Call, Caller, as_json
from .catalog import DEFAULT_TIMEOUT, AgentEntry, Catalog
from .conversation import Assignment, Conversations, Outcome
from .effect import Effect
from .errors import DefinitionError, FailureType
from .failure import CallFailed, Failed, Failure, Stopped
from .lifecycle import CancelWatch, Lifecycle, failure_of, open_book, take_snapshot
from .marking import free_name, mark_as_task
from .model_calls import ModelCalls
from .progress import Progress, StepState
from .rollback import roll_back
from .scope import StopScope
from .snapshot import Question
from .spec import Validation
from .verdict import Subject
from .verification import Claim, Verification

T = TypeVar("T")

_SCOPE: ContextVar[StopScope | None] = ContextVar("counterstep_scope", default=None)


class Saga:
    """Undoes its calls when its block ends with an exception or a cancel.

    Use it as ``async with Saga() as saga:`` in a workflow of a worker that has the `CounterstepPlugin`. When
    the block ends well, everything stays. When it raises, or the workflow is cancelled, what still runs is
    waited for, every call is undone in reverse order, and the workflow fails as ``SagaRolledBack`` (or is
    Canceled).
    """

    def __init__(
        self,
        *,
        budget: Budget | None = None,
        goal: str = "",
        order: Literal["parallel", "sequential"] = "parallel",
    ) -> None:
        """Prepares a saga.

        Args:
            budget: The most it may spend on models.
            goal: What it is for; every model sees it.
            order: Undos side by side where nothing forbids it, or strictly one by one.
        """
        self._budget = budget
        self._goal = goal
        self._order = order
        self._scope = StopScope()
        self._running: dict[asyncio.Task[Any], str] = {}
        self._done: frozenset[str] = frozenset()
        self._abandoned: set[str] = set()

    async def __aenter__(self) -> Self:
        mark_as_task()
        name = workflow.info().workflow_type
        self._book: Book = open_book(name, self._goal, self._budget)
        snapshot = await take_snapshot(Question(), activity_id=free_name("resolve"))
        self._catalog: Catalog = snapshot.catalog
        root_key = workflow.info().first_execution_run_id
        timeouts = {e.name: e.timeout for e in self._catalog.compensations.values() if e.timeout}
        self._caller = Caller(self._book, root_key, timeouts)
        models = ModelCalls(self._book, self._caller)
        self._conversations = Conversations(self._book, self._caller, models, self._catalog, root_key)
        self._verification = Verification(self._book, self._caller, models, self._catalog)
        self._life = Lifecycle(self._book, search_attributes=snapshot.search_attributes)
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
        ending = await watch.outlast(self._end(error), lambda: None)
        if ending is not None:
            raise ending from ending.__cause__

    @overload
    async def call(self, action: Callable[..., Coroutine[Any, Any, T]], *args: Any, **kwargs: Any) -> T: ...
    @overload
    async def call(self, action: Callable[..., T], *args: Any, **kwargs: Any) -> T: ...
    @overload
    async def call(self, action: Any, *args: Any, **kwargs: Any) -> Any: ...
    async def call(
        self,
        action: Any,
        *args: Any,
        undo: Callable[..., Any] | str | None = None,
        effect: Effect | None = None,
        validate: Sequence[Any] = (),
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
            step: The step's id on the board; None for the action's name.
            **kwargs: For a bundle's tool or agent its arguments by name; for a plain activity the options of
                ``workflow.execute_activity``.

        Returns:
            The result, as the type that the action declares.

        Raises:
            ApplicationError: The call failed, or a verdict refused its result. It has been undone by then.
            DefinitionError: The arguments do not fit, or a plain activity says neither `undo` nor `effect`.
            asyncio.CancelledError: The workflow was cancelled; the call has ended.
        """
        found = read_action(action, self._catalog)
        name = free_name(step or found.name.rpartition(".")[2])
        checks = [_validation(item, self._catalog) for item in validate]
        scope = _SCOPE.get() or self._scope
        self._book.add_step(name, Progress(_kind(found), found.name))
        work: Coroutine[Any, Any, Any]
        if found.entry is not None:
            if undo is not None or effect is not None:
                raise DefinitionError(
                    f"{found.name} is registered in a bundle, which says its effect and undo"
                )
            work = self._registered(found, name, found.arguments(args, kwargs), checks, scope)
        else:
            work = self._plain(found, name, args, kwargs, _activity_type(undo), effect, checks, scope)
        return await self._tracked(work, name)

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

    # --- one call

    async def _tracked(self, work: Coroutine[Any, Any, Any], name: str) -> Any:
        """Runs a call in a task of its own, so that a cancel of the caller leaves its outcome known."""
        task = asyncio.create_task(work)
        self._running[task] = name
        try:
            result = await asyncio.shield(task)
        except asyncio.CancelledError:
            if workflow.cancellation_reason() is not None:
                self._scope.stop("the workflow was cancelled")
            if not task.done():
                self._abandoned.add(name)
            raise
        except Stopped as stopped:
            raise asyncio.CancelledError(str(stopped)) from None
        except Failed as failed:
            raise CallFailed(failed.failure) from failed.__cause__
        finally:
            if task.done():
                del self._running[task]
        if workflow.cancellation_reason() is not None:
            raise asyncio.CancelledError("the workflow was cancelled")
        return result

    async def _registered(
        self, action: Action, name: str, value: Any, checks: list[Validation], scope: StopScope
    ) -> Any:
        entry = action.entry
        assert entry is not None

        async def make() -> Outcome:
            if isinstance(entry, AgentEntry) and not entry.python:
                job = Assignment(name, name, 1, value, self._done, entry.compensate)
                return await self._conversations.run(entry, job, scope)
            by_name = not isinstance(entry, AgentEntry) or not entry.whole_input
            call = Call(
                step=name,
                path=name,
                activity=entry.name,
                args=(value,),
                effect=entry.effect,
                input=value if by_name else {entry.parameters[0]: value},
                compensation=entry.compensate,
                before=None if isinstance(entry, AgentEntry) else entry.before,
                depends_on=self._done,
                timeout=entry.timeout or DEFAULT_TIMEOUT,
                interruptible=entry.interruptible,
                summary=name,
            )
            return Outcome(output=as_json(await self._caller.call(call, scope)))

        outcome = await self._checked(name, action, value, entry.output_schema, checks, scope, make)
        return action.typed(outcome.output)

    async def _plain(
        self,
        action: Action,
        name: str,
        args: tuple[Any, ...],
        options: Mapping[str, Any],
        undo: str | None,
        effect: Effect | None,
        checks: list[Validation],
        scope: StopScope,
    ) -> Any:
        if undo is None and effect in (None, Effect.COMPENSATABLE):
            raise DefinitionError(f"{action.name}: say undo=..., or effect=Effect.READ_ONLY or another one")
        call = Call(
            step=name,
            path=name,
            activity=action.name,
            args=args,
            effect=effect or Effect.COMPENSATABLE,
            input=action.named(args),
            compensation=undo,
            depends_on=self._done,
            timeout=options.get("start_to_close_timeout", DEFAULT_TIMEOUT),
            task_queue=options.get("task_queue"),
            summary=name,
            options={key: value for key, value in options.items() if key != "activity_id"},
        )
        raw = None

        async def make() -> Outcome:
            nonlocal raw
            raw = await self._caller.call(call, scope)
            return Outcome(output=as_json(raw))

        await self._checked(name, action, call.input, {}, checks, scope, make)
        assert raw is not None
        return action.result(raw)

    async def _checked(
        self,
        name: str,
        action: Action,
        value: Any,
        schema: Mapping[str, Any],
        checks: list[Validation],
        scope: StopScope,
        make: Callable[[], Awaitable[Outcome]],
    ) -> Outcome:
        self._book.start_step(name)
        try:
            outcome = await make()
            await self._verification.verify(self._claim(name, action, value, schema, outcome), checks, scope)
        except Stopped as stopped:
            self._book.end_step(name, StepState.CANCELLED, error=stopped.failure.message)
            raise
        except Failed as failed:
            rejected = failed.failure.type == FailureType.REJECTED
            state = StepState.REJECTED if rejected else StepState.FAILED
            self._book.end_step(name, state, error=failed.failure.message)
            if not scope.stopped:
                await self._take_back(name, failed)
            raise
        self._done |= self._entries(name)
        self._book.end_step(name, StepState.COMPLETED, outcome.output)
        return outcome

    async def _take_back(self, name: str, failed: Failed) -> None:
        """Undoes a failed call at once: the workflow may catch the failure and go another way."""
        await roll_back(self._book, self._caller, str(failed.failure), within=self._entries(name))

    def _claim(
        self, name: str, action: Action, value: Any, schema: Mapping[str, Any], outcome: Outcome
    ) -> Claim:
        subject = Subject(
            task_id=self._book.task_id,
            goal=self._book.goal,
            step=name,
            author=action.name,
            input=value,
            output=outcome.output,
            evidence=tuple(outcome.evidence),
        )
        variables = {"task": {}, "facts": {}, "steps": {}, "output": outcome.output, "input": value}
        return Claim(name, name, 1, schema, subject, variables, frozenset(outcome.models))

    def _entries(self, name: str) -> frozenset[str]:
        return self._book.ledger.of(lambda entry: entry.step == name)

    # --- the end

    async def _end(self, error: BaseException | None) -> BaseException | None:
        """Returns what the block must raise, or None when it ended well."""
        if error is not None:
            self._scope.stop(str(error) or type(error).__name__)
        await self._drain()
        cancelled = workflow.cancellation_reason() is not None and (
            error is None or isinstance(error, asyncio.CancelledError)
        )
        if error is None and not cancelled:
            return await self._end_well()
        failure = _failure(error, cancelled)
        whole = await self._life.undo(self._caller, failure, sequential=self._order == "sequential")
        return self._life.ended(whole=whole, cancelled=cancelled, cause=error)

    async def _end_well(self) -> BaseException | None:
        """Keeps everything but what the workflow has turned its back on."""
        left = self._book.ledger.of(
            lambda entry: entry.step in self._abandoned or entry.step in self._unfinished()
        )
        if not await roll_back(self._book, self._caller, "the workflow went on without it", within=left):
            failure = Failure(step="", type="Abandoned", message="a call that was given up cannot be undone")
            await self._life.undo(self._caller, failure)
            return self._life.ended(whole=False, cancelled=False, cause=None)
        self._life.complete()
        return None

    def _unfinished(self) -> set[str]:
        return {name for name, step in self._book.steps.items() if step.state is not StepState.COMPLETED}

    async def _drain(self) -> None:
        while self._running:
            done, _ = await workflow.wait(list(self._running), return_when=asyncio.ALL_COMPLETED)
            for task in done:
                self._running.pop(task, None)
                if not task.cancelled():
                    task.exception()


def _failure(error: BaseException | None, cancelled: bool) -> Failure:
    if cancelled or error is None:
        return Failure(step="", type=FailureType.CANCELLED, message="the workflow was cancelled")
    return failure_of(error)


def _kind(action: Action) -> str:
    if action.entry is None:
        return "activity"
    return "agent" if isinstance(action.entry, AgentEntry) else "tool"


def _activity_type(undo: Callable[..., Any] | str | None) -> str | None:
    if undo is None or isinstance(undo, str):
        return undo
    return getattr(undo, NAME_ATTRIBUTE, None) or read_action(undo, Catalog()).name


def _validation(item: Any, catalog: Catalog) -> Validation:
    if isinstance(item, Validation):
        return item
    if isinstance(item, Mapping):
        return Validation.model_validate(item)
    name = getattr(item, NAME_ATTRIBUTE, item)
    if isinstance(name, str):
        return Validation(check=name) if name in catalog.validators else Validation(rule=name)
    raise DefinitionError(f"{item!r} is no validator of a bundle, no rule and no mapping")
