"""Steps that wait: for a person's approval, for an event, or for a while."""

from __future__ import annotations

from typing import Any

from temporalio import workflow

from ...duration import format_duration
from ...errors import ExpressionError, FailureType
from ...expressions.template import render
from ...failure import Failed, Failure
from ...people.questions import Check
from ...people.terms import Terms, names_in
from ...people.updates import Answer
from ...record.task_state import TaskState
from ...spec.waiting import Approve, Wait
from ...temporal.stop_scope import StopScope
from ..run_context import RunContext


class StepWait:
    """The wait of one step."""

    def __init__(self, context: RunContext, name: str, path: str) -> None:
        """Prepares one wait; the board calls its step `name`, and this item of it is at `path`."""
        self._context = context
        self._name = name
        self._asked = path if "[" in path else name

    async def approval(self, approve: Approve, variables: dict[str, Any], scope: StopScope) -> Any:
        """Asks a person.

        Returns:
            ``action``, ``value`` (what was shown, or what the person has made of it), ``by`` and ``note``.

        Raises:
            Failed: The answer is ``reject`` (type ``Rejected``).
            Stopped: The scope was stopped.
        """
        ask = render(approve.ask, variables, "approve.ask")
        shown = (
            None if approve.show is None else render(f"${{{{ {approve.show} }}}}", variables, "approve.show")
        )
        return await self.ask(str(ask), shown, approve, scope, variables)

    async def ask(
        self, ask: str, shown: Any, approve: Approve, scope: StopScope, variables: dict[str, Any]
    ) -> Any:
        """Asks a person what is filled in already; returns and raises as `approval`.

        Where several people are asked, the others see what one of them has edited.
        """
        not_by = () if approve.not_by is None else names_of(approve.not_by, variables, "approve.not_by")
        terms = Terms.of_asking(approve, approve.default or "reject", not_by)
        actions: dict[str, Check | None] = dict.fromkeys(approve.choices or ("approve", "reject"))
        if not approve.choices:
            actions["edit"] = _anything
        said: list[Answer] = []
        edited: Answer | None = None
        while True:
            answer = await self._context.questions.ask(
                self._asked, "approve", ask, actions, scope, show=shown, terms=terms, said=said
            )
            if answer.action == "reject":
                raise self._failed(FailureType.REJECTED, _why(answer))
            if answer.action != "edit" or approve.choices:
                break
            said, shown, edited = (
                [answer.model_copy(update={"action": "approve", "value": None})],
                answer.value,
                answer,
            )
            if terms.people == 1:
                break
        action = "edit" if edited is not None and answer.action == "approve" else answer.action
        return {"action": action, "value": shown, "by": answer.by, "note": answer.note}

    async def wait(self, wait: Wait, variables: dict[str, Any], scope: StopScope) -> Any:
        """Waits for an event or for a while.

        Returns:
            The event's payload; None after a while.

        Raises:
            Failed: The event has not come in time (type ``Timeout``).
            Stopped: The scope was stopped.
        """
        self._context.record.wait_step(self._name)
        if self._context.engine < 3:
            return await self._wait(wait, variables, scope)
        status = self._context.status
        status.hold(TaskState.WAITING, self._name)
        try:
            output = await self._wait(wait, variables, scope)
        except Exception:  # not when the run is only evicted
            status.release(TaskState.WAITING, self._name)
            raise
        status.release(TaskState.WAITING, self._name)
        return output

    async def _wait(self, wait: Wait, variables: dict[str, Any], scope: StopScope) -> Any:
        if wait.event is None:
            assert wait.time is not None
            try:
                await workflow.wait_condition(
                    lambda: scope.stopped, timeout=wait.time, timeout_summary=self._asked
                )
            except TimeoutError:
                return None
            scope.check(self._name)
        assert wait.event is not None
        name = str(render(wait.event, variables, "wait.event"))
        event = await self._context.events.until(name, wait.where, variables, scope, wait.deadline)
        if event is not None:
            return event["payload"]
        scope.check(self._name)
        assert wait.deadline is not None
        late = f"the event {name} has not come within {format_duration(wait.deadline)}"
        raise self._failed(FailureType.TIMEOUT, late)

    def _failed(self, type_: FailureType, message: str) -> Failed:
        failure = Failure(step=self._name, type=type_, message=message)
        return Failed(failure, not_applied=True)


def names_of(source: str, variables: dict[str, Any], path: str) -> frozenset[str]:
    """Returns the names that an expression gives; raises `ExpressionError` where it gives something else."""
    value = render(f"${{{{ {source} }}}}", variables, path)
    try:
        return names_in(value)
    except ExpressionError as error:
        raise ExpressionError(f"{path}: {error}") from None


def _why(answer: Answer) -> str:
    return f"{answer.by} said no" + (f": {answer.note}" if answer.note else "")


def _anything(value: Any) -> str | None:
    return "edit needs the new value" if value is None else None
