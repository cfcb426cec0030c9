"""What an MCP client is told of a task."""

from __future__ import annotations

import json
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from ..client import Asked, Board, Outcome
from ..saga.record.step_record import UNDER_WAY, StepState

LONGEST: Final = 50_000
"""Characters of an output, or of what a person is shown: what a model can read of one tool call."""


class Question(BaseModel):
    """What a person has to answer.

    Attributes:
        step: Who asks; the answer names it.
        ask: The question.
        show: What is to be looked at.
        actions: The possible answers.
        hash: Of what is shown; the answer names it, so that it is for exactly that.
        roles: Which roles whoever answers must be proven to have.
        said: Who has answered so far, where several people have to.
    """

    model_config = ConfigDict(frozen=True)

    step: str
    ask: str
    show: Any = None
    actions: tuple[str, ...] = ()
    hash: str = ""
    roles: tuple[tuple[str, ...], ...] = ()
    said: tuple[str, ...] = ()

    @classmethod
    def of(cls, asked: Asked) -> Question:
        """Returns a question of a board."""
        return cls(
            step=asked.step,
            ask=asked.ask,
            show=shortened(asked.show),
            actions=asked.actions,
            hash=asked.hash,
            roles=asked.roles,
            said=tuple(one.by for one in asked.said),
        )


class TaskAnswer(BaseModel):
    """Where a task is, or how it has ended.

    Attributes:
        task_id: By which it is watched, answered and cancelled.
        task: Its name.
        state: Where it is.
        is_new: Whether this call has started it; None where nothing was to be started.
        output: What it has come to.
        failure: The first failure, in words.
        undone: The steps that are undone.
        not_undone: The steps that still stand although it has failed.
        steps_done: How many of its steps have ended.
        steps: How many it has, as far as that is known.
        at: The steps that are under way.
        waiting_for: What people have to answer.
        usd: What its models have cost, as far as their prices are known.
        next: What may be done now.
    """

    model_config = ConfigDict(frozen=True)

    task_id: str
    task: str
    state: str
    is_new: bool | None = None
    output: Any = None
    failure: str | None = None
    undone: tuple[str, ...] = ()
    not_undone: tuple[str, ...] = ()
    steps_done: int = 0
    steps: int = 0
    at: tuple[str, ...] = ()
    waiting_for: tuple[Question, ...] = ()
    usd: float = 0.0
    next: str = ""

    @classmethod
    def of_board(cls, board: Board) -> TaskAnswer:
        """Returns what a running task is told as."""
        asked = tuple(Question.of(one) for one in board.waiting_for)
        running = tuple(name for name, step in board.steps.items() if step.state in UNDER_WAY)
        done = sum(step.state not in (StepState.PENDING, *UNDER_WAY) for step in board.steps.values())
        tells = "decide answers it" if asked else "watch_task waits for more"
        return cls(
            task_id=board.task_id,
            task=board.task,
            state=board.state,
            failure=None if board.failure is None else str(board.failure),
            steps_done=done,
            steps=len(board.steps),
            at=running,
            waiting_for=asked,
            usd=round(board.usage.usd, 6),
            next=f"{tells}; cancel_task undoes what it did",
        )

    @classmethod
    def of_end(cls, outcome: Outcome, task: str) -> TaskAnswer:
        """Returns what a task that has ended is told as."""
        failure = outcome.failure or {}
        usd = (outcome.usage or {}).get("usd", 0.0)
        return cls(
            task_id=outcome.workflow_id or "",
            task=task,
            state=outcome.state or "",
            output=shortened(outcome.output),
            failure=": ".join(filter(None, (failure.get("type"), failure.get("message")))) or None,
            undone=outcome.undone,
            not_undone=outcome.not_undone,
            usd=round(usd, 6),
        )


def shortened(value: Any) -> Any:
    """Returns a value that a model can read at once; of a longer one its beginning, which says so."""
    text = json.dumps(value, ensure_ascii=False)
    if len(text) <= LONGEST:
        return value
    return f"{text[:LONGEST]}… ({len(text)} characters in all; `counterstep result ID --json` has the whole)"
