"""Where teams play on a real server: a worker, the models of its agents, and a desk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from temporalio.client import WorkflowHandle

from counterstep.tests.support.bundles.crew import Opinion
from counterstep.tests.support.bundles.desk import Desk
from counterstep.tests.support.tasks.tasks import Tasks
from counterstep.tests.support.teams.cast import Cast, Words
from counterstep.tests.support.teams.shapes import Step

OPINION = Opinion.model_json_schema()


def working(team: Step) -> Step:
    """Returns the part of a step that says who works in it."""
    return team if "agent" in team else {"team": {"output": OPINION, **team}}


@dataclass
class TeamStage:
    """One worker, the models of its agents, and the desk on which they put things."""

    tasks: Tasks
    cast: Cast
    desk: Desk

    async def start(
        self, team: Step, words: Words, *then: Step, held: str = "", busy: bool = True, **spec: Any
    ) -> tuple[WorkflowHandle[Any, Any], str]:
        """Starts a task with a team, or an agent, in its first step.

        Returns:
            The task, and how its things begin on the desk.
        """
        name = uuid4().hex[:8]
        self.cast.play(name, words, held=held, busy=busy)
        step = {"id": "w", **working(team), "input": {"what": name}}
        output = None if then else "${{ steps.w.output.verdict }}"
        return await self.tasks.start([step, *then], output=output, **spec), name

    def of(self, name: str, *actions: str) -> list[str]:
        """What happened to the things of a task, each as ``MODEL N``."""
        return [what.removeprefix(f"{name} ") for what in self.desk.what(*actions) if what.startswith(name)]

    def standing(self, name: str) -> list[str]:
        """What stands of a task."""
        return [what.removeprefix(f"{name} ") for what in self.desk.effects() if what.startswith(name)]

    def leaves_nothing(self, name: str) -> None:
        """Says that something was done, and each of it was undone once."""
        done, undone = (self.of(name, action) for action in ("done", "undone"))
        assert done
        assert sorted(undone) == sorted(done)
        assert self.standing(name) == []
