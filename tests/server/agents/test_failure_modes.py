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
from counterstep.tests.support.bundles.desk import Desk, desk
from counterstep.tests.support.bundles.till import till
from counterstep.tests.support.tasks.tasks import Tasks, end_of, tell, until_asked

Field = tuple[Tasks, ModelServer]

GUARDED = pytest.mark.parametrize("guarded", [True, False], ids=["guarded", "unguarded"])


@pytest.fixture
async def field(
    server: EmbeddedServer, task_queue: str, monkeypatch: pytest.MonkeyPatch, effects: Desk
) -> AsyncIterator[Field]:
    async with team_at_work(server.address, task_queue, monkeypatch, [desk, team, till]) as shop:
        yield shop


def work(agent: str, **keys: Any) -> dict[str, Any]:
    return {"id": "w", "agent": agent, "input": {"what": "tea"}, **keys}


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
async def test_3_1_ends_too_early(field: Field, effects: Desk, guarded: bool) -> None:
    tasks, models = field
    models.for_model("clerk").reply(
        Behaviour.calls(call("put", what="tea")), Behaviour.json({"placed": ["tea", "milk"]})
    )
    check = {"validate": [{"check": "team.did_what_it_says"}]} if guarded else {}
    end = await tasks.run([work("team.clerk", **check)])
    assert end.type == ("SagaRolledBack" if guarded else "completed")
    assert list(effects.effects()) == ([] if guarded else ["tea"])
