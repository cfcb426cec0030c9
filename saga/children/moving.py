"""Takes parts of one task that are too long for its history to child workflows, and back."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ApplicationError, ChildWorkflowError

from ..calls.approvals import CallApprovals
from ..errors import FailureType
from ..failure import Failed, Failure, Stopped
from ..limits.usage import Usage
from ..record.consent import Consent
from ..record.task_record import TaskRecord
from ..spec.catalog import AgentEntry, ToolEntry
from ..spec.snapshot import Snapshot
from ..temporal.stop_scope import StopScope
from .child_call import ChildCall
from .child_caller import ChildCaller
from .moved import MovedAnswer


class Moving:
    """Starts the children of one task in which a part of it goes on."""

    def __init__(
        self,
        record: TaskRecord,
        children: ChildCaller,
        approvals: CallApprovals,
        snapshot: Snapshot,
        *,
        sequential: bool,
        give_up: timedelta | None,
    ) -> None:
        """Prepares for children.

        Args:
            record: The task's record.
            children: Runs them.
            approvals: What is demanded of tool calls.
            snapshot: That of the task; the children go on by what it says.
            sequential: See `MovedState`.
            give_up: See there.
        """
        self._record = record
        self._children = children
        self._approvals = approvals
        self._given: dict[str, Any] = {
            "sequential": sequential,
            "give_up": give_up,
            "search_attributes": snapshot.search_attributes,
            "engine": snapshot.engine,
            "notify": snapshot.notify,
            "models": snapshot.models,
            "pool": snapshot.pool,
        }

    def given(
        self, path: str, tools: Iterable[ToolEntry], agents: Iterable[AgentEntry] = ()
    ) -> dict[str, Any]:
        """Returns what every child gets of the task.

        Args:
            path: Of the part that moves.
            tools: What may be called in it.
            agents: Who may take part in it.
        """
        approvals = self._approvals.demanded_at(path)
        asks = bool(approvals) or any(tool.approval is not None for tool in tools)
        return {
            **self._given,
            "goal": self._record.goal,
            "on_limit": self._record.policies.at(path),
            "falls_back": self._record.policies.expects_rung(path),
            "past_pivot": self._record.past_pivot,
            "approvals": approvals,
            "consent": self._record.consent if asks else Consent(),
            "task": self._approvals.task_input if asks or _read_the_task(agents) else None,
        }

    async def call(self, child: ChildCall, who: str, scope: StopScope) -> Any:
        """Runs a child to its end.

        Args:
            child: What to start.
            who: Who goes on in it.
            scope: The part of the task that it belongs to; a stop cancels the child, which rolls back.

        Returns:
            What it has answered, as JSON; the ledger of the task has its entries, and the log its moves.

        Raises:
            Failed: As in this workflow; what the child did is undone.
            Stopped: The scope was stopped.
        """
        self._record.log.add(who, f"goes on in {workflow.info().workflow_id}/{child.id}", child.step)
        try:
            result = await self._children.call(child, scope)
        except Stopped:
            raise
        except Failed as failed:
            raise Failed(self._failure(child, failed)) from failed.__cause__
        answer = MovedAnswer.model_validate(result)
        self._record.consent = self._record.consent.with_always(answer.always)
        self._record.teams.absorb(answer.moves)
        self._record.log.decided.absorb(answer.decided)
        step = self._record.steps.get(child.step)
        if answer.degraded and step is not None:
            step.degrade(answer.degraded)
        return result

    def _failure(self, child: ChildCall, failed: Failed) -> Failure:
        """Returns the failure of a child as that of whoever has gone on in it."""
        error = failed.__cause__
        cause = error.cause if isinstance(error, ChildWorkflowError) else None
        if not isinstance(cause, ApplicationError) or not cause.details:
            return failed.failure
        self._record.teams.absorb(cause.details[0].get("moves", ()))
        self._record.log.decided.absorb(cause.details[0].get("decided", ()))
        failure = Failure.model_validate(cause.details[0]["failure"])
        over = self._record.spending.own_refusal(child.path, Usage(model_calls=1))
        if failure.type == FailureType.BUDGET_EXCEEDED and over is not None:
            return failure.model_copy(update={"message": over})  # the child knows its own part only
        return failure


def _read_the_task(agents: Iterable[AgentEntry]) -> bool:
    """Says whether one of these is a team whose numbers depend on the task's input."""
    return any(agent.team is not None and "task" in agent.team.roots for agent in agents)
