"""The workflow of a long team, outside the history of the team's task."""

from __future__ import annotations

from typing import Any

from temporalio import workflow
from temporalio.common import RawValue

from ..saga.engine.long_team_run import run_team
from ..saga.history_format import TEAM
from ..saga.temporal.nothing import NOTHING


@workflow.defn(name=TEAM, sandboxed=False)
class LongTeam:
    """Goes on with a team that its parent began, and continues as new every 20 turns of members."""

    __counterstep_task__ = True

    @workflow.run
    async def run(self, state: RawValue = NOTHING, grown: RawValue = NOTHING) -> Any:
        """Plays the team until only its parent can do what comes next.

        Args:
            state: A `MovedTeam` as JSON.
            grown: The turns so far, and what came of them.

        Returns:
            A `TeamAnswer` as JSON, inside a `HandOver`.
        """
        return await run_team(state, grown)
