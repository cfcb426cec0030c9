"""What a worker logs of its tasks: where each record belongs, nothing twice, and no key."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import pytest
from temporalio.client import Client
from temporalio.worker import Worker

from counterstep.embedded import EmbeddedServer
from counterstep.plugin import CounterstepPlugin
from counterstep.testing.model_behaviour import Behaviour
from counterstep.testing.model_server import ModelServer
from counterstep.tests.support.bundles.agents import KEY
from counterstep.tests.support.bundles.talkative import (
    PASSWORD,
    Log,
    Narrator,
    logging_to_json,
    talkative,
)
from counterstep.tests.support.tasks.tasks import Tasks, end_of


@pytest.fixture
def log() -> Iterator[Log]:
    with logging_to_json("info") as log:
        yield log


@pytest.fixture
async def tasks(server: EmbeddedServer, task_queue: str) -> AsyncIterator[Tasks]:
    """A worker that forgets each workflow after each of its turns, so that all of them are replayed."""
    client = await Client.connect(server.address, plugins=[CounterstepPlugin([talkative], inline_specs=True)])
    async with Worker(
        client,
        task_queue=task_queue,
        workflows=[Narrator],
        max_cached_workflows=0,
        max_concurrent_workflow_task_polls=1,
        graceful_shutdown_timeout=timedelta(seconds=5),
    ):
        yield Tasks(client, task_queue)


async def test_a_record_says_where_it_was_made(tasks: Tasks, log: Log) -> None:
    steps = [
        {"id": "first", "tool": "talkative.say", "input": {"what": "one"}},
        {"id": "second", "tool": "talkative.sing", "input": {"what": "${{ steps.first.output }}"}},
    ]
    handle = await tasks.start(steps)
    assert (await end_of(handle)).type == "completed"
    run = {"workflow_id": handle.id, "run_id": handle.first_execution_run_id, "attempt": 1}
    (said,), (sung,) = log.of("said one"), log.of("sung")
    for record, step, tool in ((said, "first", "talkative.say"), (sung, "second", "talkative.sing")):
        expected = {**run, "step": step, "activity": tool}
        assert {name: record.get(name) for name in expected} == expected
    assert sung["what"] == "one"
    (ended,) = log.of("task completed")
    expected = {**run, "workflow": "AgentTask"}
    assert {name: ended.get(name) for name in expected} == expected
    took = [record for record in log.records if record["logger"] == "counterstep.calls"]
    assert [record["step"] for record in took if "step" in record][-2:] == ["first", "second"]


async def test_what_fails_names_its_step_and_its_attempt(tasks: Tasks, log: Log) -> None:
    retry = {"attempts": 2, "initial": "10ms"}
    end = await end_of(
        await tasks.start([{"id": "leak", "tool": "talkative.blab", "input": {"key": KEY}, "retry": retry}])
    )
    assert end.type == "SagaRolledBack"
    failed = [record for record in log.records if "ConnectionError" in record.get("exception", "")]
    assert [(record["step"], record["attempt"]) for record in failed] == [("leak", 1), ("leak", 2)]
    (ended,) = [record for record in log.records if record["event"].startswith("task failed: SagaRolledBack")]
    assert ended["level"] == "warning"


async def test_a_replay_logs_nothing_again(tasks: Tasks, log: Log) -> None:
    handle = await tasks.start_workflow("Narrator")
    await handle.signal("end")
    assert await handle.result() == "done"
    spec = await tasks.start([{"id": "only", "tool": "talkative.say", "input": {"what": "x"}}])
    assert (await end_of(spec)).type == "completed"
    said = [record["event"] for record in log.records]
    lines = ["begins", "begins, said to another logger", "goes on", "may end", "ends", "task started"]
    assert {line: said.count(line) for line in lines} == dict.fromkeys(lines, 1)
    (begins,) = log.of("begins")
    assert (begins["workflow"], begins["workflow_id"]) == ("Narrator", handle.id)


async def test_no_key_and_no_password_reaches_the_logs(
    server: EmbeddedServer, task_queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    api_key = "temporal-api-key-0123456789"
    monkeypatch.setenv("TEMPORAL_API_KEY", api_key)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    async with ModelServer() as models:
        monkeypatch.setenv("OPENAI_API_BASE", models.base_url)
        models.default = Behaviour.refused_key(KEY)
        client = await Client.connect(
            server.address, plugins=[CounterstepPlugin([talkative], inline_specs=True)]
        )
        with logging_to_json("debug") as log:
            async with Worker(client, task_queue=task_queue):
                tasks = Tasks(client, task_queue)
                logging.getLogger("temporalio").warning("metadata authorization: Bearer %s", api_key)
                steps = [
                    {"id": "leak", "tool": "talkative.blab", "input": {"key": KEY}, "on_failure": "skip"},
                    {"id": "ask", "agent": "talkative.asker", "input": {"text": "hello"}},
                ]
                assert (await end_of(await tasks.start(steps))).type == "SagaRolledBack"
                assert models.count() == 1
    assert len(log.of("asking")) >= 2
    assert "cannot connect to postgresql://[redacted]@database:5432/trip" in log.text
    assert "Incorrect API key provided" in log.text
    for secret in (KEY, KEY[3:], PASSWORD, api_key):
        assert secret not in log.text
