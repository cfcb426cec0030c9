"""Finds the planner of a team."""

from __future__ import annotations

from ..spec.teams.concurrent import Concurrent
from ..spec.teams.group_chat import GroupChat
from ..spec.teams.magentic import Magentic
from ..spec.teams.maker_checker import MakerChecker
from ..spec.teams.router import Router
from ..spec.teams.team import Team
from .concurrent import ConcurrentPlanner
from .group_chat import GroupChatPlanner
from .magentic import MagenticPlanner
from .maker_checker import MakerCheckerPlanner
from .moves import Planner
from .router import RouterPlanner


def planner_of(team: Team) -> Planner:
    """Returns what plans for a team of this pattern."""
    match team:
        case Concurrent():
            return ConcurrentPlanner(team)
        case MakerChecker():
            return MakerCheckerPlanner(team)
        case GroupChat():
            return GroupChatPlanner(team)
        case Router():
            return RouterPlanner(team)
        case Magentic():
            return MagenticPlanner(team)
        case _:
            raise NotImplementedError(team.pattern)
