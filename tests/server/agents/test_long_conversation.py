"""Conversations that are too long for one history go on in a child workflow, and are undone as one."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from temporalio import workflow
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ChildWorkflowError
from temporalio.service import RPCError, RPCStatusCode

from counterstep.embedded import EmbeddedServer
from counterstep.saga.agents import agent_loop
from counterstep.saga.agents.conversation_state import ConversationState
from counterstep.saga.agents.model_protocol import ABANDON
from counterstep.saga.calls.headers import CURRENT_HEADER, CallHeader
from counterstep.saga.effect import Effect
from counterstep.saga.history_format import CONVERSATION
from counterstep.saga.limits.payload_size import MAX_PAYLOAD
from counterstep.testing.model_behaviour import Behaviour, call
from counterstep.testing.model_server import ModelServer
from counterstep.tests.support.bundles.agents import board_of, step, team_at_work, until
from counterstep.tests.support.bundles.desk import HELD, VARIABLE, Desk
from counterstep.tests.support.histories.history import CANCEL_REQUESTED, events_of, until_event
from counterstep.tests.support.processes.worker_process import worker_process
from counterstep.tests.support.tasks.tasks import Tasks, end_of, tell, until_state
from counterstep.tests.support.tasks.work import put
from counterstep.tests.support.tasks.workers import errand_worker

pytestmark = pytest.mark.long

Team = tuple[Tasks, ModelServer]

FORGED = {
    "agent": {"name": "team.tireless", "effect": "compensatable"},
    "asked": ["openai/tireless"],
    "job": {"step": "s", "path": "s", "round": 1, "input": None, "depends_on": [], "compensation": "x"},
    "timeout": "60s",
    "turn": 3,
    "tool_calls": 0,
    "corrections": 0,
}


@workflow.defn(sandboxed=False)
class Forger:
    """Starts a conversation as a task would, with a state of its own making."""

    @workflow.run
    async def run(self, state: Any) -> Any:
        CURRENT_HEADER.set(CallHeader(key="k", step="s", effect=Effect.COMPENSATABLE))
        said = {"messages": [{"role": "user", "content": "x"}]}
        return await workflow.execute_child_workflow(CONVERSATION, args=[state, said])


@pytest.fixture
async def team(
    server: EmbeddedServer, task_queue: str, monkeypatch: pytest.MonkeyPatch, effects: Desk
) -> AsyncIterator[Team]:
    async with team_at_work(server.address, task_queue, monkeypatch, workflows=[Forger]) as parts:
        yield parts


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three turns are many: a child begins with the fourth, and continues as new after the sixth."""
    monkeypatch.setattr(agent_loop, "MAX_TURNS", 3)


def turns_before(body: dict[str, Any]) -> int:
    return sum(message["role"] == "assistant" for message in body["messages"])


def puts(last: Behaviour, turns: int, **special: Any) -> Callable[[dict[str, Any]], Behaviour]:
    """A model that puts one thing down in each turn and says `last` in its last one.

    Args:
        last: What it does then.
        turns: Which one that is.
        special: More arguments of the call in one turn, by the thing, e.g. ``t8={"late": HELD}``.
    """

    def answer(body: dict[str, Any]) -> Behaviour:
        turn = turns_before(body) + 1
        name = f"t{turn}"
        # A short id: the limits of a conversation and of its calls are near each other in some tests.
        made = replace(call("put", what=name, **special.get(name, {})), id=f"call_{turn}")
        return last if turn >= turns else Behaviour.calls(made)

    return answer


def things(count: int) -> list[str]:
    return [f"t{turn}" for turn in range(1, count + 1)]


def report(count: int) -> Behaviour:
    return Behaviour.json({"placed": things(count)})


def each_turn_was_asked_once(models: ModelServer, turns: int) -> bool:
    return [turns_before(request.body) for request in models.requests] == list(range(turns))


def is_undone_in_reverse(effects: Desk, count: int) -> bool:
    return effects.what("undone") == things(count)[::-1] and effects.effects() == {}


