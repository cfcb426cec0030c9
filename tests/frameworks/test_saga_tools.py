"""Agents of frameworks with the tools of a saga, in either order of the plugins."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest
from temporalio.client import Client, WorkflowHandle, WorkflowQueryFailedError
from temporalio.service import RPCError
from temporalio.worker import Replayer, Worker

from counterstep.embedded import EmbeddedServer
from counterstep.plugin import CounterstepPlugin
from counterstep.tests.support.bundles.desk import HELD, Desk, desk
from counterstep.tests.support.bundles.till import till
from counterstep.tests.support.frameworks.alike import alike
from counterstep.tests.support.frameworks.turns import ECHO, TOKENS, turns
from counterstep.tests.support.tasks.tasks import Tasks, end_of, tell, until_asked

OTHERS = {"openai_agents": "StreamingClerk", "pydantic_ai": "OldClerk", "langgraph": "FunctionalClerk"}


@dataclass(frozen=True)
class Office(Tasks):
    """A worker with the plugin of a framework and ours."""

    client: Client
    task_queue: str
    framework: str
    replayer: Replayer

    async def replays(self, handle: WorkflowHandle[Any, Any]) -> None:
        await self.replayer.replay_workflow(await handle.fetch_history())


async def query_after(handle: WorkflowHandle[Any, Any], seconds: float) -> None:
    """Looks so early that the first workflow task may be divided; the board may not be there yet."""
    await asyncio.sleep(seconds)
    with suppress(RPCError, WorkflowQueryFailedError):
        await handle.query("board")


@pytest.fixture(params=OTHERS)
def framework(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["theirs first", "ours first"])
async def office(
    request: pytest.FixtureRequest, framework: str, server: EmbeddedServer, task_queue: str, effects: Desk
) -> AsyncIterator[Office]:
    clerks = importlib.import_module(f"counterstep.tests.support.frameworks.{framework}_clerks")
    theirs, ours = clerks.plugin(), CounterstepPlugin([desk, till, alike])
    plugins = [theirs, ours] if request.param == "theirs first" else [ours, theirs]
    client = await Client.connect(server.address, plugins=plugins)
    # A replayer has them in the one order that its page says.
    replayer = Replayer(workflows=clerks.WORKFLOWS, plugins=[theirs, ours])
    threads = ThreadPoolExecutor(4)
    async with Worker(client, task_queue=task_queue, workflows=clerks.WORKFLOWS, activity_executor=threads):
        yield Office(client, task_queue, framework, replayer)


async def test_calls_are_recorded_told_and_not_repeated(office: Office, effects: Desk) -> None:
    for clerk in ("Clerk", OTHERS[office.framework]):
        a, b, c, d = (f"{name} of {clerk}" for name in "abcd")
        told = turns(
            [("put", {"what": a}), ("put", {"what": b}), ("look", {"what": "x"})],
            [("put", {"what": a}), ("put", {"what": c, "fail": "final"})],
            [("put", {"nothing": 1}), ("put", {"what": d})],
            [("put", {"what": b}), ("put", {"what": "e", "fail": "final"}), ("put", {"nothing": 1})],
            ECHO,
        )
        handle = await office.start_workflow(clerk, told)
        await asyncio.gather(*(query_after(handle, 0.003 * turn) for turn in range(10)))
        told = await handle.result()
        assert f'"what": "{b}"' in told and "was not made again" in told
        assert '{"error": "Final: e failed for good"}' in told and '"error": "InvalidInput: what: ' in told
        assert {a, b, d} <= effects.effects().keys() and c not in effects.effects()
        assert effects.what("done").count(a) == 1 and c in effects.what("undone")
        board = await handle.query("board")
        assert (board["usage"]["model_calls"], board["usage"]["tokens"]) == (5, 10 * TOKENS)
        states = {name: step["state"] for name, step in board["steps"].items()}
        assert (states["put"], states["put_3"], states["put_4"]) == ("completed", "undone", "failed")
        await office.replays(handle)


async def test_a_budget_is_counted_afterwards_and_ends_the_run(office: Office, effects: Desk) -> None:
    told = turns(*([("put", {"what": f"{turn}"})] for turn in range(6)), "never")
    for clerk, limit in (("Clerk", {"model_calls": 3}), (OTHERS[office.framework], {"tokens": 5 * TOKENS})):
        handle = await office.start_workflow(clerk, told, limit)
        end = await end_of(handle)
        assert (end.type, end.failure["type"]) == ("SagaRolledBack", "BudgetExceeded")
        assert end.details["usage"]["model_calls"] == 3
        assert effects.effects() == {} and sorted(set(effects.what("undone"))) == ["0", "1", "2"]
        await office.replays(handle)


async def test_a_loop_ends_the_run_and_all_is_undone(office: Office, effects: Desk) -> None:
    for clerk in ("Clerk", OTHERS[office.framework]):
        look = [("look", {"what": clerk})]
        told = turns([("put", {"what": "a"})], look, look, look, "never")
        handle = await office.start_workflow(clerk, told)
        end = await end_of(handle)
        assert (end.type, end.failure["type"]) == ("SagaRolledBack", "LoopDetected")
        assert "once more (call 2, call 3 and call 4)" in end.failure["message"]
        assert effects.effects() == {} and effects.what("look").count(clerk) == 2
        await office.replays(handle)


async def test_what_an_agent_asks_for_in_each_of_its_runs_is_no_loop(office: Office, effects: Desk) -> None:
    told = turns([("look", {"what": "x"})], [("look", {"what": "x"})], ECHO)
    handle = await office.start_workflow("BusyClerk", told)
    answers = await handle.result()
    assert len(answers) == 4 and all("another one like it is refused" in answer for answer in answers)
    assert effects.what("look") == ["x"] * 8
    await office.replays(handle)


async def test_a_call_waits_for_a_persons_yes(office: Office, effects: Desk) -> None:
    told = turns([("pay", {"what": "rent"}), ("pay", {"what": "gas"}), ("put", {"what": "a"})], "done")
    handle = await office.start_workflow("Clerk", told)
    for step, action in (("pay", "approve"), ("pay_2", "reject")):
        await until_asked(handle, step)
        asked = {one["step"]: one["hash"] for one in (await handle.query("board"))["waiting_for"]}
        assert {"rent", "gas"}.isdisjoint(effects.effects()) or step == "pay_2"
        await tell(handle, "decide", step=step, action=action, hash=asked[step])
    assert await handle.result() == "done"
    assert sorted(effects.effects()) == ["a", "rent"]
    await office.replays(handle)


async def test_a_cancel_in_the_middle_of_a_call_leaves_nothing(office: Office, effects: Desk) -> None:
    told = turns(
        [("put", {"what": "a"})], [("put", {"what": "b", "late": HELD}), ("put", {"what": "c"})], "no"
    )
    handle = await office.start_workflow("Clerk", told)
    await effects.until("done", "b")
    await handle.cancel()
    effects.release("b")
    assert (await end_of(handle)).type == "cancelled"
    assert effects.effects() == {}
    await office.replays(handle)


async def test_what_cannot_be_is_said_in_a_sentence(office: Office) -> None:
    closed = "the saga is not open: give agents its tools inside of `async with Saga() as saga:`"
    before, *faults, after = await (await office.start_workflow("Faulty")).result()
    assert (before, after) == (closed, closed)
    names = "the name of another tool" if office.framework == "langgraph" else "none"
    said = (
        "'desk.put' is given twice",
        "'desk.hand_over' is a pivot",
        "did you mean 'desk.put'?",
        "'len' is not a tool of a bundle",
        "give saga_tools a list of tools",
        names,
    )
    assert all(what in fault for what, fault in zip(said, faults, strict=True)), faults
    assert ("'config', which LangChain keeps to itself" in faults[-1]) == (office.framework == "langgraph")
