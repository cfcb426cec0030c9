"""Tasks with teams, and with agents that ask others."""

from __future__ import annotations

from counterstep.tests.support.scenes.scene import Handle, scene
from counterstep.tests.support.scenes.stage import Stage
from counterstep.tests.support.tasks.work import put
from counterstep.tests.support.teams.cast import Cast, Words
from counterstep.tests.support.teams.shapes import (
    CHAT,
    DELEGATES,
    MAGENTIC,
    MAKER_CHECKER,
    VOTE,
    Shape,
)
from counterstep.tests.support.teams.team_stage import working


async def _played(stage: Stage, shape: Shape, words: Words | None = None) -> Handle:
    """Plays what is said in a team; the run that takes the most turns where that is not given."""
    Cast(stage.models).play("tea", words or shape.most)
    return await stage.start([{"id": "w", **working(shape.team), "input": {"what": "tea"}}, put("z", "w")])


@scene("completed")
async def team_vote_with_losers(stage: Stage) -> Handle:
    return await _played(stage, VOTE)


@scene("completed")
async def team_rejected_draft(stage: Stage) -> Handle:
    said = MAKER_CHECKER.most
    words = {"ann": said["ann"][:2], "bob": [said["bob"][0], said["bob"][-1]]}
    return await _played(stage, MAKER_CHECKER, words)


@scene("completed")
async def team_chat(stage: Stage) -> Handle:
    return await _played(stage, CHAT)


@scene("completed")
async def team_that_plans_anew(stage: Stage) -> Handle:
    return await _played(stage, MAGENTIC)


@scene("completed")
async def agent_that_asks_others(stage: Stage) -> Handle:
    return await _played(stage, DELEGATES)