def child_of(tasks: Tasks, handle: WorkflowHandle[Any, Any], path: str) -> WorkflowHandle[Any, Any]:
    return tasks.client.get_workflow_handle(f"{handle.id}/{path}")


async def runs_of_child(tasks: Tasks, handle: WorkflowHandle[Any, Any]) -> list[list[HistoryEvent]]:
    """The histories of the runs of the only child, oldest first."""
    (started,) = (
        event.child_workflow_execution_started_event_attributes.workflow_execution
        for event in await events_of(handle)
        if event.HasField("child_workflow_execution_started_event_attributes")
    )
    runs, run_id = [], started.run_id
    while run_id:
        runs.append(await events_of(tasks.client.get_workflow_handle(started.workflow_id, run_id=run_id)))
        run_id = runs[-1][-1].workflow_execution_continued_as_new_event_attributes.new_execution_run_id
    return runs


def calls_in(runs: Sequence[Sequence[HistoryEvent]], kind: str) -> list[str]:
    """The ids of the activities at ``.../KIND.N``."""
    ids = [event.activity_task_scheduled_event_attributes.activity_id for run in runs for event in run]
    return [id_ for id_ in ids if f"/{kind}." in id_]


def size(run: Sequence[HistoryEvent]) -> int:
    return sum(event.ByteSize() for event in run)


async def until_cancel_requested(handle: WorkflowHandle[Any, Any]) -> None:
    await until_event(handle, CANCEL_REQUESTED)


async def until_known(handle: WorkflowHandle[Any, Any]) -> None:
    """Waits until there is such a workflow."""
    deadline = time.monotonic() + 60
    while True:
        try:
            await handle.describe()
        except RPCError as error:
            assert error.status is RPCStatusCode.NOT_FOUND and time.monotonic() < deadline
            await asyncio.sleep(0.03)
        else:
            return


CHECKED: dict[str, Any] = {"validate": [{"check": "team.did_what_it_says"}]}
"""Passes only where the evidence is whole."""


# --- it completes


async def test_45_turns(team: Team, effects: Desk) -> None:
    tasks, models = team
    models.for_model("tireless").default = puts(report(44), 45)
    handle = await tasks.start([step("tireless", **CHECKED)])
    end = await end_of(handle)
    assert end.type == "completed"
    assert end.output["tireless"]["placed"] == things(44)
    assert each_turn_was_asked_once(models, 45)
    assert effects.what("done") == things(44)
    assert len({event.key for event in effects.events("done")}) == 44
    assert end.details["usage"]["model_calls"] == 45
    board = await board_of(handle)
    assert board["steps"]["tireless"]["usage"] == {"model_calls": 45, "tokens": 45 * 15, "usd": 0.0}
    child = await board_of(child_of(tasks, handle, "tireless/talk#1"))
    assert child["steps"]["tireless"]["usage"]["model_calls"] == 25, "in both of its runs"
    runs = [await events_of(handle), *await runs_of_child(tasks, handle)]
    assert len(runs) == 3
    assert [len(calls_in([run], "model")) for run in runs] == [20, 20, 5]
    assert calls_in(runs, "model") == [f"tireless/model.{turn}#1" for turn in range(1, 46)]
    assert calls_in(runs, "tool") == [f"tireless/tool.{turn}#1" for turn in range(1, 45)]
    assert max(len(run) for run in runs) < 300
    assert max(size(run) for run in runs) < 400_000


async def test_text_of_300_kb_and_more(team: Team, effects: Desk) -> None:
    tasks, models = team
    large = {name: {"size": 100_000} for name in things(7)}
    models.for_model("tireless").default = puts(report(8), 9, **large)
    handle = await tasks.start([step("tireless", **CHECKED), put("b", "tireless", fail="final")])
    end = await end_of(handle)
    assert (end.type, end.failure["step"]) == ("SagaRolledBack", "b")
    assert each_turn_was_asked_once(models, 9)
    assert effects.what("undone")[1:] == things(8)[::-1]
    runs = [await events_of(handle), *await runs_of_child(tasks, handle)]
    assert len(runs) == 2
    for run in runs:
        assert size(run) < 10_000_000
        for event in run:
            child = event.start_child_workflow_execution_initiated_event_attributes
            assert all(payload.ByteSize() <= MAX_PAYLOAD for payload in child.input.payloads)


