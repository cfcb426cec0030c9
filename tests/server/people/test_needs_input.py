"""MAST 2.2: an agent that lacks something asks a person, and goes on with the answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from temporalio.client import WorkflowHandle

from counterstep import Agent, Asking, Bundle, DefinitionError
from counterstep.embedded import EmbeddedServer
from counterstep.saga.agents import agent_loop
from counterstep.testing.model_behaviour import Behaviour, call
from counterstep.testing.model_server import ModelServer
from counterstep.tests.support.bundles.agents import team_at_work, told
from counterstep.tests.support.bundles.desk import Desk, desk, put
from counterstep.tests.support.tasks.tasks import Tasks, child_of, end_of, refusal_of, tell, until_asked

office = Bundle("office")
KEYS: dict[str, Any] = {"description": "Puts things on the desk.", "instructions": "You put.", "tools": [put]}
office.add(Agent(name="clerk", model="openai/clerk", may_ask=True, **KEYS))
office.add(
    Agent(name="hasty", model="openai/hasty", may_ask=Asking.model_validate({"deadline": "200ms"}), **KEYS)
)
office.add(Agent(name="mute", model="openai/mute", **KEYS))

Shop = tuple[Tasks, ModelServer]


@pytest.fixture
async def shop(
    server: EmbeddedServer, task_queue: str, monkeypatch: pytest.MonkeyPatch, effects: Desk
) -> AsyncIterator[Shop]:
    async with team_at_work(server.address, task_queue, monkeypatch, [desk, office]) as shop:
        yield shop


def step(name: str) -> dict[str, Any]:
    return {"id": "s", "agent": f"office.{name}", "input": {"wish": "put something"}}


async def asked_of(handle: WorkflowHandle[Any, Any], step: str) -> dict[str, Any]:
    await until_asked(handle, step)
    board = await handle.query("board")
    return next(asked for asked in board["waiting_for"] if asked["step"] == step)


async def test_an_agent_asks_and_goes_on_with_the_answer(shop: Shop, effects: Desk) -> None:
    tasks, models = shop
    models.for_model("clerk").reply(
        Behaviour.calls(call("ask_person", question="Which one?", choices=["cup", "pen"])),
        Behaviour.calls(call("put", what="pen")),
        Behaviour.text("Done."),
    )
    handle = await tasks.start([step("clerk")], output="${{ steps.s.output }}")
    asked = await asked_of(handle, "s/ask.1")
    assert (asked["kind"], asked["ask"], asked["actions"]) == ("needs_input", "Which one?", ["answer"])
    assert asked["show"] == {"agent": "office.clerk", "choices": ["cup", "pen"]}
    assert (await handle.query("board"))["state"] == "waiting"
    said = {"step": "s/ask.1", "action": "answer"}
    assert "'tea' is not one of the choices: cup, pen" in await refusal_of(
        handle, "decide", **said, value="tea"
    )
    assert "needs a value" in await refusal_of(handle, "decide", **said)
    await tell(handle, "decide", **said, value="pen")
    assert (await end_of(handle)).output == "Done."
    assert effects.what("done") == ["pen"]
    assert told(models.requests[1], "tool") == ['{"answer": "pen"}']


async def test_nobody_answers_an_agent_in_time(shop: Shop, effects: Desk) -> None:
    tasks, models = shop
    models.for_model("hasty").reply(
        Behaviour.calls(call("ask_person", question="Which one?")), Behaviour.text("I do not know.")
    )
    assert (await tasks.run([step("hasty")])).type == "completed"
    assert "no_answer" in told(models.requests[1], "tool")[0]


async def test_a_long_conversation_asks_too(
    shop: Shop, effects: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_loop, "MAX_TURNS", 1)
    tasks, models = shop
    models.for_model("clerk").reply(
        Behaviour.calls(call("put", what="cup")),
        Behaviour.calls(call("ask_person", question="And now?")),
        Behaviour.calls(call("put", what="pen")),
        Behaviour.text("Done."),
    )
    handle = await tasks.start([step("clerk")])
    asked = await asked_of(handle, "s/ask.2")
    child = child_of(tasks, handle, "s/talk#1")
    assert asked["task"] == child.id
    await tell(child, "decide", step="s/ask.2", action="answer", value="the pen")
    assert (await end_of(handle)).type == "completed"
    assert effects.what("done") == ["cup", "pen"]


async def test_an_agent_that_may_not_ask_has_no_such_tool(shop: Shop) -> None:
    tasks, models = shop
    models.for_model("mute").reply(
        Behaviour.calls(call("ask_person", question="Which one?")), Behaviour.text("Done.")
    )
    assert (await tasks.run([step("mute")])).type == "completed"
    assert "there is no tool 'ask_person'" in told(models.requests[1], "tool")[0]
    assert "ask_person" not in str(models.requests[0].body.get("tools"))


def test_what_agents_may_ask_is_one_persons_answer() -> None:
    with pytest.raises(DefinitionError, match="one person's answer"):
        Bundle("b").add(Agent(name="a", may_ask=Asking(people=2), **KEYS))
    with pytest.raises(DefinitionError, match="must be True, False or an Asking"):
        Bundle("b").add(Agent(name="a", may_ask="yes", **KEYS))  # type: ignore[arg-type]
