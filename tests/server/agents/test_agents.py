"""Model agents: the tool loop, its corrections and limits, and what becomes of it when something fails."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from counterstep.embedded import EmbeddedServer
from counterstep.saga.agents.model_protocol import ABANDON
from counterstep.testing.model_behaviour import Behaviour, ScriptedCall, call
from counterstep.testing.model_server import ModelServer
from counterstep.tests.support.bundles.agents import (
    FAST,
    KEY,
    Happened,
    board_of,
    step,
    team_at_work,
    told,
    until,
)
from counterstep.tests.support.bundles.desk import HELD, Desk
from counterstep.tests.support.tasks.tasks import Tasks, end_of

Team = tuple[Tasks, ModelServer]

DONE = Behaviour.json({"placed": ["x"]})
BREAKS = {
    "id": "breaks",
    "tool": "desk.put",
    "input": {"what": "late", "fail": "not_applied"},
}


@pytest.fixture
async def team(
    server: EmbeddedServer, task_queue: str, monkeypatch: pytest.MonkeyPatch, effects: Desk
) -> AsyncIterator[Team]:
    async with team_at_work(server.address, task_queue, monkeypatch) as team:
        yield team


# --- the loop


async def test_each_model_call_and_each_tool_call_is_an_activity_with_its_own_undo(
    team: Team, effects: Desk
) -> None:
    tasks, models = team
    models.for_model("clerk").reply(
        Behaviour.calls(call("put", what="cup")),
        Behaviour.calls(call("look", what="cup")),
        Behaviour.calls(call("put", what="pen")),
        Behaviour.json({"placed": ["cup", "pen"]}),
    )
    handle = await tasks.start([step("clerk"), {**BREAKS, "needs": ["clerk"]}])
    end = await end_of(handle)
    assert end.type == "SagaRolledBack"
    happened = await Happened.in_(handle)
    assert happened.ids == [
        "clerk/model.1#1",
        "clerk/tool.1#1",
        "clerk/model.2#1",
        "clerk/tool.2#1",
        "clerk/model.3#1",
        "clerk/tool.3#1",
        "clerk/model.4#1",
        "breaks#1",
        "clerk/tool.3/undo#1",
        "clerk/tool.1/undo#1",
        "clerk/undo#1",
    ], "the tools' undos newest first, then the agent's own"
    assert happened.types["clerk/model.1#1"] == "counterstep.call_model"
    assert happened.types["clerk/tool.1#1"] == "desk.put"
    assert happened.types["clerk/tool.1/undo#1"] == "desk.take_back"
    assert happened.types["clerk/undo#1"] == "counterstep.retract"
    keys = [happened.headers[f"clerk/tool.{n}#1"]["key"] for n in (1, 2, 3)]
    assert len({*keys, happened.headers["clerk/undo#1"]["key"]}) == 4
    assert happened.headers["clerk/tool.1/undo#1"]["key"] == keys[0]
    assert happened.headers["clerk/tool.2#1"]["effect"] == "read_only"
    assert effects.what("done") == ["cup", "pen"]
    assert effects.what("undone") == ["pen", "cup"]
    assert effects.effects() == {}


async def test_tool_calls_of_one_turn_run_side_by_side_and_all_answers_go_back(
    team: Team, effects: Desk
) -> None:
    tasks, models = team
    models.for_model("clerk").reply(
        Behaviour.calls(
            call("put", what="slow", delay=HELD),
            call("put", what="fast", delay=HELD),
            call("look", what="it"),
        ),
        Behaviour.json({"placed": ["slow", "fast"]}),
    )
    handle = await tasks.start([step("clerk"), {**BREAKS, "needs": ["clerk"]}])
    for what in ("slow", "fast"):
        await effects.until("begin", what)
    for what in ("fast", "slow"):  # neither waits for the other
        effects.release(what)
        await effects.until("done", what)
    assert (await end_of(handle)).type == "SagaRolledBack"
    asked, *answers = models.requests[1].body["messages"][-4:]
    assert [message["tool_call_id"] for message in answers] == [made["id"] for made in asked["tool_calls"]]
    assert [json.loads(message["content"])["what"] for message in answers] == ["slow", "fast", "it"]
    ledger = {entry["id"]: entry for entry in (await board_of(handle))["ledger"]}
    assert ledger["clerk/tool.1#1"]["depends_on"] == ledger["clerk/tool.2#1"]["depends_on"] == ["clerk#1"]


async def test_the_model_gets_goal_input_tools_and_history(team: Team, effects: Desk) -> None:
    tasks, models = team
    models.for_model("clerk").reply(Behaviour.calls(call("put", what="x")), DONE)
    end = await tasks.run([step("clerk")], goal="A tidy desk.")
    assert end.output == {"clerk": {"placed": ["x"]}}
    first, second = models.requests
    assert "You put things on the desk." in told(first, "system")[0]
    assert "A tidy desk." in told(first, "system")[0]
    assert json.loads(told(first, "user")[0]) == {"what": "x"}
    assert [tool["function"]["name"] for tool in first.body["tools"]] == [
        "put",
        "look",
        "set_label",
        "abandon_and_undo_everything",
        "final_answer",
    ]
    assert "As soon as the job is done, call final_answer" in told(first, "system")[0]
    assert "response_format" not in first.body, "nobody knows whether this server takes it beside tools"
    assert first.headers["authorization"] == f"Bearer {KEY}"
    assert second.body["messages"][:2] == first.body["messages"]
    result = json.loads(told(second, "tool")[0])
    assert result == {"what": "x", "key": effects.effects()["x"]}


# --- what goes back to the model


async def test_a_tool_outside_the_allow_list_is_refused_and_never_executed(team: Team, effects: Desk) -> None:
    tasks, models = team
    models.for_model("helper").reply(
        Behaviour.calls(call("look", what="x"), call("desk.set_label", name="a", value="b")),
        Behaviour.calls(call("desk__look"), call("desk.put", what="by its full name")),
        Behaviour.calls(call("counterstep.call_model")),
        Behaviour.json({"placed": []}),
    )
    handle = await tasks.start([step("helper")])
    assert (await end_of(handle)).type == "completed"
    assert effects.events() == []
    assert "there is no tool 'look'" in told(models.requests[1], "tool")[0]
    assert (await Happened.in_(handle)).ids == [f"helper/model.{turn}#1" for turn in (1, 2, 3, 4)]


async def test_a_misspelt_tool_is_told_the_nearest_one(team: Team, effects: Desk) -> None:
    tasks, models = team
    models.for_model("clerk").reply(
        Behaviour.calls(call("putt", what="x")), Behaviour.calls(call("put", what="x")), DONE
    )
    assert (await tasks.run([step("clerk")])).type == "completed"
    assert "did you mean 'put'?" in told(models.requests[1], "tool")[0]
    assert effects.what("done") == ["x"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ('{"wat": "x"}', "what: Field required"),
        ('{"what": "x", "colour": "red"}', "colour: Extra inputs are not permitted"),
        ('{"what": ["x"]}', "what: Input should be a valid string"),
        ('{"what": "x"', "not JSON"),
        ('["x"]', "not a JSON object"),
    ],
)
async def test_arguments_that_do_not_fit_go_back_and_nothing_is_executed(
    team: Team, effects: Desk, arguments: str, says: str
) -> None:
    tasks, models = team
    models.for_model("clerk").reply(
        Behaviour.calls(ScriptedCall("put", arguments)), Behaviour.json({"placed": []})
    )
    handle = await tasks.start([step("clerk")])
    assert (await end_of(handle)).type == "completed"
    assert says in json.loads(told(models.requests[1], "tool")[0])["error"]
    assert effects.events() == []
    assert [entry["state"] for entry in (await board_of(handle))["ledger"]] in (
        ["settled"],
        ["settled", "void"],
    )


async def test_arguments_of_a_tool_with_before_do_not_reach_its_reader(team: Team, effects: Desk) -> None:
    tasks, models = team
    models.for_model("clerk").reply(
        Behaviour.calls(call("set_label", name="a")), Behaviour.json({"placed": []})
    )
    assert (await tasks.run([step("clerk")])).type == "completed"
    assert "value: Field required" in told(models.requests[1], "tool")[0]
    assert effects.events() == []


async def test_a_tool_error_goes_back_and_its_own_undo_has_run_by_then(team: Team, effects: Desk) -> None:
    tasks, models = team

    def second(body: dict[str, Any]) -> Behaviour:
        seen.append((effects.effects(), effects.what("undone")))
        return Behaviour.calls(call("put", what="second"))

    seen: list[Any] = []
    script = models.for_model("clerk")
    script.reply(Behaviour.calls(call("put", what="kept"), call("put", what="first", fail="final")))
    script.default = lambda body: second(body) if len(body["messages"]) < 6 else DONE
    handle = await tasks.start([step("clerk")])
    assert (await end_of(handle)).type == "completed"
    [(standing, undone)] = seen
    assert list(standing) == ["kept"], "the failed call is undone before the model is asked again"
    assert undone == ["first"]
    assert told(models.requests[1], "tool")[1] == '{"error": "Final: first failed for good"}'
    assert list(effects.effects()) == ["kept", "second"]
    states = {entry["id"]: entry["state"] for entry in (await board_of(handle))["ledger"]}
    assert states == {
        "clerk#1": "settled",
        "clerk/tool.1#1": "settled",
        "clerk/tool.2#1": "undone",
        "clerk/tool.3#1": "settled",
    }


async def test_not_applied_goes_back_without_an_undo(team: Team, effects: Desk) -> None:
    tasks, models = team
    models.for_model("clerk").reply(
        Behaviour.calls(call("put", what="full", fail="not_applied")), Behaviour.json({"placed": []})
    )
    assert (await tasks.run([step("clerk")])).type == "completed"
    assert told(models.requests[1], "tool") == ['{"error": "NotApplied: no room for full"}']
    assert effects.what("undo") == []


async def test_a_failed_call_that_cannot_be_undone_ends_the_agent(team: Team, effects: Desk) -> None:
    tasks, models = team
    models.for_model("clerk").reply(
        Behaviour.calls(call("put", what="kept")),
        Behaviour.calls(call("put", what="stuck", fail="final", undo="fail")),
        DONE,
    )
    end = await tasks.run([step("clerk")], compensation={"give_up": "100ms"})
    assert end.type == "SagaRollbackIncomplete"
    assert end.failure["type"] == "Final"
    assert models.count() == 2, "the model is not asked again"
    assert [item["state"] for item in end.details["remaining"]] == ["settled", "settled", "stuck"]
    assert list(effects.effects()) == ["kept", "stuck"], "what it built on is held back"


# --- limits


async def test_corrections_are_bounded(team: Team, effects: Desk) -> None:
    tasks, models = team
    models.for_model("clerk").reply(Behaviour.calls(call("put", what="kept")))
    for turn in range(4):
        refused = call("put", what=f"no {turn}", fail="not_applied")
        models.for_model("clerk").reply(Behaviour.calls(refused, refused, call("look", what=f"{turn}")))
    end = await tasks.run([step("clerk")])
    assert end.type == "SagaRolledBack"
    assert end.failure["type"] == "ToolFailed"
    assert "corrected 3 times" in end.failure["message"]
    assert "no room for no" in end.failure["message"]
    assert models.count() == 1 + 3 + 1, "what is wrong in one turn is one correction"
    assert effects.effects() == {}
    assert effects.what("undone") == ["kept"]


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ("I have put it there.", "not JSON"),
        ('{"placed": "x"}', "answer.placed: 'x' is not of type 'array'"),
        ("", "empty"),
    ],
)
async def test_an_unusable_answer_goes_back_with_the_reason_a_bounded_number_of_times(
    team: Team, effects: Desk, answer: str, says: str
) -> None:
    tasks, models = team
    script = models.for_model("clerk").reply(Behaviour.text(answer), DONE)
    assert (await tasks.run([step("clerk")])).output == {"clerk": {"placed": ["x"]}}
    assert says in told(models.requests[1], "user")[-1]
    assert all(message["content"] for message in models.requests[1].body["messages"]), "no empty message"
    script.default = Behaviour.text(answer)
    end = await tasks.run([step("clerk")])
    assert end.failure["type"] == "InvalidOutput"
    assert says in end.failure["message"]
    assert models.count() == 2 + 4


async def test_max_turns(team: Team, effects: Desk) -> None:
    tasks, models = team
    models.for_model("hasty").reply(*(Behaviour.calls(call("put", what=what)) for what in ("x", "y")))
    end = await tasks.run([step("hasty")])
    assert end.type == "SagaRolledBack"
    assert end.failure["type"] == "MaxTurnsExceeded"
    assert models.count() == 2
    assert len(effects.what("done")) == 2
    assert effects.effects() == {}


async def test_a_turn_with_too_many_tool_calls_is_refused_as_a_whole(team: Team, effects: Desk) -> None:
    tasks, models = team
    models.for_model("clerk").reply(
        Behaviour.calls(*[call("put", what="x")] * 21), Behaviour.json({"placed": []})
    )
    assert (await tasks.run([step("clerk")])).type == "completed"
    answers = told(models.requests[1], "tool")
    assert len(answers) == 21
    assert "21 tool calls in one turn; the most is 20" in answers[20]
    assert effects.events() == []


async def test_giving_up_is_asked_back_once_executes_nothing_more_and_is_undone(
    team: Team, effects: Desk
) -> None:
    tasks, models = team
    gives_up = Behaviour.calls(call("put", what="never"), call(ABANDON.name, reason="the desk is full"))
    models.for_model("clerk").reply(Behaviour.calls(call("put", what="kept")), gives_up, gives_up)
    end = await tasks.run([step("clerk")])
    assert "was not called" in told(models.requests[2], "tool")[1]
    assert "If the job is done, give the final answer now" in told(models.requests[2], "tool")[2]
    assert end.type == "SagaRolledBack"
    assert end.failure["type"] == "GaveUp"
    assert "the desk is full" in end.failure["message"]
    assert effects.what("done") == ["kept"]
    assert effects.effects() == {}
    assert effects.what("undone") == ["kept"]


async def test_who_gives_up_a_job_that_is_done_is_asked_back_and_may_finish(
    team: Team, effects: Desk
) -> None:
    tasks, models = team
    models.for_model("clerk").reply(
        Behaviour.calls(call("put", what="x")),
        Behaviour.calls(call(ABANDON.name, reason="The job is done.")),
        Behaviour.calls(call("final_answer", placed=["x"])),
    )
    end = await tasks.run([step("clerk")])
    assert end.output == {"clerk": {"placed": ["x"], "note": ""}} or end.output == {
        "clerk": {"placed": ["x"]}
    }
    assert list(effects.effects()) == ["x"]


async def test_who_gives_up_before_anything_was_done_is_not_asked_back(team: Team, effects: Desk) -> None:
    tasks, models = team
    models.for_model("clerk").reply(
        Behaviour.calls(call("look", what="x"), call("put", what="y", fail="not_applied")),
        Behaviour.calls(call(ABANDON.name, reason="no room")),
    )
    end = await tasks.run([step("clerk")])
    assert (end.failure["type"], models.count()) == ("GaveUp", 2)


async def test_a_conversation_that_grows_too_long_fails_typed(team: Team, effects: Desk) -> None:
    tasks, models = team
    models.for_model("clerk").reply(Behaviour.calls(call("put", what="big", size=850_000)))
    end = await tasks.run([step("clerk")])
    assert end.type == "SagaRolledBack"
    assert end.failure["type"] == "ConversationTooLong"
    assert models.count() == 1
    assert effects.effects() == {}


async def test_an_input_too_large_for_its_own_undo_never_starts(team: Team, effects: Desk) -> None:
    tasks, models = team
    large = {**step("helper"), "input": {name: "${{ task.text }}" for name in ("what", "a", "b", "c")}}
    end = await asyncio.wait_for(tasks.run([large], {"text": "x" * 900_000}), 60)
    assert end.type == "SagaRolledBack"
    assert end.failure["type"] == "ConversationTooLong"
    assert models.count() == 0


async def test_an_input_that_breaks_the_agents_type_never_reaches_a_model(team: Team, effects: Desk) -> None:
    tasks, models = team
    end = await tasks.run([{**step("clerk"), "input": "${{ task.job }}"}], {"job": {"wat": 7}})
    assert end.failure["type"] == "InvalidInput"
    assert "what" in end.failure["message"]
    assert models.count() == 0


async def test_what_is_nested_too_deeply_goes_back_as_unusable(team: Team, effects: Desk) -> None:
    tasks, models = team
    nested = "[" * 250 + "]" * 250
    clerk = models.for_model("clerk")
    clerk.reply(Behaviour.calls(call("put", what="x")))
    clerk.reply(*[Behaviour.calls(ScriptedCall("put", f'{{"what": {nested}}}'))] * 4)
    end = await tasks.run([step("clerk")])
    assert end.type == "SagaRolledBack"
    assert end.failure["type"] == "ToolFailed"
    assert "recursion limit" in end.failure["message"]
    assert effects.what("done", "undone") == ["x", "x"]
    assert models.count("clerk") == 5, "the answer is paid for once, and corrected a bounded number of times"


# --- models that fail


async def test_a_refused_key_is_not_retried_and_is_nowhere_to_be_found(
    team: Team, effects: Desk, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    tasks, models = team
    caplog.set_level(logging.DEBUG)
    models.for_model("clerk").reply(Behaviour.calls(call("put", what="kept")), Behaviour.refused_key(KEY))
    handle = await tasks.start([step("clerk")])
    end = await end_of(handle)
    assert end.type == "SagaRolledBack"
    assert end.failure["type"] == "ModelRefused"
    assert "401" in end.failure["message"]
    assert models.count() == 2
    assert effects.effects() == {}
    happened = await Happened.in_(handle)
    assert "Incorrect API key provided" in happened.text, "the reason is there"
    everywhere = (
        happened.text + json.dumps(await board_of(handle)) + caplog.text + "".join(capfd.readouterr())
    )
    assert "clerk/model.2#1" in everywhere
    assert KEY not in everywhere
    assert KEY[3:] not in everywhere


async def test_a_rate_limit_is_waited_out_as_long_as_the_provider_says(team: Team, effects: Desk) -> None:
    tasks, models = team
    times: list[float] = []

    def limited(body: dict[str, Any]) -> Behaviour:
        times.append(time.monotonic())
        return (
            Behaviour.error(429, "slow down", retry_after="1.2") if len(times) == 1 else Behaviour.text("ok")
        )

    models.for_model("writer").default = limited
    end = await tasks.run([step("writer")])
    assert end.output == {"writer": "ok"}
    assert len(times) == 2, "one request an attempt"
    assert 1.2 <= times[1] - times[0] < 30, "the retry policy would have said 100 ms"


async def test_a_server_error_is_retried_with_one_request_an_attempt(team: Team, effects: Desk) -> None:
    tasks, models = team
    models.for_model("writer").reply(Behaviour.error(500), Behaviour.text("at last"))
    assert (await tasks.run([step("writer")])).output == {"writer": "at last"}
    assert models.count() == 2
    models.for_model("writer").default = Behaviour.error(503, "overloaded")
    end = await tasks.run([step("writer", retry={**FAST, "attempts": 2})])
    assert end.failure["type"] == "ModelUnavailable"
    assert "overloaded" in end.failure["message"]
    assert models.count() == 2 + 2


async def test_a_model_that_hangs_past_the_timeout_is_asked_again(team: Team, effects: Desk) -> None:
    tasks, models = team
    models.for_model("writer").reply(Behaviour.hang(60)).default = Behaviour.text("awake")
    models.for_model("gpt-4o-mini").default = Behaviour.hang(60)
    async with asyncio.timeout(40):
        again, once = await asyncio.gather(
            tasks.run([step("writer", timeout="3s")]),
            tasks.run([step("priced", timeout="5s", retry={"attempts": 1})]),
        )
    assert again.output == {"writer": "awake"}
    assert models.count("writer") >= 2
    assert once.failure["type"] == "ModelUnavailable"
    assert "no answer within 4.5 s" in once.failure["message"]
    assert models.count("gpt-4o-mini") == 1


@pytest.mark.parametrize("first", [Behaviour.error(500), Behaviour.refused_key(KEY), Behaviour.hang(60)])
async def test_the_next_model_of_the_chain_answers_when_the_first_fails(
    team: Team, effects: Desk, first: Behaviour
) -> None:
    tasks, models = team
    models.for_model("first").default = first
    models.for_model("second").default = Behaviour.text("from the second")
    handle = await tasks.start([step("chain", timeout="10s")])
    end = await end_of(handle)
    assert end.output == {"chain": "from the second"}
    assert (models.count("first"), models.count("second")) == (1, 1)
    assert end.details["usage"]["model_calls"] == 2, "the one that failed over is counted too"
    assert KEY not in (await Happened.in_(handle)).text


async def test_when_all_of_the_chain_fail_the_reasons_of_all_are_told(team: Team, effects: Desk) -> None:
    tasks, models = team
    models.for_model("first").default = Behaviour.error(400, "no such thing")
    models.for_model("second").default = Behaviour.refused_key(KEY)
    end = await tasks.run([step("chain")])
    assert end.failure["type"] == "ModelRefused"
    assert "no such thing" in end.failure["message"] and "401" in end.failure["message"]
    assert models.count() == 2


# --- cancel, retraction, replay


@pytest.mark.parametrize("second", [Behaviour.hang(60), Behaviour.error(429, retry_after="50")])
async def test_a_model_call_under_way_does_not_delay_a_cancel(
    team: Team, effects: Desk, second: Behaviour
) -> None:
    tasks, models = team
    models.for_model("clerk").reply(Behaviour.calls(call("put", what="kept")), second)
    handle = await tasks.start([step("clerk")])
    await until(models, 2)
    began = time.monotonic()
    await handle.cancel()
    assert (await end_of(handle)).type == "cancelled"
    assert time.monotonic() - began < 30
    assert effects.effects() == {}
    assert effects.what("undone") == ["kept"]


async def test_a_failing_sibling_interrupts_a_model_call(team: Team, effects: Desk) -> None:
    tasks, models = team
    models.for_model("writer").default = Behaviour.hang(60)
    began = time.monotonic()
    end = await tasks.run([step("writer"), BREAKS])
    assert end.failure["step"] == "breaks"
    assert time.monotonic() - began < 30


async def test_the_retraction_withdraws_the_output_after_the_undos_of_the_tools(
    team: Team, effects: Desk
) -> None:
    tasks, models = team
    models.for_model("clerk").reply(Behaviour.calls(call("put", what="x", undo_delay=HELD)), DONE)
    handle = await tasks.start([step("clerk"), {**BREAKS, "needs": ["clerk"]}])
    await effects.until("undo", "x")
    board = await board_of(handle)
    assert board["steps"]["clerk"]["state"] == "completed", "not yet undone"
    effects.release("undo x")
    assert (await end_of(handle)).details["undone"] == ["clerk"]
    board = await board_of(handle)
    assert board["steps"]["clerk"]["state"] == "undone"
    assert board["steps"]["clerk"]["output"] is None
    happened = await Happened.in_(handle)
    assert happened.inputs["clerk/undo#1"]["output"] == {"placed": ["x"]}
    assert happened.inputs["clerk/undo#1"]["input"] == {"what": "x"}
    assert '"withdrawn":true' in happened.text


async def test_agents_written_in_python_are_retracted_too(team: Team, effects: Desk) -> None:
    tasks, _ = team
    think = {"id": "think", "agent": "desk.thinker", "input": {"text": "deep"}}
    handle = await tasks.start([think, {**BREAKS, "needs": ["think"]}])
    assert (await end_of(handle)).details["undone"] == ["think"]
    happened = await Happened.in_(handle)
    assert happened.types["think/undo#1"] == "counterstep.retract"
    assert '"withdrawn":true' in happened.text
    board = await board_of(handle)
    assert (board["steps"]["think"]["state"], board["steps"]["think"]["output"]) == ("undone", None)


async def test_an_agents_own_compensation_runs_instead_of_the_retraction(team: Team, effects: Desk) -> None:
    tasks, models = team
    models.for_model("guarded").reply(Behaviour.calls(call("put", what="x")), DONE)
    handle = await tasks.start([step("guarded"), {**BREAKS, "needs": ["guarded"]}])
    assert (await end_of(handle)).type == "SagaRolledBack"
    assert effects.what("undone") == ["x", "report"]
    note = json.loads(effects.events("undone")[-1].note)
    assert note == {"input": {"what": "x"}, "placed": ["x"]}
    assert "counterstep.retract" not in (await Happened.in_(handle)).types.values()


async def test_on_failure_undoes_the_agents_effects_before_another_goes_on(team: Team, effects: Desk) -> None:
    tasks, models = team
    gives_up = Behaviour.calls(call(ABANDON.name, reason="tired"))
    models.for_model("clerk").reply(Behaviour.calls(call("put", what="by clerk")), gives_up, gives_up)
    models.for_model("helper").reply(Behaviour.calls(call("put", what="by helper")), DONE)
    handle = await tasks.start([step("clerk", on_failure={"fallback": "team.helper"})])
    end = await end_of(handle)
    assert end.output == {"clerk": {"placed": ["x"]}}
    assert list(effects.effects()) == ["by helper"]
    ids = (await Happened.in_(handle)).ids
    assert ids.index("clerk/undo#1") < ids.index("clerk/model.1#2") < ids.index("clerk/tool.1#2")


async def test_a_worker_without_a_cache_never_pays_twice_for_a_model_call(
    server: EmbeddedServer, task_queue: str, monkeypatch: pytest.MonkeyPatch, effects: Desk
) -> None:
    async with team_at_work(server.address, task_queue, monkeypatch, max_cached_workflows=0) as team:
        tasks, models = team
        models.for_model("clerk").reply(
            Behaviour.calls(call("put", what="a"), call("put", what="b"), call("look", what="c")),
            Behaviour.text("nonsense"),
            Behaviour.calls(call("put", what="d", fail="final")),
            DONE,
        )
        end = await tasks.run([step("clerk"), {**BREAKS, "needs": ["clerk"]}])
        assert end.type == "SagaRolledBack"
        assert models.count() == 4
        assert sorted(effects.what("done")) == ["a", "b", "d"]
        assert sorted(effects.what("undone")) == ["a", "b", "d"]
        assert effects.effects() == {}
