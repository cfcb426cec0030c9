"""A task that has a step for every team, and for every agent that asks others or hands over."""

from __future__ import annotations

from counterstep.bundle.registry import Registry
from counterstep.bundle.spec_file import parse_spec
from counterstep.cli.terminal.task_picture import TaskPicture, picture_of_spec
from counterstep.tests.support.bundles.circle import circle
from counterstep.tests.support.bundles.claims import claims
from counterstep.tests.support.bundles.crew import crew
from counterstep.tests.support.bundles.desk import desk
from counterstep.tests.support.bundles.rounds import rounds
from counterstep.tests.support.teams.front_desk import front_desk


def every_team() -> TaskPicture:
    """Returns the picture of that task."""
    catalog = Registry([desk, crew, circle, claims, rounds, front_desk]).catalog
    agents = [
        entry.name
        for entry in catalog.agents.values()
        if entry.team or entry.handoffs or {*entry.tools} & {*catalog.agents}
    ]
    steps = [{"id": f"s{number}", "agent": name} for number, name in enumerate(agents)]
    inline = {"pattern": "debate", "members": ["crew.ann", "crew.poll"], "judge": "crew.chair"}
    return picture_of_spec(
        parse_spec({"name": "all", "steps": [*steps, {"id": "x", "team": inline}]}), catalog
    )
