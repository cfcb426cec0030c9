"""Finds the planner of a team."""

from __future__ import annotations

from ..spec.teams.concurrent import Concurrent
from ..spec.teams.debate import Debate
from ..spec.teams.group_chat import GroupChat
from ..spec.teams.magentic import Magentic
from ..spec.teams.maker_checker import MakerChecker
from ..spec.teams.mixture import Mixture
from ..spec.teams.router import Router
from ..spec.teams.second_opinion import SecondOpinion
from ..spec.teams.team import Team
from .concurrent import ConcurrentPlanner
from .debate import DebatePlanner
from .group_chat import GroupChatPlanner
from .magentic import MagenticPlanner
from .maker_checker import MakerCheckerPlanner
from .mixture import MixturePlanner
from .moves import Planner
from .router import RouterPlanner
from .second_opinion import SecondOpinionPlanner


def planner_of(team: Team) -> Planner:
    """Returns what plans for a team of this pattern."""
    match team:
        case Concurrent():
            return ConcurrentPlanner(team)
        case Debate():
            return DebatePlanner(team)
        case Mixture():
            return MixturePlanner(team)
        case SecondOpinion():
            return SecondOpinionPlanner(team)
        case MakerChecker():
            return MakerCheckerPlanner(team)
        case GroupChat():
            return GroupChatPlanner(team)
        case Router():
            return RouterPlanner(team)
        case Magentic():
            return MagenticPlanner(team)