async def test_the_largest_state_is_carried_on(team: Team, effects: Desk, short: None) -> None:
    tasks, models = team
    large = {name: {"size": 95_000} for name in things(8)}
    models.for_model("tireless").default = puts(report(9), 10, **large)
    handle = await tasks.start([step("tireless", **CHECKED)])
    assert (await end_of(handle)).type == "completed"
    runs = await runs_of_child(tasks, handle)
    carried = [
        sum(
            payload.ByteSize()
            for payload in run[0].workflow_execution_started_event_attributes.input.payloads
        )
        for run in runs
    ]
    assert carried[-1] > 1_200_000, "more than one payload may have"


async def test_beyond_the_limit_it_ends_typed(team: Team, effects: Desk, short: None) -> None:
    tasks, models = team
    models.for_model("tireless").default = puts(report(9), 10, **{n: {"size": 130_000} for n in things(9)})
    end = await tasks.run([step("tireless")])
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "ConversationTooLong")
    assert is_undone_in_reverse(effects, 7)


async def test_many_small_calls_are_limited_too(
    team: Team, effects: Desk, short: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks, models = team
    monkeypatch.setattr(agent_loop, "MAX_CONVERSATION", 4_000)
    models.for_model("tireless").default = puts(report(50), 51)
    end = await tasks.run([step("tireless")])
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "ConversationTooLong")
    assert "of arguments and results" in end.failure["message"]
    assert effects.effects() == {}


async def test_past_the_pivot_no_budget_ends_it(team: Team, effects: Desk, short: None) -> None:
    tasks, models = team

    def answer(body: dict[str, Any]) -> Behaviour:
        turn = turns_before(body)
        return Behaviour.text("seen") if turn == 7 else Behaviour.calls(call("look", what=f"t{turn}"))

    models.for_model("watcher").default = answer
    pivot = {"id": "p", "needs": ["a"], "tool": "desk.hand_over", "input": {"what": "p"}}
    steps = [put("a"), pivot, {**step("watcher"), "needs": ["p"]}]
    end = await tasks.run(steps, budget={"model_calls": 5})
    assert (end.type, end.output["watcher"], models.count()) == ("completed", "seen", 8)


async def test_an_answer_that_is_too_large_for_the_undo(team: Team, effects: Desk) -> None:
    tasks, models = team
    models.for_model("watcher").default = Behaviour.text("x" * 300_000)
    large = {**step("watcher"), "input": {"text": "${{ task.text }}"}}
    end = await tasks.run([large], {"text": "x" * 750_000})
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "PayloadTooLarge")
    assert "input and answer" in end.failure["message"]


# --- it is undone


async def test_a_later_failure_undoes_what_the_child_did(team: Team, effects: Desk, short: None) -> None:
    tasks, models = team
    models.for_model("tireless").default = puts(report(9), 10)
    end = await tasks.run(
        [put("a"), {**step("tireless"), "needs": ["a"]}, put("b", "tireless", fail="final")]
    )
    assert end.type == "SagaRolledBack"
    assert effects.what("undone") == ["b", *things(9)[::-1], "a"]
    assert end.details["undone"] == ["b", "tireless", "a"]
    assert effects.effects() == {}
    keys = [event.key for event in effects.events("done")]
    assert len(set(keys)) == 11
    assert {event.key for event in effects.events("undone")} == set(keys)


GAVE_UP = Behaviour.calls(call(ABANDON.name, reason="enough"))

FAILURES: dict[str, tuple[Behaviour, dict[str, Any], int, str, str]] = {
    "gives up": (GAVE_UP, {}, 9, "GaveUp", "team.tireless gave up: enough"),
    "is refused": (Behaviour.error(400, "no"), {}, 8, "ModelRefused", ""),
    "answers nonsense": (Behaviour.text("what?"), {}, 11, "InvalidOutput", "was corrected 3 times"),
}


