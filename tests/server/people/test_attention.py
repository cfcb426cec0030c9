"""G6: an undo that stays stuck is nobody's loss: the others go on, and the task waits for a person."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from counterstep.client.undo_attempts import with_all_attempts
from counterstep.embedded import EmbeddedServer
from counterstep.tests.support.bundles.desk import HELD, Desk
from counterstep.tests.support.histories.history import summaries_of, until_heard
from counterstep.tests.support.tasks.tasks import Tasks, end_of, refusal_of, tell, until_state
from counterstep.tests.support.tasks.work import act, put
from counterstep.tests.support.tasks.workers import errand_worker

STUCK = [put("a"), put("b", "a", undo="broken"), put("c"), put("d", "b", "c", fail="final")]


@pytest.fixture
async def tasks(server: EmbeddedServer, task_queue: str) -> AsyncIterator[Tasks]:
    """A worker with sagas of its own as well."""
    async with errand_worker(server.address, task_queue) as tasks:
        yield tasks


async def test_a_stuck_undo_that_is_retried_ends_the_rollback(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start(STUCK)
    board = await until_state(handle, "needs_attention")
    assert effects.what("undone") == ["d", "c"], "the others went on"
    (asked,) = board["waiting_for"]
    assert (asked["step"], asked["kind"], asked["update"]) == ("b", "undo", "resolve")
    assert asked["actions"] == ["retry", "skip", "done"]
    assert "the undo of b fails" in asked["ask"]
    effects.repair("b")
    answer = await tell(handle, "resolve", step="b", action="retry")
    assert answer == {"step": "b", "action": "retry", "undos": ["b#1"]}
    end = await end_of(handle)
    assert end.type == "SagaRolledBack"
    assert end.details["undone"] == ["d", "c", "b", "a"]
    assert effects.effects() == {}
    assert [
        line["who"] for line in (await handle.query("board"))["log"] if line["what"] == "resolve: retry"
    ] == ["ann"]


async def test_a_retry_that_fails_again_needs_attention_again(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start(STUCK)
    await until_state(handle, "needs_attention")
    await tell(handle, "resolve", step="b#1", action="retry")
    while effects.what("undo").count("b") < 2:  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    board = await until_state(handle, "needs_attention")
    assert [entry["attempts"] for entry in board["ledger"] if entry["step"] == "b"] == [2]
    effects.repair("b")
    await tell(handle, "resolve", step="b", action="retry")
    assert (await end_of(handle)).type == "SagaRolledBack"
    assert effects.effects() == {}


async def test_stuck_undos_of_one_step_are_told_apart_and_resolved_one_by_one(
    tasks: Tasks, effects: Desk
) -> None:
    undo = "${{ item == 'bob' ? '' : 'broken' }}"
    invite = {**put("invite", what="${{ item }}", undo=undo), "for_each": "['ada', 'bob', 'cyd', 'dan']"}
    handle = await tasks.start([invite, put("seat", "invite", fail="final")])
    board = await until_state(handle, "needs_attention")
    assert [(asked["step"], asked["entry"]) for asked in board["waiting_for"]] == [
        ("invite", "invite[0]#1"), ("invite", "invite[2]#1"), ("invite", "invite[3]#1"),
    ]  # fmt: skip
    assert set(effects.effects()) == {"ada", "cyd", "dan"}

    for what in ("ada", "cyd", "dan"):
        effects.repair(what)
    answer = await tell(handle, "resolve", step="invite[2]#1", action="retry")
    assert answer == {"step": "invite", "action": "retry", "undos": ["invite[2]#1"]}
    await effects.until("undone", "cyd")
    assert set(effects.effects()) == {"ada", "dan"}, "nobody has spoken of the others"
    board = await until_state(handle, "needs_attention")
    assert [asked["entry"] for asked in board["waiting_for"]] == ["invite[0]#1", "invite[3]#1"]
    counted = (await with_all_attempts(handle, board))["ledger"]
    tries = {entry["id"]: (entry["tries"], entry["error"]) for entry in counted}
    assert tries["invite[2]#1"] == (2, "the undo of cyd fails"), "once in vain, and once more"
    assert tries["invite[1]#1"] == (1, None)
    assert all(entry["started"] <= entry["finished"] for entry in counted)

    answer = await tell(handle, "resolve", step="invite[3]", action="skip", note="dan may come")
    assert answer["undos"] == ["invite[3]#1"]
    assert "'invite[3]' is stuck: skipped" in await refusal_of(
        handle, "resolve", step="invite[3]", action="retry"
    )
    await tell(handle, "resolve", step="invite", action="retry")
    assert (await end_of(handle)).type == "SagaRollbackIncomplete"
    assert list(effects.effects()) == ["dan"]
    history = await handle.fetch_history()
    undos = [text for text in summaries_of(history) if text.startswith("undo ")]
    assert undos[0] == "undo seat"
    assert sorted(undos[1:]) == sorted(f"undo invite[{at}]" for at in (0, 0, 1, 2, 2, 3))
    log = (await handle.query("board"))["log"]
    assert [line["step"] for line in log if line["what"].startswith("resolve")] == [
        "invite[2]", "invite[3]", "invite[0]",
    ]  # fmt: skip


async def test_what_was_done_by_hand_counts_as_undone(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start(STUCK)
    await until_state(handle, "needs_attention")
    await tell(handle, "resolve", step="b", action="done", note="took it off myself")
    end = await end_of(handle)
    assert end.type == "SagaRolledBack"
    assert end.details["not_undone"] == []
    assert effects.what("undone") == ["d", "c", "a"], "a was held back, and is undone now"


async def test_what_is_skipped_stays_and_is_told(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start(STUCK)
    await until_state(handle, "needs_attention")
    await tell(handle, "resolve", step="b", action="skip", note="it may stay")
    end = await end_of(handle)
    assert end.type == "SagaRollbackIncomplete"
    assert end.details["not_undone"] == ["b"]
    assert [item["state"] for item in end.details["remaining"]] == ["skipped"]
    assert list(effects.effects()) == ["b"]


async def test_a_task_that_completes_tells_what_was_left_on_the_way(tasks: Tasks, effects: Desk) -> None:
    again = {"retry_from": "a", "rounds": 1, "then": "rollback"}
    handle = await tasks.start(
        [put("a", undo="broken"), {**put("b", "a", fail="first"), "on_failure": again}]
    )
    await until_state(handle, "needs_attention")
    await tell(handle, "resolve", step="a", action="skip", note="it may stay")
    assert (await end_of(handle)).type == "completed"
    assert (await handle.result())["not_undone"] == ["a"]


@pytest.mark.parametrize("how", ["saga", "two sagas at once"])
async def test_a_saga_inside_another_is_refused(tasks: Tasks, effects: Desk, how: str) -> None:
    acts = [act("put", "a"), {how: [act("put", "b")]}]
    end = await end_of(await tasks.start_workflow("Errand", acts))
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "DefinitionError")
    assert "a saga is open in this workflow already" in end.failure["message"]
    assert effects.what("undone") == ["a"]


async def test_a_cancel_does_not_end_the_wait_for_a_person(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start(STUCK)
    await until_state(handle, "needs_attention")
    await handle.cancel()
    await until_heard(handle)
    assert (await handle.query("board"))["state"] == "needs_attention"
    effects.repair("b")
    await tell(handle, "resolve", step="b", action="retry")
    end = await end_of(handle)
    assert (end.type, end.failure["step"]) == ("SagaRolledBack", "d")


async def test_who_gives_up_after_a_while_tells_what_remains(tasks: Tasks, effects: Desk) -> None:
    end = await tasks.run(STUCK, compensation={"give_up": "300ms"})
    assert end.type == "SagaRollbackIncomplete"
    assert end.details["not_undone"] == ["b", "a"]
    assert {item["id"]: item["state"] for item in end.details["remaining"]} == {
        "a#1": "settled",
        "b#1": "stuck",
    }


async def test_a_saga_of_ones_own_waits_too(tasks: Tasks, effects: Desk) -> None:
    acts = [act("put", "a"), act("put_for_good", "b"), act("put", "c", fail="final")]
    handle = await tasks.start_workflow("Errand", acts)
    board = await until_state(handle, "needs_attention")
    assert [asked["step"] for asked in board["waiting_for"]] == ["put_for_good"]
    await tell(handle, "resolve", step="put_for_good", action="done")
    assert (await end_of(handle)).type == "SagaRolledBack"
    assert list(effects.effects()) == ["b"], "nobody but a person has touched it"


async def test_the_second_saga_of_a_workflow_is_shown_and_its_stuck_undo_resolved(
    tasks: Tasks, effects: Desk
) -> None:
    second = [act("put_for_good", "b"), act("put", "c", fail="final")]
    handle = await tasks.start_workflow("ErrandsInTurn", [[act("put", "a")], second])
    board = await until_state(handle, "needs_attention")
    assert set(board["steps"]) == {"put_for_good", "put_2"}, "the board is of the second saga"
    assert [asked["step"] for asked in board["waiting_for"]] == ["put_for_good"]
    await tell(handle, "resolve", step="put_for_good", action="done")
    assert (await end_of(handle)).type == "SagaRolledBack"
    assert set(effects.effects()) == {"a", "b"}, "the first saga had ended well, and b is a person's matter"


async def test_a_skipped_step_whose_undo_is_stuck_waits_and_goes_on(tasks: Tasks, effects: Desk) -> None:
    steps = [
        {**put("a", fail="after", undo="broken"), "retry": {"attempts": 1}, "on_failure": "skip"},
        put("b", "a"),
    ]
    handle = await tasks.start(steps)
    await until_state(handle, "needs_attention")
    assert "b" not in effects.what("begin"), "nothing goes on over an effect that should be gone"
    effects.repair("a")
    await tell(handle, "resolve", step="a", action="retry")
    assert (await end_of(handle)).type == "completed"
    assert list(effects.effects()) == ["b"]


@pytest.mark.parametrize(
    ("message", "why"),
    [
        ({"step": "b", "action": "retry", "by": ""}, "by: String should have at least 1 character"),
        ({"step": "b", "action": "burn"}, "action: Input should be 'retry', 'skip', 'done'"),
        ({"step": "b", "action": "skip"}, "skip leaves the effect as it is; say why in note"),
        ({"step": "b", "action": "applied"}, "say one of retry, skip, done"),
        ({"step": "c", "action": "retry"}, "no undo of 'c' is stuck: undone"),
        ({"step": "bb", "action": "retry"}, "there is no step 'bb'; did you mean 'b'?"),
        ({"action": "retry", "who": "me"}, "step: Field required; who: Extra inputs are not permitted"),
    ],
)
async def test_nonsense_is_refused_and_leaves_no_trace(
    tasks: Tasks, effects: Desk, message: dict[str, str], why: str
) -> None:
    handle = await tasks.start(STUCK)
    await until_state(handle, "needs_attention")
    assert why in await refusal_of(handle, "resolve", **message)
    await handle.terminate()


async def test_the_undo_of_a_task_that_runs_is_not_stuck(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start([put("a"), put("b", "a", delay=HELD)])
    await effects.until("begin", "b")
    assert "no undo of 'a' is stuck: settled" in await refusal_of(handle, "resolve", step="a", action="retry")
    effects.release("b")
    assert (await end_of(handle)).type == "completed"
