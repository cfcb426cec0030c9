"""Tasks with teams, and with agents that ask others."""

from __future__ import annotations

from counterstep.tests.support.scenes.scene import Handle, scene
from counterstep.tests.support.scenes.stage import Stage
from counterstep.tests.support.tasks.work import put
from counterstep.tests.support.teams.cast import Cast
from counterstep.tests.support.teams.shapes import (
    CHAT,
    DEBATE,
    DELEGATES,
    MAGENTIC,
    MAKER_CHECKER,
    SECOND_OPINION,
    VOTE,
    Shape,
)
from counterstep.tests.support.teams.team_stage import working


async def _played(stage: Stage, shape: Shape, *, fails_behind: bool = False) -> Handle:
    """Plays the run of a team that takes the most turns."""
    Cast(stage.models).play("tea", shape.most)
    work = {"id": "w", **working(shape.team), "input": {"what": "tea"}}
    return await stage.start([work, put("z", "w", **({"fail": "final"} if fails_behind else {}))])


@scene("completed")
async def team_vote_with_losers(stage: Stage) -> Handle:
    return await _played(stage, VOTE)


@scene("SagaRolledBack")
async def team_rolled_back(stage: Stage) -> Handle:
    return await _played(stage, DEBATE, fails_behind=True)


@scene("completed")
async def team_rejected_drafts(stage: Stage) -> Handle:
    return await _played(stage, MAKER_CHECKER)


@scene("completed")
async def team_chat(stage: Stage) -> Handle:
    return await _played(stage, CHAT)


@scene("completed")
async def team_that_plans_anew(stage: Stage) -> Handle:
    return await _played(stage, MAGENTIC)


@scene("completed")
async def team_second_opinion(stage: Stage) -> Handle:
    return await _played(stage, SECOND_OPINION)


@scene("completed")
async def agent_that_asks_others(stage: Stage) -> Handle:
    return await _played(stage, DELEGATES)
