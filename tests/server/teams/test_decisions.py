"""What teams have decided, read from the boards of tasks that have run: with costs and rewards."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from temporalio.client import WorkflowHandle

from counterstep.client.team_decisions import TeamDecision, team_decisions
from counterstep.testing.model_behaviour import Behaviour, call
from counterstep.testing.model_server import ModelServer
from counterstep.tests.support.bundles.agents import board_of
from counterstep.tests.support.bundles.desk import HELD, Desk
from counterstep.tests.support.tasks.tasks import Tasks, end_of

Field = tuple[Tasks, ModelServer]
STEP = {"id": "w", "agent": "crew.poll", "input": {"what": "tea"}}


def says(models: ModelServer, name: str, *verdicts: str) -> None:
    """A member puts a thing of its name on the desk each time, and then has an opinion."""
    for verdict in verdicts:
        models.for_model(name).reply(
            Behaviour.calls(call("put", what=f"{name} {uuid4().hex[:4]}")),
            Behaviour.json({"verdict": verdict, "confidence": 1}),
        )


async def decided(handle: WorkflowHandle[Any, Any]) -> list[TeamDecision]:
    return team_decisions(await board_of(handle))


def kept_of(decisions: list[TeamDecision]) -> str:
    """The one turn that a team has made its answer of, in its last decision."""
    combined = decisions[-1].combined
    assert combined is not None
    (call,) = combined.kept
    return call


async def test_a_vote_that_was_rejected_and_held_again(field: Field, effects: Desk) -> None:
    tasks, models = field
    for name, at_first in (("ann", "no"), ("bob", "yes"), ("cid", "no")):
        says(models, name, at_first, "yes")
    rule = {"rule": "output.verdict == 'yes'", "message": "nobody can say no to tea"}
    handle = await tasks.start([{**STEP, "validate": [rule], "on_reject": {"retry_from": "w"}}])
    end = await end_of(handle)
    assert end.type == "completed", end.message
    found = await decided(handle)
    assert [(d.n, d.run, d.code, d.member) for d in found if d.operation != "stop"] == [
        (1, 1, "O1", "ann"),
        (2, 1, "O1", "bob"),
        (3, 1, "O1", "cid"),
        (5, 2, "O1", "ann"),
        (6, 2, "O1", "bob"),
        (7, 2, "O1", "cid"),
    ]
    assert {d.reward.turn for d in found[:3]} <= {"undone", "stopped"}
    assert "undone" in [d.reward.turn for d in found[:3]]
    first, second = (d for d in found if d.operation == "stop")
    assert (first.code, first.member, first.reward.turn) == ("O5", None, None)
    assert [v.passed for v in first.reward.verdicts] == [True, False]
    assert first.reward.verdicts[-1].reasons == ("nobody can say no to tea",)
    assert [v.passed for v in second.reward.verdicts] == [True, True]
    assert [d.call for d in found if d.reward.turn == "kept"] == [kept_of(found)]
    assert len(effects.effects()) == 1
    assert [d.cost.model_calls for d in found if d.reward.turn == "kept"] == [2]
    assert second.cost.model_calls == 0
    assert {(d.task_id, d.step, d.reward.step, d.reward.task) for d in found} == {
        (handle.id, "w", "completed", "completed")
    }


async def test_of_a_task_that_is_rolled_back_nothing_is_kept(field: Field, effects: Desk) -> None:
    tasks, models = field
    for name in ("ann", "bob", "cid"):
        says(models, name, "yes")
    after = {"id": "x", "needs": ["w"], "tool": "desk.put", "input": {"what": "x", "fail": "not_applied"}}
    handle = await tasks.start([STEP, after])
    assert (await end_of(handle)).type == "SagaRolledBack"
    found = await decided(handle)
    assert {d.reward.turn for d in found if d.call} <= {"undone", "stopped"}
    assert [d.reward.turn for d in found if d.call == kept_of(found)] == ["undone"]
    assert (found[-1].reward.step, found[-1].reward.task) == ("undone", "rolled_back")


async def test_a_cancel_ends_the_turns_that_were_under_way(field: Field, effects: Desk) -> None:
    tasks, models = field
    says(models, "ann", "yes")
    models.for_model("bob").reply(Behaviour.calls(call("put", what="b", late=HELD)))
    says(models, "cid", "no")
    handle = await tasks.start([STEP])
    await effects.until("done", "b")
    under_way = await decided(handle)
    assert "running" in [d.reward.turn for d in under_way]
    assert under_way[0].reward.task == "running"
    await handle.cancel()
    effects.release("b")
    assert (await end_of(handle)).type == "cancelled"
    found = {d.member: d for d in await decided(handle) if d.call}
    assert found["bob"].reward.turn == "stopped"
    assert {d.reward.turn for d in found.values()} <= {"undone", "stopped"}
    assert "poll has ended" in (found["bob"].error or "")


async def test_the_turn_that_ended_the_team_has_failed_and_was_not_stopped(
    field: Field, effects: Desk
) -> None:
    tasks, models = field
    for name in ("ann", "bob", "cid"):
        says(models, name, "yes")
    handle = await tasks.start([STEP], budget={"model_calls": 3})
    assert (await end_of(handle)).type == "SagaRolledBack"
    failed = [d for d in await decided(handle) if d.call and d.reward.turn == "failed"]
    assert failed
    assert all("model calls" in (d.error or "") for d in failed)
    assert effects.effects() == {}


async def test_a_team_that_a_workflow_of_ones_own_has_asked(field: Field, effects: Desk) -> None:
    tasks, models = field
    for name in ("ann", "bob", "cid"):
        says(models, name, "yes")
    handle = await tasks.client.start_workflow(
        "crew.asks_a_team", args=["tea", False], id=f"asks-{uuid4()}", task_queue=tasks.task_queue
    )
    assert await handle.result() == "yes"
    found = await decided(handle)
    assert [(d.code, d.member) for d in found] == [("O1", "ann"), ("O1", "bob"), ("O1", "cid"), ("O5", None)]
    assert [d.call for d in found if d.reward.turn == "kept"] == [kept_of(found)]
    assert {(d.step is not None, d.reward.step, d.reward.task) for d in found} == {
        (True, "completed", "completed")
    }
