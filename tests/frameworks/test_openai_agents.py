"""Temporal's plugin for OpenAI's agents on the same client and worker, listed before ours and behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import Replayer, Worker

with workflow.unsafe.imports_passed_through():
    from agents import Agent, Runner
    from temporalio.openai_agents import ModelActivityParameters, OpenAIAgentsPlugin
    from temporalio.openai_agents.testing import ResponseBuilders, TestModel, TestModelProvider

    from counterstep import Agent as OurAgent
    from counterstep import Bundle, Saga
    from counterstep.embedded import EmbeddedServer
    from counterstep.plugin import CounterstepPlugin
    from counterstep.tests.support.bundles.desk import Desk, desk, put
    from counterstep.tests.support.tasks.tasks import Tasks, end_of

scribe = Bundle("scribe", stand_in=True)
scribe.add(OurAgent(name="clerk", description="Writes.", instructions="Write it down."))

PLACED_THEN_FAILED = [
    {"id": "a", "tool": "desk.put", "input": {"what": "a"}},
    {
        "id": "each",
        "tool": "desk.put",
        "for_each": "${{ ['x', 'y'] }}",
        "input": {"what": "${{ item }}"},
        "needs": ["a"],
    },
    {"id": "z", "tool": "desk.put", "input": {"what": "z", "fail": "final"}, "needs": ["each"]},
]


@workflow.defn
class Haiku:
    """Their own kind of workflow, which has nothing to do with us."""

    @workflow.run
    async def run(self, subject: str) -> str:
        done = await Runner.run(Agent(name="poet", instructions="Write."), subject)
        return str(done.final_output)


@workflow.defn
class PutAsTold:
    """Their agent decides inside of a saga of ours."""

    @workflow.run
    async def run(self, fails: bool) -> str:
        async with Saga() as saga:
            told = await Runner.run(
                Agent(name="clerk", instructions="Name a thing."), "What goes on the desk?"
            )
            await saga.call(put, what=str(told.final_output))
            if fails:
                await saga.call(put, what="never", fail="final")
        return str(told.final_output)


@pytest.fixture(params=["theirs first", "ours first"])
async def tasks(
    request: pytest.FixtureRequest, server: EmbeddedServer, task_queue: str, effects: Desk
) -> AsyncIterator[Tasks]:
    """A worker with both plugins, whose model always answers `lamp`."""
    theirs = OpenAIAgentsPlugin(
        model_params=ModelActivityParameters(start_to_close_timeout=timedelta(seconds=30)),
        model_provider=TestModelProvider(TestModel(lambda: ResponseBuilders.output_message("lamp"))),
    )
    ours = CounterstepPlugin([desk, scribe], inline_specs=True)
    plugins = [theirs, ours] if request.param == "theirs first" else [ours, theirs]
    client = await Client.connect(server.address, plugins=plugins)
    async with Worker(
        client,
        task_queue=task_queue,
        workflows=[Haiku, PutAsTold],
        activity_executor=ThreadPoolExecutor(4),
    ):
        yield Tasks(client, task_queue)


async def test_a_workflow_of_theirs_runs_as_ever(tasks: Tasks) -> None:
    assert await (await tasks.start_workflow("Haiku", "light")).result() == "lamp"


async def test_a_task_of_ours_completes_and_one_that_fails_is_undone(tasks: Tasks, effects: Desk) -> None:
    done = await tasks.run(PLACED_THEN_FAILED[:2])
    assert (done.type, sorted(effects.effects())) == ("completed", ["a", "x", "y"])
    undone = await tasks.run(PLACED_THEN_FAILED)
    assert undone.type == "SagaRolledBack"
    assert sorted(effects.effects()) == ["a", "x", "y"]


async def test_an_agent_of_ours_runs_beside_theirs(tasks: Tasks, effects: Desk) -> None:
    put_down = {"id": "a", "tool": "desk.put", "input": {"what": "a"}, "needs": ["ask"]}
    end = await tasks.run([{"id": "ask", "agent": "scribe.clerk", "input": {"what": "lamp"}}, put_down])
    assert (end.type, list(effects.effects())) == ("completed", ["a"])


async def test_what_their_agent_decided_in_a_saga_is_undone(tasks: Tasks, effects: Desk) -> None:
    assert await (await tasks.start_workflow("PutAsTold", False)).result() == "lamp"
    assert list(effects.effects()) == ["lamp"]
    failed = await end_of(await tasks.start_workflow("PutAsTold", True))
    assert failed.type == "SagaRolledBack"
    # The first run's stands, and what the second has put there is gone.
    assert effects.what("undo")[-1:] == ["lamp"] and list(effects.effects()) == ["lamp"]


async def test_such_a_workflow_replays(tasks: Tasks) -> None:
    handle = await tasks.start_workflow("PutAsTold", True)
    await end_of(handle)
    replayer = Replayer(workflows=[PutAsTold], plugins=[OpenAIAgentsPlugin(), CounterstepPlugin([desk])])
    await replayer.replay_workflow(await handle.fetch_history())
