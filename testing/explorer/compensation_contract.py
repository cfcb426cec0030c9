"""Checks that compensations are safe with nothing to undo, when run twice, and when run before the call."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final
from uuid import uuid4

from pydantic import BaseModel, ConfigDict
from temporalio.testing import ActivityEnvironment

from ...activities.mcp_activities import mcp_activities
from ...bundle.current_step import CURRENT_STEP, CurrentStep
from ...bundle.execution import execute
from ...bundle.function import Function
from ...bundle.registry import Registry
from ...compensations.mcp_compensations import mcp_compensations
from ...mcp_client.offer import ForeignCall
from ...mcp_client.requests import ServerRequests
from ...saga.calls.timeouts_and_retries import DEFAULT_TIMEOUT
from ...saga.temporal.sdk_internals import activity_type

Call = Callable[[dict[str, Any]], Awaitable[Any]]
"""Calls an activity with its argument: those of a tool by name, or an `Undo`."""

Effects = Callable[[str], Iterable[str]]
"""Tells which effects of a task stand; see `explore`."""

_REASON: Final = "the fault explorer checks the contract of this compensation"


class Case(BaseModel):
    """One compensation with a call that it undoes, as a clean run has recorded it.

    Attributes:
        call: The activity type of the call.
        compensation: The activity type of its undo.
        step: The id of the step.
        arguments: The call's arguments, by name.
        reads: The tool that reads what the undo puts back, or None.
    """

    model_config = ConfigDict(frozen=True)

    call: str
    compensation: str
    step: str
    arguments: dict[str, Any]
    reads: str | None = None


class Finding(BaseModel):
    """What is wrong with one compensation, or may be.

    Attributes:
        compensation: Its name.
        call: The call that it undoes.
        rule: Which part of the contract: ``nothing to undo``, ``twice``, ``undo first`` or ``repeated call``.
        certain: False for a warning: the explorer cannot know.
        message: One sentence.
    """

    model_config = ConfigDict(frozen=True)

    compensation: str
    call: str
    rule: str
    certain: bool
    message: str


async def check_contracts(
    cases: Sequence[Case], registry: Registry, effects: Effects | None
) -> list[Finding]:
    """Checks compensations by calling them, each with keys and task ids of its own.

    Args:
        cases: What to check, with real arguments.
        registry: Has the functions, and the MCP servers.
        effects: Returns the effects that stand; None if the user has not given such a function.

    Returns:
        The findings; empty if all is well.
    """
    found: list[Finding] = []
    requests = ServerRequests()
    calls = _calls_of(registry, requests)
    async with requests.used():
        for case in cases:
            foreign = registry.mcp.calls.get(case.call)
            found += await _Contract(case, calls, effects, foreign).check()
    return found


def _calls_of(registry: Registry, requests: ServerRequests) -> dict[str, Call]:
    """Returns what calls each activity of the bundles with its argument."""

    def local(name: str, function: Function) -> Call:
        async def call(given: dict[str, Any]) -> Any:
            is_undo = name in registry.catalog.compensations
            return await execute(function, {function.parameters[0]: given} if is_undo else given)

        return call

    foreign = [*mcp_activities(registry.mcp, requests), *mcp_compensations(registry.mcp, requests)]
    calls = {name: local(name, function) for name, function in registry.functions.items()}
    return calls | {activity_type(call) or "": call for call in foreign}


class _Raised(Exception):
    """Raised when a function of the user's has raised; the message says what."""


