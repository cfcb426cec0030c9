"""Teams that are too long for one history go on in a child workflow, and are undone as one."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from temporalio.client import WorkflowExecutionStatus

from counterstep.embedded import EmbeddedServer
from counterstep.saga.history_format import TEAM
from counterstep.saga.teams.long import long_teams
from counterstep.testing.model_behaviour import Behaviour, call
from counterstep.testing.model_server import ModelServer
from counterstep.tests.support.bundles.agents import board_of, team_at_work, until
from counterstep.tests.support.bundles.circle import circle
from counterstep.tests.support.bundles.crew import crew
from counterstep.tests.support.bundles.desk import HELD, Desk, desk
from counterstep.tests.support.histories.history import CANCEL_REQUESTED, events_of, until_event
from counterstep.tests.support.tasks.recovery import recover, rest
from counterstep.tests.support.tasks.tasks import Tasks, child_of, end_of, tell, until_asked
from counterstep.tests.support.tasks.work import put

pytestmark = pytest.mark.long

Field = tuple[Tasks, ModelServer]

FIRST = "w/team.4#1"
"""The child in which the fourth turn is taken."""


@pytest.fixture
async def field(
    server: EmbeddedServer, task_queue: str, monkeypatch: pytest.MonkeyPatch, effects: Desk
) -> AsyncIterator[Field]:
    """Three turns are many: a child begins with the fourth, and continues as new after the sixth."""
    monkeypatch.setattr(long_teams, "MAX_TURNS", 3)
    async with team_at_work(server.address, task_queue, monkeypatch, [desk, crew, circle]) as shop:
        yield shop


def chat(turns: int, members: Any = ("crew.ann", "crew.bob", "crew.cid"), **keys: Any) -> dict[str, Any]:
    """A step of members who speak one after the other, so many times."""
    team = {"pattern": "group_chat", "members": [*members], "max_turns": 200}
    said = {**team, "done": f"size(turns) == {turns}", **keys}
    return {"id": "w", "team": said, "input": {"what": "tea"}}


def turn_of(body: dict[str, Any]) -> int:
    """Which turn of a chat a member is asked for, counted from 1."""
    for message in body["messages"]:
        if str(message.get("content")).startswith("What your team tells you: "):
            return len(json.loads(message["content"].partition(": ")[2])["said"]) + 1
    return 1


def speaker(**special: Behaviour) -> Callable[[dict[str, Any]], Behaviour]:
    """A model that puts one thing down in each turn, and says which; `special` is in place of that."""

    def answer(body: dict[str, Any]) -> Behaviour:
        name = f"t{turn_of(body)}"
        if body["messages"][-1]["role"] == "tool":
            return Behaviour.json({"verdict": name, "confidence": 1.0})
        return special.get(name, Behaviour.calls(call("put", what=name)))

    return answer


def things(count: int) -> list[str]:
    return [f"t{turn}" for turn in range(1, count + 1)]


# --- it completes


async def test_a_chat_of_eleven_turns(field: Field, effects: Desk) -> None:
    tasks, models = field
    models.default = speaker()
    handle = await tasks.start([chat(11)], output="${{ steps.w.output.verdict }}")
    end = await end_of(handle)
    assert (end.type, end.output) == ("completed", "t11")
    assert effects.what("done") == things(11)
    assert len({event.key for event in effects.events("done")}) == 11
    assert models.count() == 22, "nobody was asked twice"
    board = await board_of(handle)
    assert board["steps"]["w"]["usage"]["model_calls"] == end.details["usage"]["model_calls"] == 22
    turns = [move for move in board["moves"] if "call" in move]
    members = ["ann", "bob", "cid"]
    assert [move["call"] for move in turns] == [f"w/{members[n % 3]}.{n + 1}" for n in range(11)]
    assert [move["usage"]["model_calls"] for move in turns] == [2] * 11
    assert {move["state"] for move in turns} == {"answered"}
    assert board["moves"][-1]["operation"] == "stop"
    ids = {entry["id"] for entry in board["ledger"]}
    assert {"w/cid.3/tool.1#1", "w/team.4/1/w/ann.4/tool.1#1", "w/team.4/1/w/bob.11/tool.1#1"} <= ids
    started = [
        event.child_workflow_execution_started_event_attributes
        for event in await events_of(handle)
        if event.HasField("child_workflow_execution_started_event_attributes")
    ]
    assert [(one.workflow_type.name, one.workflow_execution.workflow_id) for one in started] == [
        (TEAM, f"{handle.id}/{FIRST}")
    ]


async def test_much_to_say_goes_on_in_a_child_too(
    field: Field, effects: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks, models = field
    monkeypatch.setattr(long_teams, "LONG", 10)
    models.default = speaker()
    handle = await tasks.start([chat(3)])
    assert (await end_of(handle)).type == "completed"
    child = await child_of(tasks, handle, "w/team.2#1").describe()
    assert child.status is WorkflowExecutionStatus.COMPLETED


async def test_a_person_who_plays_is_asked_from_the_child(field: Field, effects: Desk) -> None:
    tasks, models = field
    models.default = speaker()
    person = {"name": "expert", "ask": "What do you say?"}
    handle = await tasks.start([chat(5, ["crew.ann", "crew.bob", "crew.cid", person])])
    await until_asked(handle, "w/expert.4", "What do you say?")
    (asked,) = (await board_of(handle))["waiting_for"]
    assert asked["task"] == f"{handle.id}/{FIRST}"
    await tell(child_of(tasks, handle, FIRST), "decide", step="w/expert.4", action="answer", value="well")
    assert (await end_of(handle)).type == "completed"
    assert sorted(effects.effects()) == ["t1", "t2", "t3", "t5"]


# --- it is undone


@pytest.mark.slow
async def test_a_later_failure_undoes_it_in_order(field: Field, effects: Desk) -> None:
    tasks, models = field
    models.default = speaker()
    end = await tasks.run([put("a"), {**chat(8), "needs": ["a"]}, put("b", "w", fail="final")])
    assert (end.type, end.failure["step"]) == ("SagaRolledBack", "b")
    assert effects.what("undone") == ["b", *things(8)[::-1], "a"]
    assert effects.effects() == {}


async def test_a_turn_that_fails_in_the_child_is_undone_there(field: Field, effects: Desk) -> None:
    tasks, models = field
    models.default = speaker()
    own = speaker()
    nonsense = Behaviour.text("what?")
    models.for_model("bob").default = lambda body: (
        nonsense if turn_of(body) == 5 and body["messages"][-1]["role"] != "user" else own(body)
    )
    handle = await tasks.start([chat(7)])
    assert (await end_of(handle)).type == "completed"
    assert effects.what("undone") == ["t5"]
    assert "t6" in effects.effects(), "the chat has gone on without that turn"
    failed = [move for move in (await board_of(handle))["moves"] if move.get("state") == "failed"]
    assert [move["call"] for move in failed] == ["w/bob.5"]


async def test_rejected_drafts_of_the_parent_are_undone_at_home(
    field: Field, effects: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks, models = field
    monkeypatch.setattr(long_teams, "MAX_TURNS", 1)
    price = {"id": "price", "problem": "there is no price"}
    refused = Behaviour.json({"accepted": False, "issues": [price]})
    for n, name in enumerate("abc"):
        draft = {"verdict": name, "confidence": 1.0}
        said = {"output": draft, "answers": {"price": "added"}} if n else draft
        models.for_model("ann").reply(Behaviour.calls(call("put", what=name)), Behaviour.json(said))
    models.for_model("bob").reply(refused, refused, Behaviour.json({"accepted": True, "issues": []}))
    handle = await tasks.start(
        [{"id": "w", "agent": "circle.pair", "input": {"what": "tea"}}, put("z", "w", fail="final")]
    )
    end = await end_of(handle)
    assert (end.type, end.failure["step"]) == ("SagaRolledBack", "z")
    assert effects.what("done", "undone") == ["a", "a", "b", "b", "c", "z", "z", "c"]
    assert models.count() == 9
    moves = (await board_of(handle))["moves"]
    assert [m["state"] for m in moves if "call" in m] == ["undone"] * 4 + ["answered"] * 2
    assert len({event.key for event in effects.events("done")}) == 4
    for path in ("w/team.2#1", "w/team.3#1"):
        described = await child_of(tasks, handle, path).describe()
        assert described.status is WorkflowExecutionStatus.COMPLETED


async def test_losers_in_parent_and_child_are_undone_and_the_winner_stands(
    field: Field, effects: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks, models = field
    monkeypatch.setattr(long_teams, "MAX_TURNS", 1)
    for name, verdict in (("ann", "no"), ("bob", "yes"), ("cid", "yes")):
        models.for_model(name).reply(
            Behaviour.calls(call("put", what=name)), Behaviour.json({"verdict": verdict, "confidence": 1})
        )
    poll = {
        "pattern": "concurrent",
        "members": ["crew.ann", "crew.bob", "crew.cid"],
        "combine": "vote",
        "by": "output.verdict",
        "max_parallel": 1,
    }
    steps = [{"id": "w", "team": poll, "input": {"what": "tea"}}]
    end = await tasks.run(steps, output="${{ steps.w.output.verdict }}")
    assert (end.type, end.output) == ("completed", "yes")
    assert list(effects.effects()) == ["bob"]
    assert sorted(effects.what("undone")) == ["ann", "cid"]


@pytest.mark.slow
async def test_the_budget_binds_in_the_child(field: Field, effects: Desk) -> None:
    tasks, models = field
    models.default = speaker()
    handle = await tasks.start([chat(30)], budget={"model_calls": 11})
    end = await end_of(handle)
    assert end.failure == {
        "step": "w",
        "type": "BudgetExceeded",
        "message": "the budget of 11 model calls is used up",
    }
    assert models.count() == 11
    assert effects.what("undone") == things(6)[::-1]
    assert effects.effects() == {}
    assert [move["call"] for move in (await board_of(handle))["moves"]][-1] == "w/cid.6"


# --- it is stopped


async def test_a_cancel_in_the_child(field: Field, effects: Desk) -> None:
    tasks, models = field
    models.default = speaker(t8=Behaviour.calls(call("put", what="t8", late=HELD)))
    handle = await tasks.start([chat(30)])
    await effects.until("done", "t8")
    await handle.cancel()
    child = child_of(tasks, handle, FIRST)
    await until_event(child, CANCEL_REQUESTED)
    effects.release("t8")
    assert (await end_of(handle)).type == "cancelled"
    assert effects.what("undone") == things(8)[::-1]
    assert (await child.describe()).status is WorkflowExecutionStatus.CANCELED


@pytest.mark.slow
async def test_a_child_that_is_terminated_is_undone_from_its_histories(field: Field, effects: Desk) -> None:
    tasks, models = field
    models.default = speaker(t8=Behaviour.hang(60))
    handle = await tasks.start([chat(30)])
    await until(models, 15)
    await child_of(tasks, handle, FIRST).terminate()
    end = await end_of(handle)
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "ChildEnded")
    assert effects.what("undone") == things(7)[::-1]
    assert effects.effects() == {}


async def test_a_task_that_is_terminated_behind_it_is_recovered(field: Field, effects: Desk) -> None:
    tasks, models = field
    models.default = speaker()
    handle = await tasks.start([chat(8), rest("w")])
    await effects.until("look", "rest")
    await handle.terminate()
    effects.release("rest")
    assert (await recover(tasks, handle)).state == "completed"
    assert effects.what("undone") == things(8)[::-1]
    assert effects.effects() == {}


# --- it cannot be forged


async def test_nobody_but_a_task_starts_one(field: Field, effects: Desk) -> None:
    tasks, _ = field
    wrong: list[list[Any]] = [[], [{}], [{}, {}], ["x", 7]]
    for arguments in wrong:
        end = await end_of(await tasks.start_workflow(TEAM, *arguments))
        assert end.type == "InvalidInput", arguments
