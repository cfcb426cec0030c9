"""G7: no output is committed without a verdict, and a validator that fails is never a pass."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from counterstep.embedded import EmbeddedServer
from counterstep.saga.spec.retry import Retry
from counterstep.saga.verification import verifier
from counterstep.testing.model_behaviour import Behaviour, call
from counterstep.testing.model_server import ModelServer
from counterstep.tests.support.bundles.agents import (
    KEY,
    Happened,
    board_of,
    step,
    team_at_work,
    told,
    until,
)
from counterstep.tests.support.bundles.desk import Desk
from counterstep.tests.support.tasks.tasks import Tasks, end_of

Team = tuple[Tasks, ModelServer]

ONCE = {"attempts": 1}
GOOD = Behaviour.json({"score": 0.9, "reasons": ["does what was asked"]})


@pytest.fixture
async def team(
    server: EmbeddedServer, task_queue: str, monkeypatch: pytest.MonkeyPatch, effects: Desk, tmp_path: Path
) -> AsyncIterator[Team]:
    """A judge that is down is asked as often as it may be, without a breaker that makes it wait."""
    limits = tmp_path / "limits.yaml"
    limits.write_text("breakers: {models: false}")
    async with team_at_work(server.address, task_queue, monkeypatch, limits=limits) as team:
        yield team


def put(name: str, *validate: Any, **keys: Any) -> dict[str, Any]:
    return {
        "id": name,
        "tool": "desk.put",
        "input": {"what": name},
        "retry": ONCE,
        "validate": list(validate),
        **keys,
    }


def judge(model: str = "openai/judge", **keys: Any) -> dict[str, Any]:
    return {"judge": {"model": model, "criteria": "It is tidy.", **keys}}


# --- schema and rules


async def test_rules_give_verdicts_with_reasons(tasks: Tasks, effects: Desk) -> None:
    rules = [
        {"rule": "output.what == 'x'"},
        {
            "rule": "output.what == task.wanted",
            "message": "wanted ${{ task.wanted }}, got ${{ output.what }}",
        },
        {"rule": "size(output.key) > 99 || input.what == 'y'"},
    ]
    handle = await tasks.start([put("x", *rules)], {"wanted": "pen"})
    end = await end_of(handle)
    assert end.type == "SagaRolledBack"
    assert end.failure["type"] == "Rejected"
    assert "wanted pen, got x" in end.failure["message"]
    assert effects.what("undone") == ["x"]
    assert effects.effects() == {}
    board = await board_of(handle)
    assert [(v["validator"], v["passed"], v["reasons"]) for v in board["steps"]["x"]["verdicts"]] == [
        ("schema", True, ["matches its type"]),
        ("rule output.what == 'x'", True, ["holds"]),
        ("rule output.what == task.wanted", False, ["wanted pen, got x"]),
        ("rule size(output.key) > 99 || input.what == 'y'", False, ["does not hold"]),
    ]


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ({"rule": "output.what == '' || task.open.missing == 1"}, "task.open.missing is missing"),
        ({"rule": "output.what == '' || task.nothing > 1"}, "task.nothing is null"),
        ({"rule": "size(output.what)"}, "gave 1, not true or false"),
        ({"rule": "output.what > 1"}, "rule output.what > 1: "),
        ({"rule": "false", "message": "it is ${{ task.nothing.at_all }}"}, "task.nothing is null"),
    ],
)
async def test_a_rule_that_cannot_be_answered_rejects(
    tasks: Tasks, effects: Desk, rule: dict[str, Any], says: str
) -> None:
    end = await tasks.run([put("x", rule)], {"nothing": None, "open": {}})
    assert end.failure["type"] == "Rejected"
    assert says in end.failure["message"]
    assert effects.effects() == {}
    assert effects.what("undone") == ["x"]


async def test_schema_and_rules_of_a_step_cost_one_event(tasks: Tasks, effects: Desk) -> None:
    rules = [{"rule": "output.what != ''"}, {"rule": "size(output.key) == 32"}, {"rule": "true"}]
    bare = await tasks.start([put("a"), put("b", needs=["a"])])
    checked = await tasks.start([put("a", *rules), put("b", *rules, needs=["a"])])
    for handle in (bare, checked):
        assert (await end_of(handle)).type == "completed"
    without, with_rules = await Happened.in_(bare), await Happened.in_(checked)
    assert without.markers == 1, "the snapshot"
    assert with_rules.markers == 1 + 2
    assert with_rules.count == without.count + 2
    assert '"validator":"rule output.what != \'\'"' in with_rules.text, (
        "the verdict is in history as evidence"
    )


@pytest.mark.usefixtures("unhurried_checks")
async def test_every_committed_output_has_a_verdict_with_a_reason(team: Team, effects: Desk) -> None:
    tasks, models = team
    models.for_model("writer").default = Behaviour.text("done")
    models.for_model("clerk").default = Behaviour.json({"placed": []})
    models.for_model("judge").default = GOOD
    steps: list[dict[str, Any]] = [
        put("bare"),
        put("ruled", {"rule": "true"}),
        put("seen", {"check": "team.seen"}, {"check": "desk.agree_fast"}, judge()),
        {**put("each"), "input": {"what": "e${{ index }}"}, "for_each": "[1, 2]"},
        {"id": "grouped", "group": {"steps": [put("inner")]}},
        {"id": "think", "agent": "desk.thinker", "input": {"text": "deep"}},
        step("writer"),
        step("clerk"),
    ]
    handle = await tasks.start(steps)
    assert (await end_of(handle)).type == "completed"
    board = await board_of(handle)
    assert set(board["steps"]) == {s["id"] for s in steps} | {"inner"}
    for name, progress in board["steps"].items():
        assert progress["verdicts"], name
        for verdict in progress["verdicts"]:
            assert verdict["passed"] and verdict["reasons"] and verdict["validator"], name
    assert len(board["steps"]["each"]["verdicts"]) == 2
    assert [v["validator"] for v in board["steps"]["seen"]["verdicts"]] == [
        "schema",
        "team.seen",
        "desk.agree_fast",
        "judge openai/judge",
    ]


# --- validators


async def test_a_check_that_passes_commits(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start([put("x", {"check": "desk.agree"})])
    assert (await end_of(handle)).type == "completed"
    verdict = (await board_of(handle))["steps"]["x"]["verdicts"][-1]
    assert (verdict["validator"], verdict["reasons"]) == ("desk.agree", ["looks good"])
    happened = await Happened.in_(handle)
    assert happened.ids == ["x#1", "x/check.0#1"]
    assert happened.headers["x/check.0#1"]["effect"] == "read_only"


@pytest.mark.usefixtures("unhurried_checks")
@pytest.mark.parametrize(
    ("validator", "says"),
    [
        ("desk.refuse", "desk.refuse: looks bad, smells bad"),
        ("desk.crash", "the validator broke down"),
        ("desk.nonsense", "answered nonsense: passed: Input should be a valid boolean"),
        ("team.silent", "answered nonsense"),
        ("team.yes", "answered nonsense"),
        ("team.crash_fast", "gave no verdict: Broken: no idea"),
    ],
)
async def test_a_check_that_does_not_pass_rejects_and_the_step_is_undone(
    team: Team, effects: Desk, validator: str, says: str
) -> None:
    tasks, _ = team
    handle = await tasks.start([put("x", {"check": "desk.agree"}, {"check": validator})])
    end = await end_of(handle)
    assert end.type == "SagaRolledBack"
    assert end.failure["type"] == "Rejected"
    assert says in end.failure["message"]
    assert effects.effects() == {}
    assert effects.what("undone") == ["x"]
    verdicts = (await board_of(handle))["steps"]["x"]["verdicts"]
    assert [v["passed"] for v in verdicts] == [True, True, False]
    assert verdicts[2]["validator"] == validator


async def test_a_check_that_times_out_rejects(
    team: Team, effects: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks, _ = team
    monkeypatch.setattr(verifier, "CHECK_TIMEOUT", timedelta(seconds=1))
    monkeypatch.setattr(verifier, "CHECK_RETRY", Retry(attempts=1))
    end = await tasks.run([put("x", {"check": "team.slow"})])
    assert end.failure["type"] == "Rejected"
    assert "took longer than 1s" in end.failure["message"]
    assert effects.effects() == {}


@pytest.mark.usefixtures("unhurried_checks")
async def test_a_fast_check_is_a_local_activity(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start([put("x", {"check": "desk.agree_fast"})])
    assert (await end_of(handle)).type == "completed"
    happened = await Happened.in_(handle)
    assert happened.ids == ["x#1"]
    assert happened.markers == 1 + 1 + 1, "the snapshot, schema and rules, the check"


@pytest.mark.parametrize("validator", ["desk.dawdle", "team.blocks"])
async def test_a_fast_check_has_a_hard_limit_of_one_second(team: Team, effects: Desk, validator: str) -> None:
    """Neither of them ends by itself while this waits."""
    tasks, _ = team
    began = time.monotonic()
    try:
        async with asyncio.timeout(25):
            end = await tasks.run([put("x", {"check": validator})])
    finally:
        effects.release("blocks")
    assert time.monotonic() - began > 1
    assert end.failure["type"] == "Rejected"
    assert f"{validator}: gave no verdict: Timeout: took longer than 1s" in end.failure["message"]
    assert effects.effects() == {}


async def test_a_cancel_does_not_wait_for_a_check(team: Team, effects: Desk) -> None:
    tasks, _ = team
    handle = await tasks.start([put("x", {"check": "team.slow"})])
    await effects.until("check", "slow")
    began = time.monotonic()
    await handle.cancel()
    assert (await end_of(handle)).type == "cancelled"
    assert time.monotonic() - began < 20
    assert effects.effects() == {}


@pytest.mark.usefixtures("unhurried_checks")
@pytest.mark.parametrize("fast", ["", "_fast"])
async def test_reasons_without_measure_are_cut(team: Team, effects: Desk, fast: str) -> None:
    tasks, _ = team
    handle = await tasks.start([put("x", {"check": f"team.wordy{fast}"})])
    end = await asyncio.wait_for(end_of(handle), 60)
    assert end.type == "SagaRolledBack"
    assert len(json.dumps((await board_of(handle))["steps"]["x"]["verdicts"])) < 20_000
    assert effects.effects() == {}


async def test_a_message_without_measure_is_cut(tasks: Tasks, effects: Desk) -> None:
    rule = {"rule": "false", "message": "${{ task.text }}"}
    handle = await tasks.start([put("x", *[rule] * 4)], {"text": "y" * 900_000})
    end = await asyncio.wait_for(end_of(handle), 60)
    assert end.type == "SagaRolledBack"
    assert len(json.dumps((await board_of(handle))["steps"]["x"]["verdicts"])) < 20_000


async def test_a_check_sees_claim_and_evidence(team: Team, effects: Desk) -> None:
    tasks, models = team
    lies = [
        Behaviour.calls(call("put", what="cup"), call("put", what="pen", fail="not_applied")),
        Behaviour.json({"placed": ["cup", "pen"]}),
    ]
    models.for_model("clerk").reply(*lies)
    check = {"check": "team.did_what_it_says"}
    end = await tasks.run([step("clerk", validate=[check])])
    assert end.failure["type"] == "Rejected"
    assert "claims ['cup', 'pen'], and executed ['cup']" in end.failure["message"]
    assert effects.effects() == {}
    unfit = Behaviour.calls(call("put", wat="never executed"))
    models.for_model("clerk").reply(unfit, lies[0], Behaviour.json({"placed": ["cup"]}))
    handle = await tasks.start(
        [put("before"), step("clerk", validate=[check], needs=["before"])], goal="Tidy."
    )
    assert (await end_of(handle)).type == "completed"
    subject = (await Happened.in_(handle)).inputs["clerk/check.0#1"]
    assert subject["goal"] == "Tidy."
    assert subject["author"] == "team.clerk"
    assert subject["input"] == {"what": "x"}
    assert subject["output"] == {"placed": ["cup"]}
    assert subject["steps"]["before"]["what"] == "before"
    assert [(item["tool"], item["arguments"]["what"], item["error"]) for item in subject["evidence"]] == [
        ("desk.put", "cup", None),
        ("desk.put", "pen", "no room for pen"),
    ]


# --- judges


async def test_a_judge_that_scores_high_enough_passes(team: Team, effects: Desk) -> None:
    tasks, models = team
    models.for_model("judge").default = GOOD
    handle = await tasks.start([put("x", judge(threshold=0.9))])
    assert (await end_of(handle)).type == "completed"
    verdict = (await board_of(handle))["steps"]["x"]["verdicts"][-1]
    assert verdict == {
        "passed": True,
        "reasons": ["does what was asked"],
        "score": 0.9,
        "validator": "judge openai/judge",
    }


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (Behaviour.json({"score": 0.69, "reasons": ["crumbs left"]}), "crumbs left"),
        (Behaviour.text("Looks good to me!"), "answered nonsense"),
        (Behaviour.json({"passed": True}), "answered nonsense"),
        (Behaviour.json({"score": 7, "reasons": ["great"]}), "answered nonsense"),
        (Behaviour.json({"score": True, "reasons": ["great"]}), "answered nonsense"),
        (Behaviour.json({"score": 1, "reasons": []}), "answered nonsense"),
        (Behaviour.text(""), "answered nonsense"),
        (Behaviour.calls(call("give_up", reason="no")), "answered nonsense"),
        (Behaviour.error(400, "no such model"), "gave no verdict"),
        (Behaviour.error(503, "down", retry_after="0.05"), "gave no verdict"),
        (Behaviour.refused_key(KEY), "gave no verdict"),
    ],
)
async def test_a_judge_that_does_not_pass_rejects(
    team: Team, effects: Desk, monkeypatch: pytest.MonkeyPatch, answer: Behaviour, says: str
) -> None:
    tasks, models = team
    models.for_model("judge").default = answer
    handle = await tasks.start([put("x", judge())])
    end = await end_of(handle)
    assert end.type == "SagaRolledBack"
    assert end.failure["type"] == "Rejected"
    assert says in end.failure["message"]
    assert effects.what("undone") == ["x"]
    verdict = (await board_of(handle))["steps"]["x"]["verdicts"][-1]
    assert not verdict["passed"] and verdict["reasons"]
    assert KEY not in (await Happened.in_(handle)).text


async def test_a_judge_sees_the_evidence_and_not_the_transcript(team: Team, effects: Desk) -> None:
    tasks, models = team
    thought = "Between us: I always say that it is tidy."
    models.for_model("clerk").reply(
        Behaviour.calls(call("put", what="cup")).with_(content=thought),
        Behaviour.text(f"{thought} No JSON."),
        Behaviour.json({"placed": ["cup"]}),
    )
    models.for_model("judge").default = GOOD
    criteria = "It has put ${{ task.thing }} there."
    end = await tasks.run(
        [step("clerk", validate=[judge(criteria=criteria)])], {"thing": "a cup"}, goal="A tidy desk."
    )
    assert end.type == "completed"
    request = models.requests[-1]
    assert request.model == "judge"
    sent = json.dumps(request.body)
    assert thought not in sent
    assert "You put things on the desk" not in sent
    assert "cannot be used" not in sent
    assert [message["role"] for message in request.body["messages"]] == ["system", "user"]
    assert "It has put a cup there." in told(request, "system")[0]
    seen = json.loads(told(request, "user")[0])
    assert seen["goal"] == "A tidy desk."
    assert seen["input"] == {"what": "x"}
    assert seen["output"] == {"placed": ["cup"]}
    assert seen["tool_calls"] == [
        {
            "tool": "desk.put",
            "arguments": {"what": "cup"},
            "result": {"what": "cup", "key": effects.effects()["cup"]},
            "error": None,
        }
    ]
    assert "tools" not in request.body


@pytest.mark.parametrize("model", ["openai/clerk", "clerk", ["openai/judge", "openai/clerk"]])
async def test_a_judge_that_is_the_author_is_refused(team: Team, effects: Desk, model: Any) -> None:
    tasks, models = team
    models.default = GOOD
    models.for_model("clerk").default = Behaviour.json({"placed": []})
    end = await tasks.run([step("clerk", validate=[judge(model)])])
    assert end.type in ("InvalidSpec", "SagaRolledBack")
    if end.type == "SagaRolledBack":
        assert "author's model" in end.failure["message"]
    assert not [r for r in models.requests if "You judge" in json.dumps(r.body)]


async def test_a_spec_whose_judge_is_the_author_does_not_start(team: Team, effects: Desk) -> None:
    tasks, models = team
    end = await tasks.run([step("chain", validate=[judge("openai/second")])])
    assert end.type == "InvalidSpec"
    assert "openai/second is the author's model too; a judge must differ" in end.message
    assert models.count() == 0


async def test_a_fallback_agent_is_not_judged_by_its_own_model(team: Team, effects: Desk) -> None:
    tasks, models = team
    models.for_model("writer").default = Behaviour.error(400)
    models.for_model("clerk").default = Behaviour.json({"placed": []})
    fallback = {"fallback": "team.clerk"}
    end = await tasks.run([step("writer", validate=[judge("openai/clerk")], on_failure=fallback)])
    assert end.type in ("InvalidSpec", "SagaRolledBack")
    assert not [r for r in models.requests if "You judge" in json.dumps(r.body)]


# --- what a rejection does


async def test_a_rejected_agent_is_undone_with_all_its_tool_calls(team: Team, effects: Desk) -> None:
    tasks, models = team
    models.for_model("clerk").reply(
        Behaviour.calls(call("put", what="cup")), Behaviour.json({"placed": ["cup"]})
    )
    handle = await tasks.start([step("clerk", validate=[{"check": "desk.refuse"}])])
    end = await end_of(handle)
    assert end.details["undone"] == ["clerk"]
    assert effects.what("undone") == ["cup"]
    assert (await Happened.in_(handle)).ids[-2:] == ["clerk/tool.1/undo#1", "clerk/undo#1"]


async def test_on_reject_goes_another_way_than_on_failure(team: Team, effects: Desk) -> None:
    tasks, models = team
    models.for_model("clerk").reply(
        Behaviour.calls(call("put", what="cup")), Behaviour.json({"placed": ["cup"]})
    )
    models.for_model("helper").reply(Behaviour.json({"placed": []}))
    clerk = step(
        "clerk", validate=[{"rule": "size(output.placed) == 0"}], on_reject={"fallback": "team.helper"}
    )
    skipped = put("y", {"check": "desk.refuse"}, on_reject="skip", on_failure="rollback")
    handle = await tasks.start([clerk, skipped])
    end = await end_of(handle)
    assert end.output == {"clerk": {"placed": []}, "y": None}
    assert effects.effects() == {}
    verdicts = (await board_of(handle))["steps"]["clerk"]["verdicts"]
    assert [v["passed"] for v in verdicts] == [True, False, True, True]


async def test_a_rejected_task_is_undone_as_a_whole(team: Team, effects: Desk) -> None:
    tasks, models = team
    models.for_model("judge").default = GOOD
    steps = [put("a"), put("b", needs=["a"])]
    rule = {"rule": "output.first == 'b'", "message": "${{ output.first }} comes first"}
    handle = await tasks.start(
        steps, output={"first": "${{ steps.a.output.what }}"}, validate=[rule, judge()]
    )
    end = await end_of(handle)
    assert end.type == "SagaRolledBack"
    assert end.failure["step"] == ""
    assert end.failure["type"] == "Rejected"
    assert "a comes first" in end.failure["message"]
    assert end.details["undone"] == ["b", "a"]
    assert effects.effects() == {}
    assert models.count() == 0, "a judge is not paid for what a rule has rejected"


async def test_the_verdicts_on_the_whole_task_see_all_of_it(team: Team, effects: Desk) -> None:
    tasks, models = team
    models.for_model("writer").default = Behaviour.text("words")
    models.for_model("judge").default = Behaviour.json({"score": 0.1, "reasons": ["too short"]})
    handle = await tasks.start(
        [put("a"), step("writer")],
        output={"text": "${{ steps.writer.output }}"},
        validate=[{"rule": "steps.a.output.what == 'a'"}, {"check": "desk.agree"}, judge()],
        goal="A long text.",
    )
    end = await end_of(handle)
    assert "too short" in end.failure["message"]
    assert sorted(end.details["undone"]) == ["a", "writer"]
    subject = (await Happened.in_(handle)).inputs["task/check.1#1"]
    assert subject["output"] == {"text": "words"}
    assert subject["steps"]["writer"] == "words"
    seen = json.loads(told(models.requests[-1], "user")[0])
    assert (seen["goal"], seen["output"]) == ("A long text.", {"text": "words"})


async def test_the_tasks_judge_is_no_author_of_any_step(team: Team, effects: Desk) -> None:
    tasks, models = team
    models.for_model("writer").default = Behaviour.text("words")
    models.default = GOOD
    end = await tasks.run([step("writer")], validate=[judge("openai/writer")])
    assert end.type == "InvalidSpec"
    choice = {
        **step("writer"),
        "agent": "${{ task.who }}",
        "one_of": ["team.writer", "team.chain"],
    }
    end = await tasks.run([choice], {"who": "team.writer"}, validate=[judge("openai/writer")])
    assert end.type in ("InvalidSpec", "SagaRolledBack")


async def test_validators_run_side_by_side(team: Team, effects: Desk) -> None:
    tasks, models = team
    models.for_model("judge").default = Behaviour.hang(60)
    handle = await tasks.start([put("x", judge(), {"check": "team.slow"}, {"check": "team.seen"})])
    await until(models, 1)
    await effects.until("check", "slow")
    await effects.until("check", "seen")
    await handle.cancel()
    assert (await end_of(handle)).type == "cancelled"
    assert effects.effects() == {}