@pytest.mark.parametrize("why", FAILURES)
async def test_a_failure_in_the_child_is_the_agents(team: Team, effects: Desk, short: None, why: str) -> None:
    tasks, models = team
    last, special, asked, type_, message = FAILURES[why]
    models.for_model("tireless").default = puts(last, 8, **special)
    handle = await tasks.start([step("tireless")])
    end = await end_of(handle)
    assert (end.type, end.failure["step"], end.failure["type"]) == ("SagaRolledBack", "tireless", type_)
    assert message in end.failure["message"]
    assert models.count() == asked
    assert is_undone_in_reverse(effects, 7)
    assert end.details["not_undone"] == []
    assert end.details["usage"]["model_calls"] == asked, "those that failed, too"
    ledger = {entry["id"]: entry["state"] for entry in (await board_of(handle))["ledger"]}
    assert ledger.pop("tireless/talk#1") == "void"
    assert set(ledger.values()) == {"undone"}


async def test_corrections_are_counted_over_all_runs(team: Team, effects: Desk, short: None) -> None:
    tasks, models = team
    wrong = {name: {"fail": "final"} for name in ("t2", "t5", "t7", "t8")}
    models.for_model("tireless").default = puts(report(9), 10, **wrong)
    end = await tasks.run([step("tireless")])
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "ToolFailed")
    assert models.count() == 8
    assert effects.effects() == {}


async def test_a_tool_call_that_failed_is_taken_back_once(team: Team, effects: Desk, short: None) -> None:
    tasks, models = team
    models.for_model("tireless").default = puts(
        Behaviour.json({"placed": [name for name in things(9) if name not in ("t2", "t5")]}),
        10,
        t2={"fail": "final"},
        t5={"fail": "final"},
    )
    end = await tasks.run([step("tireless", **CHECKED), put("b", "tireless", fail="final")])
    assert end.failure["step"] == "b"
    left = [name for name in things(9)[::-1] if name not in ("t2", "t5")]
    assert effects.what("undone") == ["t2", "t5", "b", *left]


async def test_a_cancel_in_a_tool_call(team: Team, effects: Desk, short: None) -> None:
    tasks, models = team
    models.for_model("tireless").default = puts(report(9), 10, t8={"late": HELD})
    handle = await tasks.start([step("tireless")])
    await effects.until("done", "t8")
    await handle.cancel()
    child = child_of(tasks, handle, "tireless/talk#1")
    await until_cancel_requested(child)
    assert effects.what("undo") == [], "the call that runs is waited for"
    effects.release("t8")
    assert (await end_of(handle)).type == "cancelled"
    assert is_undone_in_reverse(effects, 8)
    assert (await child.describe()).status is WorkflowExecutionStatus.CANCELED


async def test_a_cancel_in_a_model_call(team: Team, effects: Desk, short: None) -> None:
    tasks, models = team
    models.for_model("tireless").default = puts(Behaviour.hang(60), 8)
    handle = await tasks.start([step("tireless")])
    await until(models, 8)
    await handle.cancel()
    assert (await end_of(handle)).type == "cancelled"
    assert is_undone_in_reverse(effects, 7)


async def test_a_cancel_at_any_moment(team: Team, effects: Desk, short: None) -> None:
    tasks, models = team

    def answer(body: dict[str, Any]) -> Behaviour:
        name = json.loads(body["messages"][1]["content"])["what"]
        turn = turns_before(body) + 1
        if turn == 15:
            return Behaviour.json({"placed": []})
        return Behaviour.calls(call("put", what=f"{name} t{turn}"))

    models.for_model("tireless").default = answer
    handles = [await tasks.start([step("tireless", what=f"task {n}")]) for n in range(5)]
    for n, handle in enumerate(handles):
        await until(models, 20 + 5 * n)
        await handle.cancel()
    ends = [(await end_of(handle)).type for handle in handles]
    assert set(ends) <= {"cancelled", "completed"}
    assert "cancelled" in ends
    undone = effects.what("undone")
    assert len(undone) == len(set(undone))
    for n, end in enumerate(ends):
        done = [what for what in effects.what("done") if what.startswith(f"task {n} ")]
        mine = [what for what in undone if what.startswith(f"task {n} ")]
        assert mine == (done[::-1] if end == "cancelled" else []), (n, end)


