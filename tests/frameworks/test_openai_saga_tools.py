"""What agents of the OpenAI Agents SDK do besides: hand over, be tools of each other, answer in a chat."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import Replayer, Worker

with workflow.unsafe.imports_passed_through():
    from agents import Agent, Runner
    from temporalio.openai_agents import ModelActivityParameters, OpenAIAgentsPlugin

    from counterstep import Budget, Saga
    from counterstep.adapters.openai_agents import saga_tools
    from counterstep.embedded import EmbeddedServer
    from counterstep.plugin import CounterstepPlugin
    from counterstep.tests.support.bundles.desk import Desk, announce, desk, put
    from counterstep.tests.support.frameworks.openai_script import ScriptedProvider
    from counterstep.tests.support.frameworks.turns import turns
    from counterstep.tests.support.tasks.tasks import Tasks, end_of


@workflow.defn
class Reception:
    """Hands over to one of two clerks; the second is a tool of the first as well."""

    @workflow.run
    async def run(self, told: str, model_calls: int = 20) -> str:
        async with Saga(budget=Budget(model_calls=model_calls)) as saga:
            junior = Agent[Any](name="junior", instructions="Put.", tools=saga_tools(saga, [put]))
            asked = junior.as_tool("ask_junior", "Lets the junior do it.")
            tools = [*saga_tools(saga, [put, announce]), asked]
            senior = Agent[Any](name="senior", instructions="Put.", tools=tools, handoffs=[junior])
            desk = Agent[Any](name="reception", instructions="Delegate.", handoffs=[senior])
            done = await Runner.run(desk, told, max_turns=6)
        return str(done.final_output)


@workflow.defn
class Chat:
    """Keeps a saga open, in which the handler of an update lets an agent work."""

    def __init__(self) -> None:
        self.ended = ""
        self.saga: Saga | None = None

    @workflow.run
    async def run(self) -> None:
        async with Saga(budget=Budget(model_calls=4)) as saga:
            self.saga = saga
            await workflow.wait_condition(lambda: self.ended != "" and workflow.all_handlers_finished())
            if self.ended == "badly":
                raise RuntimeError("they were not content")

    @workflow.update
    async def say(self, told: str) -> str:
        await workflow.wait_condition(lambda: self.saga is not None)
        assert self.saga is not None
        clerk = Agent[Any](name="clerk", instructions="Put.", tools=saga_tools(self.saga, [put]))
        return str((await Runner.run(clerk, told)).final_output)

    @workflow.signal
    def end(self, how: str) -> None:
        self.ended = how


def theirs() -> OpenAIAgentsPlugin:
    """Asks models in local activities."""
    params = ModelActivityParameters(start_to_close_timeout=timedelta(seconds=30), use_local_activity=True)
    return OpenAIAgentsPlugin(model_params=params, model_provider=ScriptedProvider())


@pytest.fixture
async def tasks(server: EmbeddedServer, task_queue: str, effects: Desk) -> AsyncIterator[Tasks]:
    client = await Client.connect(server.address, plugins=[CounterstepPlugin([desk]), theirs()])
    async with Worker(client, task_queue=task_queue, workflows=[Reception, Chat]):
        yield Tasks(client, task_queue)


def to(name: str) -> list[tuple[str, dict[str, Any]]]:
    return [(f"transfer_to_{name}", {})]


async def test_agents_that_are_handed_over_to_share_what_was_done(tasks: Tasks, effects: Desk) -> None:
    put_a = ("put", {"what": "a"})
    told = turns(to("senior"), [put_a, ("announce", {"what": "b"})], to("junior"), [put_a], "done")
    handle = await tasks.start_workflow("Reception", told)
    assert await handle.result() == "done"
    assert effects.what("begin").count("a") == 1 and sorted(effects.effects()) == ["a", "b"]
    board = await handle.query("board")
    assert board["usage"]["model_calls"] == 5
    assert [line["who"] for line in board["log"] if line["what"].startswith("asks")] == [
        "reception",
        "senior",
        "senior",
        "junior",
        "junior",
    ]
    replayer = Replayer(workflows=[Reception], plugins=[theirs(), CounterstepPlugin([desk])])
    await replayer.replay_workflow(await handle.fetch_history())


async def test_what_an_agent_did_that_is_a_tool_is_undone_and_counted(tasks: Tasks, effects: Desk) -> None:
    asked = turns([("put", {"what": "b"})], "done by the junior")
    told = turns(to("senior"), [("put", {"what": "a"})], [("ask_junior", {"input": asked})], "done")
    assert await (await tasks.start_workflow("Reception", told)).result() == "done"
    assert sorted(effects.effects()) == ["a", "b"]
    # One less than it needs: the last answer is refused.
    end = await end_of(await tasks.start_workflow("Reception", told, 5))
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "BudgetExceeded")
    assert end.details["usage"]["model_calls"] == 5
    assert sorted(effects.effects()) == ["a", "b"] and effects.what("undone") == ["b", "a"]


async def test_a_run_of_too_many_turns_is_undone(tasks: Tasks, effects: Desk) -> None:
    told = turns(to("senior"), *([("put", {"what": f"{turn}"})] for turn in range(7)), "never")
    end = await end_of(await tasks.start_workflow("Reception", told))
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "MaxTurnsExceeded")
    assert effects.effects() == {} and len(effects.what("undone")) == 5


@pytest.mark.parametrize("how", ["well", "badly"])
async def test_what_is_done_in_a_chat_belongs_to_its_saga(tasks: Tasks, effects: Desk, how: str) -> None:
    handle = await tasks.start_workflow("Chat")
    for what in ("a", "b"):
        assert await handle.execute_update("say", turns([("put", {"what": what})], what)) == what
        assert (await handle.query("board"))["usage"]["model_calls"] in (2, 4)
    await handle.signal("end", how)
    end = await end_of(handle)
    assert end.type == ("completed" if how == "well" else "SagaRolledBack")
    assert sorted(effects.effects()) == (["a", "b"] if how == "well" else [])
