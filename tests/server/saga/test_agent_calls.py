"""What agents of frameworks do in a saga, whatever the framework."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from temporalio.client import Client, WorkflowHandle
from temporalio.worker import Worker

from counterstep.embedded import EmbeddedServer
from counterstep.plugin import CounterstepPlugin
from counterstep.tests.support.bundles.desk import HELD, Desk, desk
from counterstep.tests.support.bundles.till import till
from counterstep.tests.support.histories.history import CALL_COMPLETED, CALL_SCHEDULED, until_event
from counterstep.tests.support.tasks.tasks import Tasks, end_of, tell, until_state
from counterstep.tests.support.workflows.framework_agents import (
    NEXT_RUN,
    SLOW,
    TOKENS,
    FrameworkAgent,
    gates,
    their_model,
)


@pytest.fixture
async def tasks(server: EmbeddedServer, task_queue: str, effects: Desk) -> AsyncIterator[Tasks]:
    client = await Client.connect(server.address, plugins=[CounterstepPlugin([desk, till, gates])])
    async with Worker(
        client,
        task_queue=task_queue,
        workflows=[FrameworkAgent],
        activities=[their_model],
        activity_executor=ThreadPoolExecutor(4),
    ):
        yield Tasks(client, task_queue)


async def started(tasks: Tasks, *turns: Any, **budget: Any) -> WorkflowHandle[Any, Any]:
    return await tasks.client.start_workflow(
        "FrameworkAgent",
        args=[list(turns), budget],
        id=f"framework-{tasks.task_queue}-{len(turns)}",
        task_queue=tasks.task_queue,
    )


async def told(tasks: Tasks, *turns: Any) -> list[list[Any]]:
    handle = await started(tasks, *turns)
    return [[json.loads(text) for text in turn] for turn in await handle.result()]


async def test_a_model_is_told_what_became_of_its_calls(tasks: Tasks, effects: Desk) -> None:
    answers = await told(
        tasks,
        [["put", {"what": "a"}], ["put", '{"what": "b", "fail": "final"}'], ["look", '{"what": "abc"}']],
        [["put", "not JSON"], ["put", {"thing": "c"}], ["put", "[1]"], ["look", '{"what": NaN}']],
    )
    a, b, abc = answers[0]
    assert a["what"] == "a" and abc["count"] == 3
    assert b == {"error": "Final: b failed for good"}
    assert all(list(answer) == ["error"] for answer in answers[1])
    assert "InvalidInput" in answers[1][1]["error"]
    # What failed was undone at once, and the rest stands.
    assert list(effects.effects()) == ["a"] and effects.what("undone") == ["b"]


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ('{"what": "half of a smile: \\ud83d"}', "surrogates not allowed"),
        ('{"\\ud83d": 1}', "surrogates not allowed"),
        ('{"what": ' + "[" * 300 + "]" * 300 + "}", "depth exceeded"),
        ('{"what": ' + "[" * 5000 + "]" * 5000 + "}", "nested too deeply"),
        ('{"what": "a", "delay": 1e999}', "the arguments cannot be sent"),
    ],
)
async def test_arguments_that_cannot_be_sent_are_told_and_the_run_goes_on(
    tasks: Tasks, effects: Desk, written: str, why: str
) -> None:
    """A workflow that tries to send them is stuck for ever, or fails over them with all that it did."""
    answers = await told(tasks, [["put", written], ["put", {"what": "a"}]])
    assert why in answers[0][0]["error"], answers[0][0]
    assert answers[0][1]["what"] == "a"
    assert list(effects.effects()) == ["a"]


async def test_what_has_succeeded_and_stands_is_not_done_again(tasks: Tasks, effects: Desk) -> None:
    put = ["put", {"what": "a"}]
    answers = await told(
        tasks,
        [put, ["put", {"what": "a", "delay": 0}]],  # the same, with a default said
        [put, ["tip", {"what": "t", "cents": 1}], ["tip", {"what": "t", "cents": 1}]],
        [["fine", {"what": "f", "cents": 1}]],
        [["fine", {"what": "f", "cents": 1}]],
        "put",  # undoes it, and what came later
        [put],
    )
    assert answers[0][1]["repeated"] and answers[0][1]["result"] == answers[0][0]
    assert answers[1][0]["repeated"] and "error" in answers[3][0]
    assert "repeated" not in answers[4][0]
    assert effects.what("begin").count("a") == 2 and list(effects.effects()) == ["a"]


async def test_a_budget_ends_it_and_names_itself(tasks: Tasks, effects: Desk) -> None:
    turns = [[["put", {"what": f"{number}"}]] for number in range(5)]
    handle = await started(tasks, *turns, tokens=3 * TOKENS)
    end = await end_of(handle)
    assert end.type == "SagaRolledBack"
    assert end.details["failure"]["type"] == "BudgetExceeded"
    assert end.details["usage"]["model_calls"] == 3 and end.details["usage"]["tokens"] == 3 * TOKENS
    assert end.details["undone"] == ["put_3", "put_2", "put"] and effects.effects() == {}
    lines = [line for line in (await handle.query("board"))["log"] if line["who"] == "clerk"]
    assert [line["what"] for line in lines] == ["asks gpt"] * 3


async def test_what_a_person_says_no_to_is_told_and_what_they_edit_too(tasks: Tasks, effects: Desk) -> None:
    handle = await started(tasks, [["pay", {"what": "tea"}]], [["pay", {"what": "tea"}]])
    for action, more in (("reject", {"note": "too dear"}), ("edit", {"value": {"what": "tea", "cents": 6}})):
        asked = (await until_state(handle, "waiting"))["waiting_for"][0]
        assert asked["show"]["agent"] == "clerk" and effects.effects() == {}
        await tell(handle, "decide", step=asked["step"], action=action, hash=asked["hash"], **more)
    first, second = await handle.result()
    assert "ApprovalDenied" in first[0] and "too dear" in first[0]
    assert json.loads(second[0])["edited"] and json.loads(second[0])["arguments"]["cents"] == 6
    assert list(effects.effects()) == ["tea"]


async def test_what_nobody_can_go_on_after_ends_all_beside_it(tasks: Tasks, effects: Desk) -> None:
    turn = [["open_gate", {}], ["look", {"what": "l", "delay": HELD}], ["put", {"what": "a"}]]
    end = await end_of(await started(tasks, turn))
    effects.release("l")
    # Their loop has wrapped it; the step is named all the same.
    assert (end.type, end.details["failure"]["step"]) == ("SagaRolledBack", "open_gate")
    assert end.details["failure"]["type"] == "ApprovalExpired"
    assert effects.effects() == {} and effects.what("undone") == ["a"]


async def test_a_conversation_that_is_too_long_ends_it_before_the_sdk_cannot_send_it(
    tasks: Tasks, effects: Desk
) -> None:
    turns = [[["put", {"what": what, "size": 600_000}]] for what in ("a", "b", "c")]
    end = await end_of(await started(tasks, *turns))
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "ConversationTooLong")
    assert effects.effects() == {} and effects.what("undone") == ["b", "a"]


async def test_a_cancel_while_a_model_of_theirs_is_asked_is_a_cancel(tasks: Tasks, effects: Desk) -> None:
    handle = await started(tasks, [["put", {"what": "a"}]], SLOW, [["put", {"what": "b"}]])
    await until_event(handle, CALL_COMPLETED, CALL_COMPLETED, CALL_SCHEDULED)
    await handle.cancel()
    assert (await end_of(handle)).type == "cancelled"
    assert effects.effects() == {} and effects.what("done", "undone") == ["a", "a"]


async def test_the_same_call_again_and_again_is_a_loop_and_all_is_undone(tasks: Tasks, effects: Desk) -> None:
    look = ["look", {"what": "abc"}]
    held = ["look", {"what": "x", "delay": HELD}]
    puts = [["put", {"what": what}] for what in "ab"]
    turns = [[puts[0]], [look, look], [look], [puts[1]], [look, look], [look], [held, look]]
    end = await end_of(await started(tasks, *turns))
    effects.release("x")
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "LoopDetected")
    said = 'clerk calls desk.look {"delay":0,"fail":"","what":"abc"} once more (call 6, call 8 and call 10)'
    assert f"{said}, and nothing has changed in between" in end.failure["message"]
    assert effects.what("undone") == ["b", "a"]


async def test_a_model_is_told_before_a_call_is_a_loop(tasks: Tasks, effects: Desk) -> None:
    look, pay = ["look", {"what": "abc"}], ["put", {"what": "a"}]
    answers = await told(
        tasks, [look, look, look], [look], [pay], [look], [pay], [["look", {"what": "c"}]], [look]
    )
    assert [list(answer) for answer in answers[0]] == [["what", "count"]] * 3, "those of one turn are one"
    assert answers[1][0]["result"] == answers[0][0]
    assert "another one like it is refused" in answers[1][0]["hint"]
    assert "hint" not in answers[3][0], "something has changed"
    assert "hint" in answers[4][0] and "repeated" in answers[4][0]


async def test_another_run_of_an_agent_may_ask_for_the_same(tasks: Tasks, effects: Desk) -> None:
    look = ["look", {"what": "abc"}]
    answers = await told(tasks, *[[look], NEXT_RUN] * 4)
    assert len(answers) == 4 and all(answer == [{"what": "abc", "count": 3}] for answer in answers)