async def test_a_parent_that_is_terminated_asks_the_child_to_roll_back(
    team: Team, effects: Desk, short: None
) -> None:
    tasks, models = team
    models.for_model("tireless").default = puts(report(9), 10, t8={"late": HELD})
    handle = await tasks.start([step("tireless")])
    await effects.until("done", "t8")
    await handle.terminate()
    child = child_of(tasks, handle, "tireless/talk#1")
    await until_cancel_requested(child)
    effects.release("t8")
    assert (await end_of(child)).type == "cancelled"
    assert effects.what("undone") == ["t8", "t7", "t6", "t5", "t4"]
    assert list(effects.effects()) == ["t1", "t2", "t3"], "what the parent itself did is for recover"


async def test_a_child_that_is_terminated_is_undone_from_its_histories(
    team: Team, effects: Desk, short: None
) -> None:
    tasks, models = team
    models.for_model("tireless").default = puts(Behaviour.hang(60), 9)
    handle = await tasks.start([step("tireless")])
    await until(models, 9)
    await child_of(tasks, handle, "tireless/talk#1").terminate()
    end = await end_of(handle)
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "ChildEnded")
    assert is_undone_in_reverse(effects, 8)


async def test_an_undo_that_is_stuck_in_the_child(team: Team, effects: Desk, short: None) -> None:
    tasks, models = team
    models.for_model("tireless").default = puts(GAVE_UP, 8, t5={"undo": "broken"})
    handle = await tasks.start([step("tireless")])
    child = child_of(tasks, handle, "tireless/talk#1")
    await until_known(child)
    stuck = await until_state(child, "needs_attention")
    assert stuck["waiting_for"][0]["step"] == "tireless"
    entries = (await board_of(handle))["ledger"]
    waits = [entry for entry in entries if entry["state"] == "armed" and "child" in entry]
    assert [entry["child"] for entry in waits] == [child.id], "the parent shows for whom it waits"
    effects.repair("t5")
    await tell(child, "resolve", step="tireless", action="retry")
    assert (await end_of(handle)).failure["type"] == "GaveUp"
    assert effects.effects() == {}
    assert len(effects.what("undone")) == 7


async def test_done_again_it_is_another_child(team: Team, effects: Desk, short: None) -> None:
    tasks, models = team

    def answer(body: dict[str, Any]) -> Behaviour:
        again = "was tried before" in str(body["messages"])
        return puts(report(7) if again else Behaviour.json({"placed": []}), 8)(body)

    models.for_model("tireless").default = answer
    again: dict[str, Any] = {"on_reject": {"retry_from": "tireless"}}
    handle = await tasks.start([step("tireless", **CHECKED, **again)])
    assert (await end_of(handle)).type == "completed"
    assert effects.what("undone") == things(7)[::-1]
    assert len({event.key for event in effects.events("done")}) == 14
    assert sorted(effects.effects()) == things(7)
    for round_ in (1, 2):
        described = await child_of(tasks, handle, f"tireless/talk#{round_}").describe()
        assert described.status is WorkflowExecutionStatus.COMPLETED


# --- its budget is the parent's


@pytest.mark.parametrize(
    ("budget", "asked", "message"),
    [
        ({"model_calls": 8}, 8, "the budget of 8 model calls is used up"),
        ({"model_calls": 3}, 3, "the budget of 3 model calls is used up"),
    ],
)
async def test_the_budget_binds_inside_the_child(
    team: Team, effects: Desk, short: None, budget: dict[str, int], asked: int, message: str
) -> None:
    tasks, models = team
    models.for_model("tireless").default = puts(report(9), 10)
    end = await tasks.run([step("tireless")], budget=budget)
    assert end.failure == {"step": "tireless", "type": "BudgetExceeded", "message": message}
    assert models.count() == asked
    assert end.details["usage"]["model_calls"] == asked
    assert is_undone_in_reverse(effects, asked)


