"""A Redis that dies in the middle: closed for money, open for breakers; no worker starts without it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment
from temporalio.worker import Worker

from counterstep.activities.models import model_chain
from counterstep.activities.models.call_model import ModelCalls
from counterstep.embedded import EmbeddedServer
from counterstep.plugin import CounterstepPlugin
from counterstep.pool_limits.pool import Pool, make_pool
from counterstep.saga.agents.model_protocol import ChatMessage, ModelReply, ModelRequest
from counterstep.saga.errors import DefinitionError
from counterstep.testing.model_behaviour import Behaviour
from counterstep.testing.model_server import ModelServer
from counterstep.tests.support.bundles.desk import desk
from counterstep.tests.support.processes.redis import RedisServer

NUMBERS = count()


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
async def models(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ModelServer]:
    async with ModelServer() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        server.default = Behaviour.text("Seven.")
        yield server


async def ask(pool: Pool) -> ModelReply:
    said = (ChatMessage(role="user", content="What does A1 cost?"),)
    request = ModelRequest(agent="a", models=("openai/gpt-4o",), messages=said)
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, activity_id=f"call-{next(NUMBERS)}")
    answer = await environment.run(ModelCalls(pool).call_model, request.model_dump(mode="json"))
    return ModelReply.model_validate(answer)


async def test_money_is_closed_and_breakers_are_open_until_it_is_back(
    redis: RedisServer, models: ModelServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_chain, "PATIENCE", 0.3)
    (tmp_path / "limits.yaml").write_text("- {name: day, usd: 1, per: 1d}\n")
    limited = make_pool(tmp_path / "limits.yaml", redis.url, "ignore")
    free = make_pool(None, redis.url, "ignore")
    await limited.open()
    assert (await ask(limited)).output == (await ask(free)).output == "Seven."

    redis.kill()
    with pytest.raises(ApplicationError) as caught:
        await ask(limited)
    assert (caught.value.type, caught.value.non_retryable) == ("LimitReached", True)
    assert "the store of limits cannot be reached" in caught.value.message
    ahead = datetime.fromisoformat(caught.value.details[0]["until"]) - datetime.now(UTC)
    assert timedelta(0) < ahead <= timedelta(seconds=5)
    assert models.count() == 2
    assert (await ask(free)).output == "Seven."
    assert models.count() == 3

    redis.start()
    assert (await ask(limited)).output == "Seven."
    for pool in (limited, free):
        await pool.close()


async def test_a_call_that_its_end_finds_without_a_store_keeps_its_answer(
    redis: RedisServer, models: ModelServer, tmp_path: Path
) -> None:
    (tmp_path / "limits.yaml").write_text("- {name: day, usd: 1, per: 1d}\n")
    pool = make_pool(tmp_path / "limits.yaml", redis.url, "ignore")

    def dies(_: object) -> Behaviour:
        redis.kill()
        return Behaviour.text("Paid.")

    models.default = dies
    assert (await ask(pool)).output == "Paid."
    await pool.close()


async def test_a_worker_of_ones_own_does_not_start_without_it(
    server: EmbeddedServer, task_queue: str
) -> None:
    plugin = CounterstepPlugin([desk], redis_url="redis://127.0.0.1:1/0")
    client = await Client.connect(server.address, plugins=[plugin])
    with pytest.raises(DefinitionError, match="COUNTERSTEP_REDIS_URL: the store of limits cannot be reached"):
        await Worker(client, task_queue=task_queue).run()
