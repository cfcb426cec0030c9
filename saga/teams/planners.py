"""Finds the planner of a team."""

from __future__ import annotations

from ..spec.teams.concurrent import Concurrent
from ..spec.teams.team import Team
from .concurrent import ConcurrentPlanner
from .moves import Planner


def planner_of(team: Team) -> Planner:
    """Returns what plans for a team of this pattern."""
    match team:
        case Concurrent():
            return ConcurrentPlanner(team)
        case _:
            raise NotImplementedError(team.pattern)
