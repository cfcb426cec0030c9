"""One job for a model agent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..calls.timeouts_and_retries import MODEL_RETRY
from ..ledger.call_id import CallId
from ..spec.catalog import AgentEntry
from ..spec.retry import Retry
from ..temporal.stop_scope import StopScope


@dataclass(frozen=True, slots=True)
class Assignment:
    """One job for a model agent.

    Attributes:
        step: The id of the step.
        path: Its place in the task.
        round: 1, plus 1 for each re-run after an undo.
        input: The agent's input; JSON.
        depends_on: Ids of the ledger entries that it builds on.
        compensation: What undoes the whole call.
        retry: How its model calls are retried.
        task_queue: A bulkhead for all its calls, or None for the task's own queue.
        feedback: What was wrong with earlier attempts.
        say: What a team, or another agent, tells the agent besides its input; JSON.
        label: What the Web UI shows instead of the agent's name; empty for that.
        depth: How many agents and teams are around it.
        reads: What the expressions of a team may read that is written in a step, besides its input.
    """

    step: str
    path: str
    round: int
    input: Any
    depends_on: frozenset[str]
    compensation: str
    retry: Retry = MODEL_RETRY
    task_queue: str | None = None
    feedback: tuple[str, ...] = ()
    say: Mapping[str, Any] | None = None
    label: str = ""
    depth: int = 0
    reads: Mapping[str, Any] | None = None

    @property
    def id(self) -> str:
        """``PATH#ROUND``: the id of its own ledger entry."""
        return str(CallId(self.path, self.round))


GuardJob = Callable[[AgentEntry, Assignment, StopScope], Awaitable[None]]
"""Raises `Failed` where an agent may not be given a job with its input."""
