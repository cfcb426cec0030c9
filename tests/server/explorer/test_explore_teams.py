"""The fault explorer on teams of every pattern: whatever is broken, nothing of a losing branch is left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from counterstep.testing.explore import explore
from counterstep.tests.support.teams import guild

BUNDLES = ["counterstep.tests.support.teams.guild:guild"]
STANDING = "counterstep.tests.support.teams.guild:standing"

TWO = ["guild.ann", "guild.bob"]
TEAMS: dict[str, dict[str, Any]] = {
    "vote": {
        "pattern": "concurrent",
        "members": [*TWO, "guild.cid"],
        "combine": "vote",
        "by": "output.verdict",
        "judge": "guild.chair",
    },
    "debate": {"pattern": "debate", "members": TWO, "by": "output.verdict"},
    "mixture": {"pattern": "mixture", "members": TWO, "layers": 1, "aggregator": "guild.editor"},
    "self_moa": {"pattern": "mixture", "members": TWO[:1], "samples": 2, "aggregator": "guild.editor"},
    "review": {"pattern": "maker_checker", "maker": "guild.drafter", "checker": "guild.checker"},
    "chat": {
        "pattern": "group_chat",
        "members": TWO,
        "speaker": "guild.chair",
        "summary": "guild.editor",
    },
    "magentic": {"pattern": "magentic", "manager": "guild.chair", "members": TWO, "max_stalls": 1},
    "route": {"pattern": "router", "members": TWO, "classifier": "guild.chair"},
    "second": {
        "pattern": "second_opinion",
        "first": "guild.ann",
        "other": "guild.bob",
        "reconcile": "guild.chair",
    },
    "nested": {"pattern": "concurrent", "members": ["guild.ann", "guild.survey"]},
}

MODELS: dict[str, dict[str, Any]] = {
    "made": {
        "pattern": "concurrent",
        "members": ["guild.smith", "guild.baker"],
        "combine": "vote",
        "by": "output.verdict",
        "judge": "guild.chair",
    }
}
MOST_SECONDS = 1800
"""Hundreds of runs, of which a busy machine makes a few a second."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(MOST_SECONDS)]


@pytest.fixture(autouse=True)
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(guild.VARIABLE, str(tmp_path / "guild.sqlite"))


def task(*teams: str) -> dict[str, Any]:
    known = {**TEAMS, **MODELS}
    steps = [{"id": name, "team": known[name], "input": {"what": "tea"}} for name in teams or TEAMS]
    return {"name": "evening", "steps": steps}


async def test_every_cell_of_a_task_with_teams_of_every_pattern_is_green() -> None:
    # The teams work side by side: more runs at once would wait for each other longer than a call may take.
    report = await explore(task(), bundles=BUNDLES, effects=STANDING, shrink=False, parallel=3)
    assert report.ok, report.text()


async def test_members_that_models_play_are_broken_too() -> None:
    report = await explore(task("made"), bundles=BUNDLES, effects=STANDING, shrink=False)
    assert report.ok, report.text()
    points = {point.id for point in report.points}
    assert {"made/smith.1/model.1#1", "made/smith.1/tool.1#1", "made/baker.2/tool.1/undo#1"} <= points
    states = {cell.label: cell.state for cell in report.cells}
    assert states["made/smith.1/tool.1#1 kill after"] == "completed"
    assert states["made/smith.1/tool.1#1 cancel"] == "cancelled"
