"""G22: a call with effects that has succeeded is not made a second time because a model planned it again."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from counterstep.embedded import EmbeddedServer
from counterstep.testing.model_behaviour import Behaviour, call
from counterstep.testing.model_server import ModelServer
from counterstep.tests.support.bundles.agents import team_at_work, told
from counterstep.tests.support.bundles.desk import Desk, desk
from counterstep.tests.support.bundles.till import till
from counterstep.tests.support.tasks.tasks import Tasks

AGENT = {"id": "c", "agent": "till.cashier", "input": {}}


@pytest.fixture
async def shop(
    server: EmbeddedServer, task_queue: str, monkeypatch: pytest.MonkeyPatch, effects: Desk
) -> AsyncIterator[tuple[Tasks, ModelServer]]:
    async with team_at_work(server.address, task_queue, monkeypatch, [desk, till]) as shop:
        yield shop


async def answers(shop: tuple[Tasks, ModelServer], *turns: list[Any]) -> list[Any]:
    tasks, models = shop
    models.for_model("cashier").reply(*(Behaviour.calls(*turn) for turn in turns), Behaviour.text("Done."))
    assert (await tasks.run([AGENT])).type == "completed"
    return [json.loads(text) for text in told(models.requests[-1], "tool")]


async def test_the_earlier_result_is_returned_whatever_the_order_and_defaults(
    shop: tuple[Tasks, ModelServer], effects: Desk
) -> None:
    first, second, _, third = await answers(
        shop,
        [call("pay", what="tea", cents=10)],
        [call("pay", cents=10.0, what="tea")],
        [call("tip", what="waiter", cents=1)],  # otherwise the third one would be a loop
        [call("pay", what="tea", cents=10, fail="")],
    )
    assert effects.what("done") == ["tea", "waiter"]
    assert second["result"] == third["result"] == first
    assert "succeeded already" in second["repeated"]


async def test_of_two_equal_calls_in_one_turn_one_is_made(
    shop: tuple[Tasks, ModelServer], effects: Desk
) -> None:
    twice = [call("charge", what="tea", cents=10)] * 2
    first, second = await answers(shop, twice)
    assert effects.what("done") == ["tea"]
    assert second["result"] == first


async def test_a_tool_says_what_becomes_of_repeats(shop: tuple[Tasks, ModelServer], effects: Desk) -> None:
    found = await answers(
        shop,
        [call("tip", what="waiter", cents=1), call("fine", what="car", cents=1)],
        [call("tip", what="waiter", cents=1), call("fine", what="car", cents=1)],
    )
    assert sorted(effects.what("done")) == ["car", "waiter", "waiter"]
    assert "succeeded with these arguments already" in found[3]["error"]


async def test_a_charge_of_unknown_outcome_keeps_its_key_when_it_is_asked_for_again(
    shop: tuple[Tasks, ModelServer], effects: Desk
) -> None:
    await answers(
        shop,
        [call("charge", what="tea", cents=10, fail="after")],
        [call("charge", what="tea", cents=10, fail="after")],
    )
    assert len({event.key for event in effects.events("begin")}) == 1
    assert list(effects.effects()) == ["tea"]


async def test_what_was_undone_may_be_done_again_under_a_new_key(
    shop: tuple[Tasks, ModelServer], effects: Desk
) -> None:
    await answers(
        shop,
        [call("pay", what="tea", cents=10, fail="after")],
        [call("pay", what="tea", cents=10, fail="after")],
    )
    assert effects.what("done", "undone") == ["tea"] * 4
    assert len({event.key for event in effects.events("done")}) == 2
