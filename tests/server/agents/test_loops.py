"""An agent that goes round in circles is told so once, then stopped, and what it did is undone."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from counterstep.embedded import EmbeddedServer
from counterstep.saga.agents import agent_loop
from counterstep.testing.model_behaviour import Behaviour, call
from counterstep.testing.model_server import ModelServer
from counterstep.tests.support.bundles.agents import board_of, team_at_work, told
from counterstep.tests.support.bundles.desk import Desk
from counterstep.tests.support.tasks.tasks import Tasks, end_of, tell, until_asked

Field = tuple[Tasks, ModelServer]

LOOKS = Behaviour.calls(call("look", what="x"))


@pytest.fixture
async def field(
    server: EmbeddedServer, task_queue: str, monkeypatch: pytest.MonkeyPatch, effects: Desk
) -> AsyncIterator[Field]:
    async with team_at_work(server.address, task_queue, monkeypatch) as parts:
        yield parts


async def test_the_third_equal_call_is_not_made_and_ends_the_agent(field: Field, effects: Desk) -> None:
    tasks, models = field
    puts = Behaviour.calls(call("put", what="kept"))
    models.for_model("clerk").reply(LOOKS, LOOKS, puts, LOOKS, LOOKS, LOOKS)
    handle = await tasks.start([{"id": "w", "agent": "team.clerk", "input": {"what": "x"}}])
    end = await end_of(handle)
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "LoopDetected")
    assert end.failure["message"] == (
        'team.clerk calls desk.look {"delay":0,"fail":"","what":"x"} once more '
        "(w/model.4, w/model.5 and w/model.6), and nothing has changed in between"
    )
    assert (effects.what("look"), effects.what("done", "undone")) == (["x"] * 4, ["kept"] * 2)
    hinted = ["hint" in json.loads(answer) for answer in told(models.requests[-1], "tool")]
    assert hinted == [False, True, False, False, True]
    (refusal,) = (one for one in (await board_of(handle))["decided"] if one["what"] == "stops a loop")
    assert (refusal["kind"], refusal["step"], refusal["by"]) == ("refusal", "w", "team.clerk")
    assert "once more" in refusal["reason"]


async def test_too_many_calls_at_once_are_refused_and_twice_in_a_row_end_it(
    field: Field, effects: Desk
) -> None:
    tasks, models = field
    many = Behaviour.calls(*[call("put", what=f"{number}") for number in range(21)])
    models.for_model("clerk").reply(many, Behaviour.calls(call("put", what="one")), many, many)
    end = await tasks.run([{"id": "w", "agent": "team.clerk", "input": {"what": "x"}}])
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "LoopDetected")
    assert "21 tool calls in one turn once more; the most is 20" in end.failure["message"]
    assert effects.what("done", "undone") == ["one", "one"]


async def test_what_was_seen_goes_on_in_a_child_and_in_its_next_run(
    field: Field, effects: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_loop, "MAX_TURNS", 3)
    tasks, models = field
    others = [Behaviour.calls(call("look", what=what)) for what in "ab"]
    puts = Behaviour.calls(call("put", what="kept"))
    models.for_model("tireless").reply(puts, others[0], LOOKS, others[1], others[0], LOOKS, LOOKS)
    handle = await tasks.start([{"id": "w", "agent": "team.tireless", "input": {"what": "x"}}])
    end = await end_of(handle)
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "LoopDetected")
    assert "(w/model.3, w/model.6 and w/model.7)" in end.failure["message"]
    assert effects.what("done", "undone") == ["kept", "kept"]
    assert [one["kind"] for one in (await board_of(handle))["decided"]] == ["refusal"]


async def test_a_person_may_let_it_go_on_and_a_last_call_may_sum_it_up(field: Field, effects: Desk) -> None:
    tasks, models = field
    step = {"id": "w", "agent": "team.clerk", "input": {"what": "x"}}
    done = Behaviour.json({"placed": []})
    models.for_model("clerk").reply(LOOKS, LOOKS, LOOKS, LOOKS, done, LOOKS, LOOKS, LOOKS, done)
    handle = await tasks.start([{**step, "on_limit": "escalate"}])
    await until_asked(handle, "w/limit", "once more")
    await tell(handle, "decide", step="w/limit", action="raise", by="eve")
    assert (await end_of(handle)).type == "completed"
    assert [(one["kind"], one["by"]) for one in (await board_of(handle))["decided"]] == [
        ("refusal", "team.clerk"),
        ("approval", "eve"),
    ]
    end = await tasks.run([{**step, "on_limit": "finish"}])
    assert (end.type, effects.what("look")) == ("completed", ["x"] * 5)
    for request in models.requests:  # providers take no call without its answer
        said = request.body["messages"]
        asked = [call["id"] for message in said for call in message.get("tool_calls") or ()]
        assert [message["tool_call_id"] for message in said if message["role"] == "tool"] == asked
