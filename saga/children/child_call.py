"""One child workflow to be started, as a value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from ..effect import Effect
from ..ledger.call_id import CallId
from ..limits.budget import Budget
from .handover import HandOver


@dataclass(frozen=True, slots=True)
class ChildCall:
    """One child workflow.

    Attributes:
        step: The id of the step that it belongs to.
        path: Its place in the task.
        round: 1, plus 1 for each re-run after an undo.
        workflow: Its type.
        input: Its argument; JSON.
        depends_on: Ids of the ledger entries that it builds on.
        effect: What it does to the world, taken as a whole.
        timeout: After how long it is cancelled, and so rolled back; None for never.
        task_queue: Its workers' queue; None for the task's own.
        ends_undone: Whether it is a task of ours, whose cancelled end says that everything is undone.
        budget: Its own budget; None where its parent does not know that.
        further: More arguments, where a workflow of ours takes them.
        knows_approvals: Whether its arguments say already which approvals are demanded.
        built_on: Says of what it hands over on which entries of the parent's ledger each of its own builds,
            by id; None where the first ones build on what the whole child does.
    """

    step: str
    path: str
    round: int
    workflow: str
    input: Any
    depends_on: frozenset[str]
    effect: Effect
    timeout: timedelta | None
    task_queue: str | None
    ends_undone: bool
    budget: Budget | None = None
    further: tuple[Any, ...] = ()
    knows_approvals: bool = False
    built_on: Callable[[HandOver], Mapping[str, frozenset[str]]] | None = None

    @property
    def id(self) -> str:
        """``PATH#ROUND``: the id of its ledger entry while it runs."""
        return str(CallId(self.path, self.round))
