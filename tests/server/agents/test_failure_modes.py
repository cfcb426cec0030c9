"""Failure modes of the MAST taxonomy: a model really commits each fault, and only the guard stops it.

Each mode is played twice over HTTP: with the guard nothing of it is left, and without the guard it goes
through.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from counterstep.embedded import EmbeddedServer
from counterstep.testing.model_behaviour import Behaviour, call
from counterstep.testing.model_server import ModelServer
from counterstep.tests.support.bundles.agents import team, team_at_work, told
from counterstep.tests.support.bundles.crew import crew
from counterstep.tests.support.bundles.desk import Desk, desk
from counterstep.tests.support.bundles.till import till
from counterstep.tests.support.tasks.tasks import Tasks, end_of, tell, until_asked

Field = tuple[Tasks, ModelServer]

GUARDED = pytest.mark.parametrize("guarded", [True, False], ids=["guarded", "unguarded"])


@pytest.fixture
async def field(
    server: EmbeddedServer, task_queue: str, monkeypatch: pytest.MonkeyPatch, effects: Desk
) -> AsyncIterator[Field]:
    async with team_at_work(server.address, task_queue, monkeypatch, [desk, team, till, crew]) as shop:
        yield shop


def work(agent: str, **keys: Any) -> dict[str, Any]:
    return {"id": "w", "agent": agent, "input": {"what": "tea"}, **keys}


def together(pattern: str, team: dict[str, Any], **keys: Any) -> dict[str, Any]:
    return {"id": "w", "team": {"pattern": pattern, **team}, "input": {"what": "tea"}, **keys}


def says(models: ModelServer, name: str, *verdicts: str) -> None:
    """In each turn a member puts on the desk what it says."""
    for verdict in verdicts:
        models.for_model(name).reply(
            Behaviour.calls(call("put", what=verdict)), Behaviour.json({"verdict": verdict, "confidence": 1})
        )


@GUARDED
async def test_1_1_disobeys_the_task(field: Field, effects: Desk, guarded: bool) -> None:
    tasks, models = field
    models.for_model("clerk").reply(
        Behaviour.calls(call("put", what="coffee")), Behaviour.json({"placed": ["coffee"]})
    )
    rule = {"rule": "output.placed == [input.what]", "message": "it was told to put something else"}
    end = await tasks.run([work("team.clerk", **({"validate": [rule]} if guarded else {}))])
    assert end.type == ("SagaRolledBack" if guarded else "completed")
    assert list(effects.effects()) == ([] if guarded else ["coffee"])


@GUARDED
async def test_1_2_disobeys_its_role(field: Field, effects: Desk, guarded: bool) -> None:
    tasks, models = field
    agent = "clerk" if guarded else "cashier"  # only the cashier has the tool
    answer = Behaviour.json({"placed": []}) if guarded else Behaviour.text("Charged.")
    models.for_model(agent).reply(Behaviour.calls(call("charge", what="tea", cents=9900)), answer)
    end = await tasks.run([work("team.clerk" if guarded else "till.cashier")])
    assert end.type == "completed"
    assert list(effects.effects()) == ([] if guarded else ["tea"])
    assert ("there is no tool 'charge'" in told(models.requests[1], "tool")[0]) is guarded


@GUARDED
async def test_1_3_repeats_a_step(field: Field, effects: Desk, guarded: bool) -> None:
    tasks, models = field
    pays = Behaviour.calls(call("charge" if guarded else "tip", what="tea", cents=10))
    models.for_model("cashier").reply(pays, pays, Behaviour.text("Paid."))
    assert (await tasks.run([work("till.cashier")])).type == "completed"
    assert effects.what("done") == ["tea"] * (1 if guarded else 2)


@GUARDED
async def test_1_3_repeats_itself_without_any_effect(field: Field, effects: Desk, guarded: bool) -> None:
    tasks, models = field
    puts, looks = Behaviour.calls(call("put", what="tea")), Behaviour.calls(call("look", what="tea"))
    others = [Behaviour.calls(call("look", what=what)) for what in ("tea", "milk", "cup", "jug")]
    repeats = [looks] * 4 if guarded else others  # the same one, or each for the first time
    models.for_model("clerk").reply(puts, *repeats, Behaviour.json({"placed": ["tea"]}))
    end = await tasks.run([work("team.clerk")])
    assert (end.type, len(effects.what("look"))) == (("SagaRolledBack", 2) if guarded else ("completed", 4))
    assert list(effects.effects()) == ([] if guarded else ["tea"])
    if guarded:
        assert end.failure["type"] == "LoopDetected"
        assert 'calls desk.look {"delay":0,"fail":"","what":"tea"} once more' in end.failure["message"]


@GUARDED
async def test_1_3_repeats_what_may_be_repeated_until_its_budget_ends(
    field: Field, effects: Desk, guarded: bool
) -> None:
    tasks, models = field
    tips = Behaviour.calls(call("tip", what="waiter", cents=10))
    models.for_model("cashier").reply(*[tips] * 4, Behaviour.text("Paid."))
    budget = {"budget": {"tool_calls": 2}} if guarded else {}
    end = await tasks.run([work("till.cashier", **budget)])
    assert (end.type, len(effects.what("done"))) == (("SagaRolledBack", 2) if guarded else ("completed", 4))
    assert len(effects.what("undone")) == (2 if guarded else 0)
    if guarded:
        assert end.failure["type"] == "BudgetExceeded"


@GUARDED
async def test_1_5_goes_on_when_it_should_stop_until_its_budget_ends(
    field: Field, effects: Desk, guarded: bool
) -> None:
    tasks, models = field
    more = [Behaviour.calls(call("put", what=f"cup {number}")) for number in range(5)]
    report = Behaviour.json({"placed": ["cup 0"]})
    models.for_model("clerk").reply(*more[: 2 if guarded else 5], report)
    budget = {"budget": {"model_calls": 3}, "on_limit": "finish"} if guarded else {}
    end = await tasks.run([work("team.clerk", **budget)])
    assert end.type == "completed"
    assert (models.count(), len(effects.effects())) == ((3, 2) if guarded else (6, 5))
    if guarded:  # the last call that the budget has is kept to sum up, without any tool
        assert "put" not in [tool["function"]["name"] for tool in models.requests[-1].body.get("tools", ())]


@GUARDED
async def test_1_5_does_not_know_when_to_stop(field: Field, effects: Desk, guarded: bool) -> None:
    tasks, models = field
    names = ["ann", "bob"] * 2  # whatever was said, somebody has to go on
    models.for_model("chair").reply(*[Behaviour.json({"next": name, "reason": "more"}) for name in names])
    says(models, "ann", "finished", "and again")
    says(models, "bob", "more of it")
    done = {"done": "output.verdict == 'finished'"} if guarded else {}
    chat = {"members": ["crew.ann", "crew.bob"], "speaker": "crew.chair", "max_turns": 3}
    end = await tasks.run([together("group_chat", {**chat, **done})])
    assert (end.type, models.count("chair")) == (("completed", 1) if guarded else ("SagaRolledBack", 4))
    assert list(effects.effects()) == (["finished"] if guarded else [])
    if not guarded:
        assert end.failure["type"] == "CapReached"  # the last resort


@GUARDED
async def test_2_1_restarts_the_conversation(field: Field, effects: Desk, guarded: bool) -> None:
    tasks, models = field

    def progress(who: str | None, moves: bool) -> Behaviour:
        word = {"done": who is None, "progress": moves, "in_loop": False, "next": who}
        return Behaviour.json({**word, "instruction": "begin", "reason": "from the start"})

    plan = Behaviour.json({"facts": "none", "plan": "buy tea"})
    done = Behaviour.json({"verdict": "done"})
    models.for_model("chair").reply(plan, progress("ann", True), progress("ann", False))
    models.for_model("chair").reply(plan, progress("ann", True), progress(None, True), done)
    says(models, "ann", "tea", "tea")
    crowd = {"manager": "crew.chair", "members": ["crew.ann", "crew.bob"], "max_stalls": 1}
    reset = {"on_reset": "undo" if guarded else "keep"}
    assert (await tasks.run([together("magentic", {**crowd, **reset})])).type == "completed"
    assert effects.what("done", "undone") == (["tea"] * 3 if guarded else ["tea"] * 2)
    assert len(effects.what("done")) - len(effects.what("undone")) == (1 if guarded else 2)
    again = [request for request in models.requests if request.model == "chair"][3]
    assert '"verdict": "tea"' in told(again, "user")[-1]  # who plans anew knows what there was


@GUARDED
async def test_2_2_does_not_ask(field: Field, effects: Desk, guarded: bool) -> None:
    tasks, models = field
    pays = Behaviour.calls(call("pay" if guarded else "charge", what="tea", cents=900_000))
    models.for_model("cashier").reply(pays, Behaviour.text("Over."))
    handle = await tasks.start([work("till.cashier")])
    if guarded:
        await until_asked(handle, "w/tool.1", "Pay 900000 for tea?")
        (asked,) = (await handle.query("board"))["waiting_for"]
        assert effects.events() == []
        await tell(handle, "decide", step="w/tool.1", action="reject", hash=asked["hash"])
    assert (await end_of(handle)).type == "completed"
    assert effects.what("done") == ([] if guarded else ["tea"])


@GUARDED
async def test_2_3_derails(field: Field, effects: Desk, guarded: bool) -> None:
    tasks, models = field
    says(models, "ann", "tea")
    says(models, "bob", "coffee")  # from here on it is about something else
    rule = {"rule": "output.verdict == input.what", "message": "that is not what was asked for"}
    chat = {"members": ["crew.ann", "crew.bob"], "done": "size(turns) == 2"}
    step = together("group_chat", chat, **({"validate": [rule]} if guarded else {}))
    end = await tasks.run([step], goal="Get what was asked for.")
    assert end.type == ("SagaRolledBack" if guarded else "completed")
    assert list(effects.effects()) == ([] if guarded else ["tea", "coffee"])
    assert all('"what": "tea"' in told(request, "user")[0] for request in models.requests)
    assert all("Get what was asked for." in str(request.body["messages"]) for request in models.requests)


@GUARDED
async def test_2_4_withholds(field: Field, effects: Desk, guarded: bool) -> None:
    tasks, models = field
    vote = {"members": ["crew.ann", "crew.bob"], "combine": "vote", "by": "output.verdict"}
    for name in ("ann", "bob"):  # they know the price, and say it only when they are asked for it
        says(models, name, "yes")
        models.for_model(name).reply(Behaviour.json({"verdict": "yes", "price": 7}))
    fields = {"verdict": {"type": "string"}, "price": {"type": "integer"}}
    price = {"type": "object", "required": [*fields], "properties": fields}
    team = {**vote, **({"output": price} if guarded else {})}
    end = await tasks.run([together("concurrent", team)], output="${{ steps.w.output }}")
    assert end.type == "completed"
    assert end.output == {"verdict": "yes", **({"price": 7} if guarded else {"confidence": 1})}
    assert models.count() == (6 if guarded else 4)


@GUARDED
async def test_2_5_ignores_what_others_object(field: Field, effects: Desk, guarded: bool) -> None:
    tasks, models = field
    issue = {"id": "price", "problem": "there is no price"}
    says(models, "ann", "first")
    models.for_model("ann").reply(Behaviour.calls(call("put", what="second")))
    if guarded:
        ignores = Behaviour.json({"output": {"verdict": "second"}, "answers": {}})
        models.for_model("ann").reply(*[ignores] * 4)
        models.for_model("bob").reply(Behaviour.json({"accepted": False, "issues": [issue]}))
        review = {"maker": "crew.ann", "checker": "crew.bob", "rounds": 2, "then": "fail"}
        step = together("maker_checker", review)
    else:
        models.for_model("ann").reply(Behaviour.json({"verdict": "second"}))
        models.for_model("bob").reply(Behaviour.json({"verdict": "there is no price"}))
        chat = {"members": ["crew.ann", "crew.bob"], "done": "size(turns) == 3"}
        step = together("group_chat", chat)
    end = await tasks.run([step])
    assert (end.type, list(effects.effects())) == (
        ("SagaRolledBack", []) if guarded else ("completed", ["first", "second"])
    )
    if guarded:
        assert "open: price: there is no price" in end.failure["message"]


@GUARDED
async def test_2_6_says_one_thing_and_does_another(field: Field, effects: Desk, guarded: bool) -> None:
    tasks, models = field
    models.for_model("clerk").reply(
        Behaviour.calls(call("put", what="coffee")), Behaviour.json({"placed": ["tea"]})
    )
    check = {"validate": [{"check": "team.did_what_it_says"}]} if guarded else {}
    end = await tasks.run([work("team.clerk", **check)])
    assert end.type == ("SagaRolledBack" if guarded else "completed")
    assert list(effects.effects()) == ([] if guarded else ["coffee"])


@GUARDED
async def test_2_6_asks_for_one_thing_and_does_another(field: Field, effects: Desk, guarded: bool) -> None:
    tasks, models = field
    tool = "pay" if guarded else "charge"
    says = "I will pay 60 cents for tea, as you have said."  # and asks for something else
    asks = Behaviour(content=says, tool_calls=(call(tool, what="tea", cents=9000),))
    again = Behaviour.calls(call(tool, what="tea", cents=9900))  # after a yes to something else
    models.for_model("cashier").reply(asks, again, Behaviour.text("Paid 60 cents."))
    handle = await tasks.start([work("till.cashier")])
    if guarded:
        for number, (cents, action) in enumerate(((9000, "approve"), (9900, "reject")), 1):
            place = f"w/tool.{number}"
            await until_asked(
                handle, place, f"Pay {cents} for tea?"
            )  # what is shown is the call, not the words
            (asked,) = (await handle.query("board"))["waiting_for"]
            assert asked["show"]["arguments"]["cents"] == cents
            await tell(handle, "decide", step=place, action=action, hash=asked["hash"])
    assert (await end_of(handle)).type == "completed"
    assert [event.note for event in effects.events("done")] == (["9000"] if guarded else ["9000", "9900"])


@GUARDED
async def test_3_2_does_not_verify(field: Field, effects: Desk, guarded: bool) -> None:
    tasks, models = field
    puts = Behaviour.calls(call("put", what="coffee"))
    models.for_model("clerk").reply(puts, Behaviour.json({"placed": ["coffee"], "note": "verified"}))
    models.for_model("judge").default = Behaviour.text("Sure, that will be fine.")  # which is not a verdict
    judge = {"judge": {"model": "openai/judge", "criteria": "tea is on the desk"}}
    first = work("team.clerk", **({"validate": [judge]} if guarded else {}))
    builds_on = "${{ steps.w.output.placed[0] }}"
    then = {"id": "then", "tool": "desk.put", "input": {"what": f"cake for {builds_on}"}}
    end = await tasks.run([first, then])
    assert end.type == ("SagaRolledBack" if guarded else "completed")
    assert effects.what("done") == (["coffee"] if guarded else ["coffee", "cake for coffee"])
    assert list(effects.effects()) == ([] if guarded else ["coffee", "cake for coffee"])
    assert (models.count("judge") > 0) is guarded


@GUARDED
async def test_3_1_ends_too_early(field: Field, effects: Desk, guarded: bool) -> None:
    tasks, models = field
    models.for_model("clerk").reply(
        Behaviour.calls(call("put", what="tea")), Behaviour.json({"placed": ["tea", "milk"]})
    )
    check = {"validate": [{"check": "team.did_what_it_says"}]} if guarded else {}
    end = await tasks.run([work("team.clerk", **check)])
    assert end.type == ("SagaRolledBack" if guarded else "completed")
    assert list(effects.effects()) == ([] if guarded else ["tea"])
