"""A step that leaves its agent fewer tools: no other one is offered, nor called, wherever it goes on."""

from __future__ import annotations

import pytest

from counterstep.embedded import EmbeddedServer
from counterstep.saga.agents import agent_loop
from counterstep.testing.model_behaviour import Behaviour, call
from counterstep.testing.model_server import ReceivedRequest
from counterstep.tests.support.bundles.agents import team_at_work, told
from counterstep.tests.support.bundles.desk import Desk


def tools_of(request: ReceivedRequest) -> list[str]:
    return [tool["function"]["name"] for tool in request.body.get("tools", ())]


async def test_what_a_step_leaves_out_is_neither_offered_nor_called(
    server: EmbeddedServer, task_queue: str, monkeypatch: pytest.MonkeyPatch, effects: Desk
) -> None:
    monkeypatch.setattr(agent_loop, "MAX_TURNS", 1)  # the second turn of each step is taken in a child
    async with team_at_work(server.address, task_queue, monkeypatch) as (tasks, models):
        puts, looks = Behaviour.calls(call("put", what="x")), Behaviour.calls(call("look", what="x"))
        done = Behaviour.json({"placed": []})
        models.for_model("clerk").reply(puts, looks, done, puts, done)
        step = {"agent": "team.clerk", "input": {"what": "x"}}
        reads = {"id": "reads", **step, "tools": ["desk.look"]}
        acts = {"id": "acts", **step, "needs": ["reads"]}
        assert (await tasks.run([reads, acts])).type == "completed"
    own = {"put", "look", "set_label"}
    offered = [own.intersection(tools_of(request)) for request in models.requests]
    assert offered == [{"look"}] * 3 + [own] * 2
    assert "there is no tool 'put'" in told(models.requests[1], "tool")[0]
    assert (effects.what("look"), effects.what("done")) == (["x"], ["x"])
