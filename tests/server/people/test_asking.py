"""`approve` steps and escalations: several people, what they are shown, deadlines, reminders, restarts."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client, WorkflowHandle
from temporalio.worker import Worker

from counterstep.embedded import EmbeddedServer
from counterstep.plugin import CounterstepPlugin
from counterstep.saga.limits import history_size
from counterstep.tests.support.bundles.desk import Desk, desk
from counterstep.tests.support.people.signing import Signer
from counterstep.tests.support.tasks.tasks import Tasks, end_of, refusal_of, tell, until_asked


def put(what: str, **keys: Any) -> dict[str, Any]:
    return {"id": what, "tool": "desk.put", "input": {"what": what}, **keys}


async def asked_of(handle: WorkflowHandle[Any, Any], step: str) -> dict[str, Any]:
    await until_asked(handle, step)
    board = await handle.query("board")
    return next(asked for asked in board["waiting_for"] if asked["step"] == step)


# --- approve steps


async def test_two_people_approve_a_step_and_see_what_one_has_edited(tasks: Tasks, effects: Desk) -> None:
    ask = {"id": "q", "approve": {"ask": "This one?", "show": "task.what", "people": 2}}
    use = put("a", needs=["q"], input={"what": "${{ steps.q.output.value }}"})
    handle = await tasks.start([ask, use], {"what": "cup"})
    asked = await asked_of(handle, "q")
    assert (asked["people"], asked["show"]) == (2, "cup")
    said = {"step": "q", "hash": asked["hash"]}
    await tell(handle, "decide", **said, action="edit", value="pen")
    await until_show(handle, "pen")
    assert "has changed" in await refusal_of(handle, "decide", **said, action="approve", by="bob")
    said["hash"] = (await asked_of(handle, "q"))["hash"]
    assert "ann has answered already" in await refusal_of(handle, "decide", **said, action="approve")
    assert effects.events() == []
    await tell(handle, "decide", **said, action="approve", by="bob")
    assert (await end_of(handle)).type == "completed"
    assert effects.what("done") == ["pen"]


async def until_show(handle: WorkflowHandle[Any, Any], show: Any) -> None:
    for _ in range(200):
        if (await asked_of(handle, "q"))["show"] == show:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("nobody is shown it")


async def test_people_are_reminded_until_the_deadline(tasks: Tasks, effects: Desk) -> None:
    ask = {"id": "q", "approve": {"ask": "Go on?", "remind": "200ms", "deadline": "700ms"}}
    handle = await tasks.start([ask, put("a", needs=["q"])])
    assert (await end_of(handle)).failure["type"] == "Rejected"
    log = (await handle.query("board"))["log"]
    assert [line["what"] for line in log if line["step"] == "q" and line["what"] == "reminds"] == [
        "reminds"
    ] * 3
    assert effects.events() == []


async def test_not_by_has_to_be_a_name(tasks: Tasks) -> None:
    ask = {"id": "q", "approve": {"ask": "Go on?", "not_by": "task.requested_by"}}
    assert (await tasks.run([ask], {"requested_by": None})).type == "InvalidInput"
    end = await tasks.run([ask], {"requested_by": 7})
    assert "a name or a list of names" in end.failure["message"]


# --- escalations


async def test_two_people_decide_what_becomes_of_a_failed_step(tasks: Tasks, effects: Desk) -> None:
    escalate = {"escalate": {"people": 2, "not_by": "task.by"}}
    broken = put("b", input={"what": "b", "fail": "final"}, on_failure=escalate)
    handle = await tasks.start([put("a"), broken], {"by": "eve"})
    asked = await asked_of(handle, "b")
    assert asked["show"]["input"] == {"what": "b", "fail": "final"}
    said = {"step": "b", "action": "skip", "hash": asked["hash"]}
    assert "eve may not answer" in await refusal_of(handle, "decide", **said, by="eve")
    await tell(handle, "decide", **said)
    assert (await asked_of(handle, "b"))["said"][0]["by"] == "ann"
    await tell(handle, "decide", **said, by="bob")
    assert (await end_of(handle)).type == "completed"


async def test_a_rejected_output_is_shown_with_its_verdict(tasks: Tasks, effects: Desk) -> None:
    step = put(
        "a", validate=[{"rule": "false", "message": "never"}], on_reject={"escalate": {"deadline": "1h"}}
    )
    handle = await tasks.start([step])
    asked = await asked_of(handle, "a")
    assert asked["default"] == "rollback"
    assert asked["show"]["output"] is not None
    assert "never" in str(asked["show"]["verdicts"])
    assert effects.what("undone") == ["a"]
    await tell(handle, "decide", step="a", action="rollback")
    assert (await end_of(handle)).type == "SagaRolledBack"


@pytest.mark.parametrize(
    ("default", "end", "left"), [(None, "SagaRolledBack", []), ("skip", "completed", ["a"])]
)
async def test_after_the_deadline_of_an_escalation(
    tasks: Tasks, effects: Desk, default: str | None, end: str, left: list[str]
) -> None:
    said = {"deadline": "200ms", **({} if default is None else {"default": default})}
    broken = put("b", needs=["a"], input={"what": "b", "fail": "final"}, on_failure={"escalate": said})
    assert (await tasks.run([put("a"), broken])).type == end
    assert list(effects.effects()) == left


async def test_a_spec_with_bad_escalations_is_refused_at_once(tasks: Tasks) -> None:
    steps = [
        put("a", on_failure={"escalate": {"default": "skip"}}),
        put("b", on_reject={"escalate": {"deadline": "1h", "default": "retry"}}),
        put("c", on_failure={"retry_from": "c", "then": {"escalate": {"escalate": {"after": "1h"}}}}),
        put("d", on_failure={"escalate": {"poeple": 2}}),
        put("e", on_failure={"escalate": {"not_by": "tsak.by"}}),
    ]
    end = await tasks.run(steps)
    assert end.type == "InvalidSpec"
    for words in (
        "steps[0].on_failure.escalate: default is what counts after the deadline",
        "steps[1].on_reject.escalate.default",
        "steps[2].on_failure.then.escalate.escalate",
        "there is no key 'poeple' here; did you mean 'people'?",
    ):
        assert words in end.message, end.message
    end = await tasks.run(steps[4:])
    assert "steps[0].on_failure.escalate.not_by" in end.message


# --- over restarts


async def test_a_used_token_stays_used_when_the_task_continues_as_new(
    server: EmbeddedServer,
    task_queue: str,
    effects: Desk,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(history_size, "LONG_EVENTS", 25)
    signer = Signer(tmp_path)
    plugin = CounterstepPlugin([desk], inline_specs=True, decision_keys=str(signer.file))
    client = await Client.connect(server.address, plugins=[plugin])
    first = {"id": "p", "approve": {"ask": "First?"}}
    steps = [first, *(put(f"s{n}", needs=[f"s{n - 1}" if n else "p"]) for n in range(4))]
    again = {"id": "q", "needs": ["s3"], "approve": {"ask": "Second?"}}
    async with Worker(client, task_queue=task_queue):
        handle = await Tasks(client, task_queue).start([*steps, again])
        await until_asked(handle, "p")
        said = {"step": "p", "action": "approve"}
        signed = signer.signed(handle.id, said)
        await handle.execute_update("decide", signed)
        await until_asked(handle, "q")
        description = await handle.describe()
        assert description.run_id != handle.first_execution_run_id, "it has continued as new"
        assert "used before" in await refusal_of(handle, "decide", **signed)
        last = {"step": "q", "action": "approve"}
        await handle.execute_update("decide", signer.signed(handle.id, last))
        assert (await end_of(handle)).type == "completed"
