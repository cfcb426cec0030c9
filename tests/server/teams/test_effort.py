"""Teams that do more where a job is difficult, on a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from temporalio.client import Client
from temporalio.worker import Worker

from counterstep.embedded import EmbeddedServer
from counterstep.plugin import CounterstepPlugin
from counterstep.pool_limits.outcomes import OutcomeStore
from counterstep.saga.teams.long import long_teams
from counterstep.testing.model_server import ModelServer
from counterstep.tests.support.bundles.agents import board_of
from counterstep.tests.support.bundles.crew import crew
from counterstep.tests.support.bundles.desk import VARIABLE, Desk, desk
from counterstep.tests.support.histories.replay import replayer_of
from counterstep.tests.support.tasks.tasks import Tasks, end_of
from counterstep.tests.support.teams.cast import Cast
from counterstep.tests.support.teams.shapes import opinion
from counterstep.tests.support.teams.team_stage import OPINION, TeamStage

pytestmark = pytest.mark.asyncio(loop_scope="module")

MIXTURE: dict[str, Any] = {
    "pattern": "mixture",
    "members": ["crew.ann", "crew.bob", {"agent": "crew.cid", "when": "difficulty > 0.8"}],
    "aggregator": "crew.editor",
    "layers": "max(1, ceil(difficulty * 3))",
}


@dataclass
class EffortStage(TeamStage):
    """A stage whose pool can be asked what it knows of agents."""

    outcomes: OutcomeStore


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(
    server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[EffortStage]:
    with pytest.MonkeyPatch.context() as patch:
        path = tmp_path_factory.mktemp("effort") / "desk.sqlite"
        patch.setenv(VARIABLE, str(path))
        async with ModelServer() as models:
            for name, value in models.environment.items():
                patch.setenv(name, value)
            plugin = CounterstepPlugin([desk, crew], inline_specs=True)
            client = await Client.connect(server.address, plugins=[plugin])
            tasks = Tasks(client, f"effort-{uuid4()}")
            async with Worker(client, task_queue=tasks.task_queue):
                yield EffortStage(tasks, Cast(models), Desk(path), plugin._pool.store.outcomes)


async def test_an_agent_rates_the_job_and_the_layers_follow(stage: EffortStage) -> None:
    each = [opinion("x"), opinion("y")]
    words = {"chair": [{"difficulty": 0.6}], "ann": each, "bob": each, "editor": [opinion("z")]}
    handle, name = await stage.start({**MIXTURE, "difficulty": "crew.chair"}, words)
    end = await end_of(handle)
    assert (end.type, end.output) == ("completed", "z")
    board = await board_of(handle)
    asked = [move["call"] for move in board["moves"] if "call" in move]
    assert asked == ["w/chair.1", "w/ann.2", "w/bob.3", "w/ann.4", "w/bob.5", "w/editor.6"]
    assert (board["moves"][0]["state"], board["moves"][-1]["kept"]) == ("answered", [1, 6])
    (effort,) = (one for one in board["decided"] if one["kind"] == "effort")
    assert effort["what"] == "difficulty 0.6: 2 of 3 layers, 2 of 3 members"
    assert stage.standing(name) == ["editor 1"]
    assert sorted(stage.of(name, "undone")) == ["ann 1", "ann 2", "bob 1", "bob 2"]
    await replayer_of().replay_workflow(await handle.fetch_history())


async def test_a_rated_team_goes_on_in_a_child_with_its_numbers(
    stage: EffortStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(long_teams, "MAX_TURNS", 3)
    each = [opinion("x"), opinion("y")]
    words = {"chair": [{"difficulty": 0.6}], "ann": each, "bob": each, "editor": [opinion("z")]}
    handle, name = await stage.start({**MIXTURE, "difficulty": "crew.chair"}, words)
    end = await end_of(handle)
    assert (end.type, end.output) == ("completed", "z")
    asked = [move["call"] for move in (await board_of(handle))["moves"] if "call" in move]
    assert asked == ["w/chair.1", "w/ann.2", "w/bob.3", "w/ann.4", "w/bob.5", "w/editor.6"]
    assert any("goes on in" in line["what"] for line in (await board_of(handle))["log"])
    assert stage.standing(name) == ["editor 1"]


async def test_a_rule_reads_what_an_earlier_step_has_found(stage: EffortStage) -> None:
    name = uuid4().hex[:8]
    said = {who: [opinion(who)] for who in ("ann", "bob", "editor")}
    stage.cast.play(name, {"chair": [opinion("easy", 0.2)], **said}, busy=False)
    first = {"id": "first", "agent": "crew.chair", "input": {"what": name}}
    team = {**MIXTURE, "difficulty": "steps.first.output.confidence", "output": OPINION}
    handle = await stage.tasks.start([{"id": "w", "team": team, "input": {"what": name}}, first])
    end = await end_of(handle)
    assert end.type == "completed", end.message
    (effort,) = (one for one in (await board_of(handle))["decided"] if one["kind"] == "effort")
    assert (effort["what"], effort["by"]) == ("difficulty 0.2: 1 of 3 layers, 2 of 3 members", "w")
    assert stage.cast.count(name) == 4
    await replayer_of().replay_workflow(await handle.fetch_history())


async def test_a_number_that_cannot_be_ends_it_before_anybody_is_asked(stage: EffortStage) -> None:
    handle, name = await stage.start({**MIXTURE, "difficulty": "task.hard / 2"}, {}, input={"hard": 2.8})
    end = await end_of(handle)
    wrong = "w: difficulty: 'task.hard / 2' comes to 1.4; it has to be a number from 0 to 1"
    assert (end.details["failure"]["type"], end.details["failure"]["message"]) == ("ExpressionError", wrong)
    assert stage.cast.count(name) == 0


async def test_a_ranker_lets_two_go_on_and_the_pool_learns_who_has_added_what(stage: EffortStage) -> None:
    def told(verdict: str, **ratings: int) -> dict[str, Any]:
        return {"output": opinion(verdict), "ratings": ratings}

    words = {
        "ann": [opinion("a"), told("a", bob=2, cid=2)],
        "bob": [opinion("b"), told("b", ann=1, cid=4), told("yes", ann=1, cid=4)],
        "cid": [opinion("c"), told("c", ann=1, bob=4), told("yes", ann=1, bob=4)],
        "chair": [{"best": [3, 2]}],
    }
    members = ["crew.ann", "crew.bob", "crew.cid"]
    debate = {"pattern": "debate", "members": members, "rounds": 3, "by": "output.verdict"}
    handle, name = await stage.start({**debate, "ranker": "crew.chair", "importance": True}, words)
    end = await end_of(handle)
    assert (end.type, end.output) == ("completed", "yes")
    (standing,) = stage.standing(name)
    assert standing in ("bob 3", "cid 3")
    assert len(stage.of(name, "undone")) == 7
    stop = (await board_of(handle))["moves"][-1]
    assert stop["reason"] == "2 of 2 members agree in round 3"
    # Round 3: 1/2 each for two. Round 2: 1/5 for one (twice 1/2 * 1/5), 2/5 for each of the others.
    # Round 1: 2/5 * 1/5 twice is 0.16 for one; 1/5 * 1/2 and 2/5 * 4/5 are 0.42 for each of the others.
    parts = {"ann": 0.36 / 3, "bob": 1.32 / 3, "cid": 1.32 / 3}
    assert stop["importance"] == pytest.approx(parts)
    known = await stage.outcomes.standings([f"crew.{member}" for member in parts])
    found = {member: known[f"crew.{member}"] for member in parts}
    assert {member: standing.good for member, standing in found.items()} == pytest.approx(
        {member: part / (part + 1 / 3) for member, part in parts.items()}, abs=0.001
    )
    await replayer_of().replay_workflow(await handle.fetch_history())