class _Contract:
    def __init__(
        self, case: Case, calls: Mapping[str, Call], effects: Effects | None, foreign: ForeignCall | None
    ) -> None:
        self._case = case
        self._calls = calls
        self._effects = effects
        self._foreign = foreign
        self._found: list[Finding] = []

    async def check(self) -> list[Finding]:
        for rule, look in (
            ("nothing to undo", self._nothing_to_undo),
            ("twice", self._twice),
            ("undo first", self._undo_first),
            ("repeated call", self._repeated_call),
        ):
            await look(_Scene(self._case, self._calls, self._effects, rule), rule)
        return self._found

    async def _nothing_to_undo(self, scene: _Scene, rule: str) -> None:
        try:
            await scene.undo(None)
        except _Raised as error:
            self._add(rule, f"it fails where there is nothing to undo: {error}")
            return
        if changed := scene.changed():
            self._add(rule, f"there was nothing to undo, and yet it changed something: {changed}")

    async def _twice(self, scene: _Scene, rule: str) -> None:
        try:
            output = await scene.forward()
        except _Raised as error:
            self._add(rule, f"not checked: the call alone fails: {error}", certain=False)
            return
        try:
            await scene.undo(output)
        except _Raised as error:
            self._add(rule, f"it fails: {error}")
            return
        if changed := scene.changed():
            self._add(rule, f"it does not undo the call: {changed}")
            return
        try:
            await scene.undo(output)
        except _Raised as error:
            self._add(rule, f"it fails when it is called twice: {error}")
            return
        if changed := scene.changed():
            self._add(rule, f"called twice, it undoes twice: {changed}")

    async def _undo_first(self, scene: _Scene, rule: str) -> None:
        try:
            await scene.undo(None)
        except _Raised:
            return  # said already
        try:
            output = await scene.forward()
        except _Raised:
            return
        if self._effects is None:
            message = (
                "the call was taken after its own undo; if it had an effect, a call that is late leaves it "
                "standing (name --effects to be certain)"
            )
            self._add(rule, message, certain=False)
        elif changed := scene.changed():
            late = "the call takes effect after its own undo, so a late one stays"
            # Nobody here can make somebody else's server refuse it; undos wait for their calls instead.
            self._add(rule, f"{late}: {changed}", certain=self._foreign is None)
        await scene.clean_up(output)

    async def _repeated_call(self, scene: _Scene, rule: str) -> None:
        if self._foreign is not None and not self._foreign.is_repeatable:
            return  # it is sent once
        try:
            first = await scene.forward()
        except _Raised:
            return  # said already
        try:
            second = await scene.forward()
        except _Raised as error:
            self._add(rule, f"the call fails when it is repeated under its key: {error}", certain=False)
            await scene.clean_up(first)
            return
        keys = scene.standing().count(scene.key)
        if keys > 1:
            self._add(rule, f"the call, repeated under its key, has {keys} effects")
        elif first != second and keys == 0:
            self._add(rule, "the call, repeated under its key, answers something else", certain=False)
        await scene.clean_up(second)

    def _add(self, rule: str, message: str, *, certain: bool = True) -> None:
        case = self._case
        self._found.append(
            Finding(
                compensation=case.compensation, call=case.call, rule=rule, certain=certain, message=message
            )
        )


class _Scene:
    """A made-up task with one call."""

    def __init__(self, case: Case, calls: Mapping[str, Call], effects: Effects | None, rule: str) -> None:
        self.key = uuid4().hex
        self._case = case
        self._calls = calls
        self._effects = effects
        self._task = f"contract-{rule.replace(' ', '-')}-{self.key[:12]}"
        self._before = self.standing()
        self._read: Any = None
        self._has_read = case.reads is None

    def standing(self) -> list[str]:
        return [] if self._effects is None else sorted(self._effects(self._task))

    def changed(self) -> str:
        """Says how the user's system has changed; empty if it has not, or if that is unknown."""
        now = self.standing()
        return "" if now == self._before else f"{now} stands now, and {self._before} stood before"

    async def forward(self) -> Any:
        await self._read_before()
        return await self._run(self._case.call, self._case.arguments)

    async def undo(self, output: Any) -> None:
        await self._read_before()
        undo = {
            "input": self._case.arguments,
            "output": output,
            "before": self._read,
            "idempotency_key": self.key,
            "reason": _REASON,
            "step": self._case.step,
            "task_id": self._task,
        }
        await self._run(self._case.compensation, undo)

    async def clean_up(self, output: Any) -> None:
        try:
            await self.undo(output)
        except _Raised:
            return

    async def _read_before(self) -> None:
        if not self._has_read and self._case.reads is not None:
            self._read = await self._run(self._case.reads, self._case.arguments)
            self._has_read = True

    async def _run(self, activity: str, given: dict[str, Any]) -> Any:
        environment = ActivityEnvironment()
        environment.info = dataclasses.replace(
            environment.info,
            workflow_id=self._task,
            activity_type=activity,
            start_to_close_timeout=DEFAULT_TIMEOUT,
        )

        async def call() -> Any:
            CURRENT_STEP.set(CurrentStep(self.key, self._task, self._case.step, 1))
            return await self._calls[activity](given)

        running: Awaitable[Any] = environment.run(call)
        try:
            return await running
        except Exception as error:
            raise _Raised(f"{type(error).__name__}: {error}") from None
