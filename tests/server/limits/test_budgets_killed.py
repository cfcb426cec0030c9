"""G23: budgets of tasks whose workers are killed at random moments: what the provider itself has counted."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client

from counterstep.embedded import EmbeddedServer
from counterstep.testing.model_behaviour import Behaviour
from counterstep.testing.model_server import ModelServer
from counterstep.tests.support.processes.pool_worker import PoolOf
from counterstep.tests.support.processes.redis import RedisServer
from counterstep.tests.support.tasks.tasks import end_of

RUNS, SIDE_BY_SIDE, KILLS, PAUSE = 50, 4, 6, 0.5
BUDGETS: list[dict[str, Any]] = [{"tokens": 9000}, {"usd": 9.0}, {"model_calls": 5}]
PRICE = 1000 / 1_000_000
"""US dollars of a token, which the workers assume of a model that nobody knows."""


def spec(number: int) -> dict[str, Any]:
    agent = {"agent": "team.writer", "input": {"for": f"run {number}."}, "timeout": "8s"}
    agent |= {"retry": {"attempts": 3, "initial": "100ms"}}
    steps = [{"id": f"s{index}", **agent} for index in range(SIDE_BY_SIDE)]
    return {"name": f"run{number}", "budget": BUDGETS[number % len(BUDGETS)], "steps": steps}


@pytest.mark.slow
async def test_no_budget_is_passed_by_tasks_whose_workers_are_killed(
    server: EmbeddedServer, task_queue: str, tmp_path: Path
) -> None:
    (tmp_path / "limits.yaml").write_text("breakers: {models: false}\n")
    calls, tokens = Counter[int](), Counter[int]()

    def answer(body: dict[str, Any]) -> Behaviour:
        """Takes all that it is allowed to, and counts a token for every byte."""
        said = json.dumps(body["messages"], ensure_ascii=False)
        number = int(said.partition("run ")[2].partition(".")[0])
        usage = (len(said.encode()), body.get("max_tokens") or 100)
        calls[number] += 1
        tokens[number] += sum(usage)
        return Behaviour.text("Done.").with_(usage=usage, delay=1)

    ends = dict[int, asyncio.Task[Any]]()
    client = await Client.connect(server.address)
    with RedisServer() as redis:
        async with ModelServer() as models:
            models.default = answer
            pool = PoolOf(tmp_path, redis.url, models.environment)
            after = [8 + 16 * n for n in range(KILLS)]
            async with pool.killed_at_random(
                server.address, task_queue, models.count, after, seed=11
            ) as killed:
                for number in range(RUNS):
                    asked, id_ = {"spec": spec(number)}, f"{task_queue}-{number}"
                    handle = await client.start_workflow("AgentTask", asked, id=id_, task_queue=task_queue)
                    ends[number] = asyncio.create_task(end_of(handle))
                    await asyncio.sleep(PAUSE)
                await asyncio.wait(ends.values(), timeout=120)
    told = {number: end.result().details["usage"] for number, end in ends.items()}
    over = Counter[str]()
    for number in range(RUNS):
        budget, spent = BUDGETS[number % len(BUDGETS)], told[number]
        over["model_calls"] += max(0, calls[number] - budget.get("model_calls", calls[number]))
        over["tokens"] += max(0, tokens[number] - budget.get("tokens", tokens[number]))
        over["cents"] += max(0, round(100 * (tokens[number] * PRICE - budget.get("usd", 1e9))))
        assert calls[number] <= spent["model_calls"], "what reached the provider is counted"
        assert tokens[number] <= spent["tokens"] or "model_calls" in budget
    kinds = Counter(end.result().type for end in ends.values())
    print(
        f"\n{RUNS} runs, {len(killed)} kills, {sum(calls.values())} requests, {sum(tokens.values())} tokens: "
        f"ends {dict(kinds)}, overshoot {dict(over)}"
    )
    assert len(killed) >= KILLS // 2
    assert sum(over.values()) == 0
