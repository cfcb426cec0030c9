"""What was decided in a task, one by one, with reasons: by its teams, and by the task itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from heapq import merge
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from ..saga.record.decision_log import DecisionKind
from .board import Spent
from .team_decisions import TeamDecision, TeamReward, step_of, team_decisions


class TaskDecision(BaseModel):
    """One decision that no team has made: one line of ``counterstep decisions --json``.

    The keys that it shares with the decisions of teams say the same; those that are None are there so that
    every line has them.

    Attributes:
        format: The version of this format.
        task_id: The workflow id of the task.
        task: The task's name.
        n: Its place among the decisions of this export, counted from 1.
        at: When it was made, in UTC.
        code: None: it is not one of the five kinds of an orchestrator.
        operation: ``route`` (what a computed name has come to, or a step that is skipped because its ``when``
            is false), ``retry`` (something is done again), ``rung`` (something else is done in place of what
            has failed), ``refusal`` (something may not be done, or does not count), ``plan`` (what another
            plan changes), ``effort`` (how much a team does) or ``approval``.
        team: None.
        step: The step of the board that it belongs to; None for the task itself.
        call: The path of the call that it is about; None for the step.
        what: What was decided, in a few words.
        reason: Why.
        by: Who has decided: ``counterstep``, a validator, an agent whose call is refused, or a person.
        proven: Whether it was verified who that was.
        cost: Nothing: what was spent is told of steps, and of the turns of teams.
        reward: How the step and the task stand.
    """

    model_config = ConfigDict(frozen=True)

    format: Literal[1] = 1
    task_id: str
    task: str
    n: int
    at: datetime
    code: None = None
    operation: DecisionKind
    team: None = None
    step: str | None = None
    call: str | None = None
    what: str
    reason: str
    by: str
    proven: bool = False
    cost: Spent = Spent()
    reward: TeamReward


Decision = TeamDecision | TaskDecision


def decisions_of(board: Mapping[str, Any]) -> list[Decision]:
    """Reads what was decided from a board.

    Args:
        board: The board of a task, as its query gives it.

    Returns:
        The decisions of teams and of the task itself, oldest first.
    """
    teams: Sequence[Decision] = team_decisions(board)
    own: Sequence[Decision] = [_read(decision, board) for decision in board.get("decided", ())]
    found = merge(teams, own, key=lambda decision: decision.at)
    return [decision.model_copy(update={"n": number}) for number, decision in enumerate(found, 1)]


def _read(decision: Mapping[str, Any], board: Mapping[str, Any]) -> TaskDecision:
    steps = board.get("steps", {})
    step = step_of(decision["step"], steps)
    return TaskDecision(
        task_id=board.get("task_id", ""),
        task=board["task"],
        n=0,
        at=decision["at"],
        operation=decision["kind"],
        step=step,
        call=decision.get("call") or (decision["step"] if decision["step"] != (step or "") else None),
        what=decision["what"],
        reason=decision["reason"],
        by=decision["by"],
        proven=decision.get("proven", False),
        reward=TeamReward(step=steps[step]["state"] if step else None, task=board["state"]),
    )
