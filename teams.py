"""Teams: several agents that answer as one, and are used wherever one agent is.

A team is declared beside the agents that play in it, and is an agent like any other to whoever calls it::

    from counterstep.teams import Debate

    panel = claims.add(Debate(name="panel", description="Assesses a claim.",
                              members=[lenient, strict, actuary], judge=chair, output=Assessment))

A step calls it (``agent: claims.panel``), an agent asks it (``tools=[panel]``), another team has it as a
member, a workflow calls it (``saga.call(panel, claim)``), and ``claims.add_task(panel)`` makes it a task.
"""

from .saga.spec.teams.concurrent import Concurrent
from .saga.spec.teams.debate import Debate
from .saga.spec.teams.group_chat import GroupChat
from .saga.spec.teams.handoff import Handoff
from .saga.spec.teams.intent import Intent
from .saga.spec.teams.magentic import Magentic
from .saga.spec.teams.maker_checker import MakerChecker
from .saga.spec.teams.member import MemberIf, Person
from .saga.spec.teams.mixture import Mixture
from .saga.spec.teams.planned import Planned
from .saga.spec.teams.router import Route, Router
from .saga.spec.teams.second_opinion import SecondOpinion

__all__ = [
    "Concurrent",
    "Debate",
    "GroupChat",
    "Handoff",
    "Intent",
    "Magentic",
    "MakerChecker",
    "MemberIf",
    "Mixture",
    "Person",
    "Planned",
    "Route",
    "Router",
    "SecondOpinion",
]
