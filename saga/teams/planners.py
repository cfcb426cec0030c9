"""Finds the planner of a team."""

from __future__ import annotations

from ..history_format import ENGINE
from ..spec.catalog import Catalog
from ..spec.rules.router_rules import intents_of
from ..spec.rules.team_rules import acting_members
from ..spec.teams.concurrent import Concurrent
from ..spec.teams.debate import Debate
from ..spec.teams.group_chat import GroupChat
from ..spec.teams.magentic import Magentic
from ..spec.teams.maker_checker import MakerChecker
from ..spec.teams.mixture import Mixture
from ..spec.teams.planned import Planned
from ..spec.teams.router import Router
from ..spec.teams.second_opinion import SecondOpinion
from ..spec.teams.team import Team
from .concurrent import ConcurrentPlanner
from .debate import DebatePlanner
from .effort.peer_rating import PeerRatingPlanner
from .group_chat import GroupChatPlanner
from .magentic import MagenticPlanner
from .maker_checker import MakerCheckerPlanner
from .mixture import MixturePlanner
from .moves import Planner
from .planned.planner import PlannedPlanner
from .router.planner import RouterPlanner
from .second_opinion import SecondOpinionPlanner


def planner_of(team: Team, catalog: Catalog, engine: int = ENGINE) -> Planner:
    """Returns what plans for a team of this pattern.

    Args:
        team: The team.
        catalog: Has its members.
        engine: By which rules the task is run, see `ENGINE`.
    """
    match team:
        case Concurrent():
            return ConcurrentPlanner(team)
        case Debate() | Mixture():
            return _of_rounds(team)
        case SecondOpinion():
            return SecondOpinionPlanner(team)
        case MakerChecker():
            return MakerCheckerPlanner(team)
        case GroupChat():
            return GroupChatPlanner(team)
        case Router():
            return RouterPlanner(team, intents_of(team, catalog), engine)
        case Magentic():
            return MagenticPlanner(team)
        case Planned():
            return PlannedPlanner(team, acting_members(team, catalog))


def _of_rounds(team: Debate | Mixture) -> Planner:
    planner = DebatePlanner(team) if isinstance(team, Debate) else MixturePlanner(team)
    return PeerRatingPlanner(planner, team) if team.importance else planner
