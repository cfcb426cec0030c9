"""Judges that only the code of a workflow names spend from its budget as all others do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from temporalio import workflow

from counterstep import Budget, Saga
from counterstep.embedded import EmbeddedServer
from counterstep.testing.model_behaviour import Behaviour
from counterstep.testing.model_server import ModelServer
from counterstep.tests.support.bundles.agents import Happened, team_at_work
from counterstep.tests.support.bundles.desk import Desk, put
from counterstep.tests.support.tasks.tasks import Tasks, end_of

Team = tuple[Tasks, ModelServer]

JUDGED = Behaviour.json({"score": 1, "reasons": ["fine"]})
JUDGES = [
    {"judge": {"model": "openai/gpt-4.1-nano", "criteria": f"It is {what}."}} for what in ("fine", "good")
]
INPUT_USD, OUTPUT_USD = 0.1e-6, 0.4e-6


@workflow.defn(sandboxed=False)
class Judged:
    """Puts two things on the desk, and has two judges look at each."""

    @workflow.run
    async def run(self, usd: float) -> str:
        async with Saga(budget=Budget(usd=usd)) as saga:
            await saga.call(put, what="a", validate=JUDGES)
            await saga.call(put, what="b", validate=JUDGES)
        return "done"


@pytest.fixture
async def team(
    server: EmbeddedServer, task_queue: str, monkeypatch: pytest.MonkeyPatch, effects: Desk
) -> AsyncIterator[Team]:
    async with team_at_work(server.address, task_queue, monkeypatch, workflows=[Judged]) as team:
        yield team


async def test_what_a_judge_may_cost_is_known_before_it_is_asked(team: Team, effects: Desk) -> None:
    tasks, models = team
    models.for_model("gpt-4.1-nano").default = JUDGED
    handle = await tasks.start_workflow("Judged", 0.002)
    assert (await end_of(handle)).type == "completed"
    assert models.count() == 4
    beside = models.requests[:2]
    most = [most_usd(request.body) for request in beside]
    assert sum(most) <= 0.002, "the two that are asked side by side keep within the budget together"
    text = (await Happened.in_(handle)).text
    assert text.count("counterstep.appraise") == 2, "nobody looks it up once more for the second thing"


def most_usd(body: dict[str, Any]) -> float:
    """What a request may cost that has so many bytes, and says how long its answer may be."""
    sent = sum(len(message["content"].encode()) for message in body["messages"])
    return sent * INPUT_USD + float(body["max_tokens"]) * OUTPUT_USD


async def test_a_judge_for_whom_there_is_no_room_is_not_asked(team: Team, effects: Desk) -> None:
    tasks, models = team
    models.for_model("gpt-4.1-nano").default = JUDGED
    end = await end_of(await tasks.start_workflow("Judged", 0.0001))
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "BudgetExceeded")
    assert (models.count(), effects.effects()) == (0, {})
