"""An agent asks other agents and teams also where its conversation goes on in a child workflow."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from counterstep.embedded import EmbeddedServer
from counterstep.saga.agents import agent_loop
from counterstep.testing.model_behaviour import Behaviour, call
from counterstep.testing.model_server import ModelServer
from counterstep.tests.support.bundles.agents import board_of, team_at_work
from counterstep.tests.support.bundles.crew import crew
from counterstep.tests.support.bundles.desk import Desk, desk
from counterstep.tests.support.tasks.tasks import Tasks, child_of, end_of, tell, until_asked
from counterstep.tests.support.tasks.work import put

Field = tuple[Tasks, ModelServer]


@pytest.fixture
async def field(
    server: EmbeddedServer, task_queue: str, monkeypatch: pytest.MonkeyPatch, effects: Desk
) -> AsyncIterator[Field]:
    """Each turn but the first one of a run is taken in the next: the second one in a child."""
    monkeypatch.setattr(agent_loop, "MAX_TURNS", 1)
    async with team_at_work(server.address, task_queue, monkeypatch, [desk, crew]) as shop:
        yield shop


def step(agent: str, **keys: Any) -> dict[str, Any]:
    return {"id": "w", "agent": f"crew.{agent}", "input": {"what": "tea"}, **keys}


def votes(models: ModelServer, *names: str) -> None:
    for name in names:
        models.for_model(name).reply(
            Behaviour.calls(call("put", what=name)), Behaviour.json({"verdict": "yes", "confidence": 1})
        )


GUARDED = {"tool": "desk.put", "when": "arguments.what == 'ann'", "ask": "May it?"}
DONE = Behaviour.json({"verdict": "done"})


async def test_a_team_and_python_code_are_asked_in_the_child_and_undone_with_the_task(
    field: Field, effects: Desk
) -> None:
    tasks, models = field
    models.for_model("lead").reply(
        Behaviour.calls(call("mover", what="z")), Behaviour.calls(call("poll", what="tea")), DONE
    )
    votes(models, "ann", "bob", "cid")
    handle = await tasks.start([step("lead"), put("b", "w", fail="final")])
    end = await end_of(handle)
    assert (end.type, end.failure["step"]) == ("SagaRolledBack", "b")
    assert effects.effects() == {}
    assert sorted(effects.what("undone")) == sorted(["b", "z", *effects.what("done")[1:4]])
    board = await board_of(handle)
    standing = {entry["id"] for entry in board["ledger"] if entry["state"] == "undone"}
    assert "w/mover.1#1" in standing
    assert any(id_.startswith("w/talk/1/w/poll.2/") for id_ in standing)
    spawned = [move for move in board["moves"] if move["operation"] == "spawn"]
    members = ["w/poll.2/ann.1", "w/poll.2/bob.2", "w/poll.2/cid.3"]
    assert [move["call"] for move in spawned] == ["w/mover.1", "w/poll.2", *members]
    last = board["moves"][-1]
    assert (last["operation"], last["team"], last["kept"]) == ("stop", "w", [1, 2])
    assert end.details["usage"]["model_calls"] == models.count()


async def test_what_a_member_does_in_a_child_is_counted_for_its_turn(field: Field, effects: Desk) -> None:
    tasks, models = field
    votes(models, "ann", "bob", "cid")
    handle = await tasks.start([step("survey")])
    assert (await end_of(handle)).type == "completed"
    moves = (await board_of(handle))["moves"]
    assert [move["usage"]["model_calls"] for move in moves if "call" in move] == [2, 2, 2]


async def test_the_calls_of_delegates_in_the_child_are_approved(field: Field, effects: Desk) -> None:
    tasks, models = field
    models.for_model("boss").reply(
        Behaviour.calls(call("put", what="z")), Behaviour.calls(call("ann", what="tea")), DONE
    )
    votes(models, "ann")
    handle = await tasks.start([step("boss")], approvals=[GUARDED])
    await until_asked(handle, "w/ann.2/tool.1", "May it?")
    assert effects.what("done") == ["z"]
    (asked,) = (await board_of(handle))["waiting_for"]
    child = child_of(tasks, handle, asked["task"].removeprefix(f"{handle.id}/"))
    await tell(child, "decide", step=asked["step"], action="approve", hash=asked["hash"])
    assert (await end_of(handle)).type == "completed"
    assert sorted(effects.effects()) == ["ann", "z"]


async def test_the_budget_binds_delegates_in_the_child(field: Field, effects: Desk) -> None:
    tasks, models = field
    models.for_model("boss").reply(
        Behaviour.calls(call("put", what="z")), Behaviour.calls(call("ann", what="tea")), DONE
    )
    votes(models, "ann")
    end = await tasks.run([step("boss")], budget={"model_calls": 3})
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "BudgetExceeded")
    assert models.count() == 3
    assert effects.effects() == {}
    assert sorted(effects.what("undone")) == ["ann", "z"]
