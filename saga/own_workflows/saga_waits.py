"""What a saga in a workflow of one's own waits for: a person's decision, an event, or a while."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import to_jsonable_python

from ..engine.run_context import RunContext
from ..engine.steps.step_wait import StepWait
from ..errors import DefinitionError, FailureType
from ..failure import Failed, Stopped
from ..fault_texts import faults_in
from ..record.step_record import StepRecord, StepState
from ..record.task_state import TaskState
from ..spec.fields import SpecModel
from ..spec.waiting import Approve, Wait
from ..temporal.stop_scope import StopScope

SpecT = TypeVar("SpecT", bound=SpecModel)


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person has decided.

    Attributes:
        action: ``approve``, ``edit``, or one of the choices that were offered.
        value: What was shown, or what the person has made of it.
        by: Who says so; a claim.
        note: Why.
    """

    action: str
    value: Any
    by: str
    note: str


class SagaWaits:
    """The waits of one saga."""

    def __init__(self, context: RunContext) -> None:
        """Prepares the waits of one saga, which is run with `context`."""
        self._context = context
        self._record = context.record

    async def approve(self, name: str, approve: Approve, show: Any, scope: StopScope) -> Decision:
        """Asks a person; raises as `StepWait.approval`."""
        wait = StepWait(self._context, name, name)
        shown = to_jsonable_python(show)
        told = await self._step(
            name,
            "approve",
            "a person",
            lambda: wait.ask(approve.ask, shown, approve, scope, self._variables()),
        )
        return Decision(**told)

    async def wait(self, name: str, wait: Wait, scope: StopScope) -> Any:
        """Waits for an event or a while; raises as `StepWait.wait`."""
        if wait.event is None:
            return await self._step(name, "wait", name, lambda: self._wait(name, wait, scope))
        # A task that waits for an event can be found by its state, as one that waits for a person.
        return await self._step(name, "wait", wait.event, lambda: self._shown(name, wait, scope))

    async def _shown(self, name: str, wait: Wait, scope: StopScope) -> Any:
        self._context.status.hold(TaskState.WAITING, name)
        try:
            return await self._wait(name, wait, scope)
        finally:
            self._context.status.release(TaskState.WAITING, name)

    async def _wait(self, name: str, wait: Wait, scope: StopScope) -> Any:
        return await StepWait(self._context, name, name).wait(wait, self._variables(), scope)

    def _variables(self) -> dict[str, Any]:
        return {"task": {}, "facts": self._record.facts, "steps": {}}

    async def _step(self, name: str, kind: str, target: str, make: Callable[[], Awaitable[Any]]) -> Any:
        self._record.add_step(name, StepRecord(kind, target))
        self._record.start_step(name)
        self._record.wait_step(name)
        try:
            output = await make()
        except Failed as failed:
            self._record.end_step(name, _state_of(failed), error=failed.failure.message)
            raise
        self._record.end_step(name, StepState.COMPLETED, output)
        return output


def said(kind: type[SpecT], **keys: Any) -> SpecT:
    """Reads the keys of an approval or a wait, as in a spec.

    Raises:
        DefinitionError: They do not fit together; all faults are named.
    """
    try:
        return kind.model_validate({name: value for name, value in keys.items() if value is not None})
    except ValidationError as error:
        what = kind.__name__.lower()
        raise DefinitionError(f"{what}: {faults_in(error, 'the arguments')}") from None


def _state_of(failed: Failed) -> StepState:
    if isinstance(failed, Stopped):
        return StepState.CANCELLED
    return StepState.REJECTED if failed.failure.type == FailureType.REJECTED else StepState.FAILED
