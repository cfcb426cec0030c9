"""A router on a real server: what is asked for is split, compared, classified, drawn and done in order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from temporalio.client import Client, WorkflowHandle
from temporalio.worker import Replayer, Worker

from counterstep.client.team_decisions import TeamDecision, team_decisions
from counterstep.embedded import EmbeddedServer
from counterstep.plugin import CounterstepPlugin
from counterstep.pool_limits.outcomes import OutcomeStore
from counterstep.saga.routing.outcomes import VERDICT, JobOutcome
from counterstep.testing.model_behaviour import Behaviour, call
from counterstep.testing.model_server import ModelServer
from counterstep.tests.support.bundles.agents import Happened, board_of, team_word
from counterstep.tests.support.bundles.desk import Desk, desk
from counterstep.tests.support.tasks.tasks import Tasks, end_of
from counterstep.tests.support.teams.front_desk import front_desk
from counterstep.workflows import AgentTask

LETTER = {"text": "I want my money back, and cancel my order."}
STEP = {"id": "w", "agent": "front_desk.desk", "input": LETTER}
CANCEL, MONEY = "cancel my order", "money back for my order"


@dataclass
class Shop:
    """A worker, its models, and what its pool knows of agents."""

    tasks: Tasks
    models: ModelServer
    known: OutcomeStore
    plugin: CounterstepPlugin


@pytest.fixture
async def shop(
    server: EmbeddedServer, task_queue: str, monkeypatch: pytest.MonkeyPatch, effects: Desk
) -> AsyncIterator[Shop]:
    async with ModelServer() as models:
        for name, value in models.environment.items():
            monkeypatch.setenv(name, value)
        plugin = CounterstepPlugin([desk, front_desk], inline_specs=True)
        client = await Client.connect(server.address, plugins=[plugin])
        async with Worker(client, task_queue=task_queue):
            yield Shop(Tasks(client, task_queue), models, plugin._pool.store.outcomes, plugin)


def says(models: ModelServer, **words: Any) -> None:
    for name in ("ann", "ben", "cleo"):
        models.for_model(name).reply(
            Behaviour.calls(call("put", what=name)), Behaviour.json({"text": f"{name} has done it"})
        )
    for name, said in words.items():
        models.for_model(name).reply(Behaviour.json(said))


async def decided(handle: WorkflowHandle[Any, Any]) -> dict[str, TeamDecision]:
    found = team_decisions(await board_of(handle))
    return {decision.member: decision for decision in found if decision.member is not None}


async def is_known_to_be(known: OutcomeStore, agent: str, score: float) -> None:
    for number in range(100):
        await known.note(JobOutcome(kind=VERDICT, agent=agent, score=score, key=f"{agent} {number}"))


async def test_a_letter_with_two_requests_is_answered_in_order_and_replays(shop: Shop, effects: Desk) -> None:
    models, known = shop.models, shop.known
    await is_known_to_be(known, "front_desk.ann", 1)
    await is_known_to_be(known, "front_desk.ben", 0)
    parts = [{"request": MONEY, "priority": 1}, {"request": CANCEL, "priority": 2}]
    unsure = {"to": "cancel my order", "confidence": 0.6, "reason": "a guess"}
    says(
        models, splitter={"parts": parts}, quick=unsure, clever={**unsure, "to": "refund", "confidence": 0.7}
    )
    handle = await shop.tasks.start(
        [{**STEP, "validate": [{"check": "front_desk.polite"}]}],
        output="${{ steps.w.output }}",
        budget={"tokens": 500_000},
    )
    end = await end_of(handle)
    assert end.type == "completed", end.message
    assert end.output == [
        {"request": CANCEL, "to": "cancel my order", "output": {"text": "cleo has done it"}},
        {"request": MONEY, "to": "refund", "output": {"text": "ann has done it"}},
    ]
    assert effects.what("done") == ["cleo", "ann"]  # cancelled before anything is refunded
    (sent,) = [request for request in models.requests if request.model == "quick"]
    assert team_word(sent)["part"] == MONEY
    assert set(team_word(sent)["intents"]) == {"refund", "cancel my order"}

    how = await decided(handle)
    cancelled, refunded = how["cleo"].route, how["ann"].route
    assert cancelled is not None and refunded is not None
    assert (cancelled["stage"], cancelled["confidence"]) == ("compare", 1.0)
    assert (refunded["stage"], refunded["confidence"]) == ("classify_better", 0.7)
    chances = refunded["draw"]["chances"]
    assert (chances["ann"]["good"], chances["ben"]["bad"]) == (100, 100)
    assert chances["ann"]["draw"] > chances["ben"]["draw"]
    assert how["embedding"].cost.model_calls == 1 and how["embedding"].cost.usd > 0

    board = await board_of(handle)
    assert board["usage"]["model_calls"] == models.count(), "embeddings count like other calls of models"
    happened = await Happened.in_(handle)
    assert "w/draw.6#1" in happened.text
    assert (await known.standings(["front_desk.ann"]))["front_desk.ann"].good == 101
    await Replayer(workflows=[AgentTask], plugins=[shop.plugin]).replay_workflow(await handle.fetch_history())


async def test_what_a_validator_rejects_counts_against_who_was_drawn(shop: Shop, effects: Desk) -> None:
    models, known = shop.models, shop.known
    await is_known_to_be(known, "front_desk.ben", 1)
    await is_known_to_be(known, "front_desk.ann", 0)
    says(models, splitter={"parts": [{"request": "give me my money back", "priority": 1}]})
    end = await shop.tasks.run([{**STEP, "validate": [{"check": "front_desk.polite"}]}])
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "Rejected")
    assert effects.what("done", "undone") == ["ben", "ben"]
    found = (await known.standings(["front_desk.ben"]))["front_desk.ben"]
    assert (found.good, found.bad) == (100, 1)


async def test_a_budget_of_calls_counts_an_embedding(shop: Shop) -> None:
    says(shop.models, splitter={"parts": [{"request": CANCEL, "priority": 1}]})
    end = await shop.tasks.run([STEP], budget={"model_calls": 1})
    assert end.failure["type"] == "BudgetExceeded"
    assert [request.model for request in shop.models.requests] == ["splitter"]


async def test_many_requests_go_on_in_a_child_and_who_was_drawn_there_is_told_of(
    shop: Shop, effects: Desk
) -> None:
    models, known = shop.models, shop.known
    await is_known_to_be(known, "front_desk.ann", 1)
    await is_known_to_be(known, "front_desk.ben", 0)
    says(models, splitter={"parts": [{"request": "I want a refund", "priority": 1}] * 10})
    models.for_model("ann").default = Behaviour.json({"text": "ann has done it"})
    steps = [{**STEP, "agent": "front_desk.hall", "validate": [{"check": "front_desk.polite"}]}]
    handle = await shop.tasks.start(steps)
    end = await end_of(handle)
    assert end.type == "completed", end.message
    found = (await known.standings(["front_desk.ann"]))["front_desk.ann"]
    assert (found.good, found.bad) == (110, 0)
    assert "counterstep.team" in (await Happened.in_(handle)).text