async def test_tokens_bind_inside_the_child_and_are_never_passed(
    team: Team, effects: Desk, short: None
) -> None:
    tasks, models = team
    answer = puts(report(9), 10)
    models.for_model("tireless").default = lambda body: answer(body).with_(usage=(400, 100))
    end = await tasks.run([step("tireless")], budget={"tokens": 5000})
    assert (end.failure["step"], end.failure["type"]) == ("tireless", "BudgetExceeded")
    asked = models.count()
    assert 5 <= asked <= 9
    assert end.failure["message"].startswith(f"the budget of 5000 tokens has {5000 - 500 * asked} left, and")
    assert (end.details["usage"]["model_calls"], end.details["usage"]["tokens"]) == (asked, 500 * asked)
    assert is_undone_in_reverse(effects, asked)


async def test_two_long_conversations_share_one_budget(team: Team, effects: Desk, short: None) -> None:
    tasks, models = team
    models.for_model("tireless").default = puts(report(6), 7)
    two = [{**step("tireless"), "id": name} for name in ("x", "y")]
    enough = await tasks.run(two, budget={"model_calls": 14})
    assert (enough.type, models.count()) == ("completed", 14)
    models.requests.clear()
    end = await tasks.run(two, budget={"model_calls": 13})
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "BudgetExceeded")
    assert models.count() <= 13


# --- it cannot be forged


async def test_nobody_but_a_task_starts_one(team: Team, effects: Desk) -> None:
    tasks, _ = team
    for arguments in ([], [FORGED], [FORGED, {"messages": []}], ["x", 7]):
        end = await end_of(await tasks.start_workflow(CONVERSATION, *arguments))
        assert end.type == "InvalidInput", arguments


@pytest.mark.parametrize(
    "forged",
    [
        {"carried": 1},
        {"entries": [{"id": "s/tool.1#1", "step": "s", "compensation": "desk.take_back", "key": "k"}]},
        {"so_far": {"usage": {"model_calls": -1000}}},
    ],
)
async def test_a_state_of_an_earlier_run_is_taken_from_nobody(
    team: Team, effects: Desk, forged: dict[str, Any]
) -> None:
    tasks, models = team
    ConversationState.model_validate({**FORGED, **forged})
    handle = await tasks.start_workflow("Forger", {**FORGED, **forged})
    with pytest.raises(WorkflowFailureError) as caught:
        await handle.result()
    assert isinstance(caught.value.cause, ChildWorkflowError)
    assert "InvalidInput" in str(caught.value.cause.cause)
    assert "from an earlier run of its own only" in str(caught.value.cause.cause)
    assert (models.count(), effects.events()) == (0, [])


# --- its worker is killed


@pytest.mark.slow
async def test_a_kill_in_turn_30_pays_no_answer_twice(
    server: EmbeddedServer, task_queue: str, monkeypatch: pytest.MonkeyPatch, effects: Desk
) -> None:
    def answer(body: dict[str, Any]) -> Behaviour:
        turn = turns_before(body) + 1
        if turn == 30:
            return Behaviour.calls(call("put_hanging", what="t30", hang="after"))
        return puts(Behaviour.text("done"), 42)(body)

    with ModelServer.in_thread() as models:
        for name, value in {**models.environment, VARIABLE: str(effects.path)}.items():
            monkeypatch.setenv(name, value)
        models.for_model("patient").default = answer
        tasks = Tasks(await Client.connect(server.address), task_queue)
        with worker_process(server.address, task_queue) as process:
            agent = {"id": "m", "agent": "errands.patient", "input": {"what": "x"}}
            handle = await tasks.start([agent, put("b", "m", fail="final")])
            await effects.until("hang", "t30")
            process.kill()
            process.wait()
        async with errand_worker(server.address, task_queue):
            end = await end_of(handle)
    assert (end.type, end.failure["step"]) == ("SagaRolledBack", "b")
    assert each_turn_was_asked_once(models, 42)
    assert effects.what("undone")[1:] == things(41)[::-1]
    assert effects.effects() == {}
