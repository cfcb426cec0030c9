"""Who decides is proven: only a token that was signed for just this decision counts, and only once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import Client, WithStartWorkflowOperation, WorkflowUpdateFailedError
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from counterstep.embedded import EmbeddedServer
from counterstep.plugin import CounterstepPlugin
from counterstep.tests.support.bundles.desk import HELD, Desk, desk
from counterstep.tests.support.bundles.till import till
from counterstep.tests.support.people.signing import Signer
from counterstep.tests.support.processes.worker_process import worker_process
from counterstep.tests.support.tasks.recovery import recover, recovery_of
from counterstep.tests.support.tasks.tasks import Tasks, end_of, refusal_of, until_asked

Shop = tuple[Tasks, Signer]
PAY: dict[str, Any] = {"id": "p", "tool": "till.pay", "input": {"what": "tea"}}


@pytest.fixture
async def shop(server: EmbeddedServer, task_queue: str, effects: Desk, tmp_path: Path) -> AsyncIterator[Shop]:
    signer = Signer(tmp_path)
    plugin = CounterstepPlugin([desk, till], inline_specs=True, decision_keys=str(signer.file))
    client = await Client.connect(server.address, plugins=[plugin])
    async with Worker(client, task_queue=task_queue):
        yield Tasks(client, task_queue), signer


async def asked_of(handle: Any, step: str = "p") -> dict[str, Any]:
    await until_asked(handle, step)
    board = await handle.query("board")
    return next(asked for asked in board["waiting_for"] if asked["step"] == step)


async def test_only_a_token_for_just_this_counts(shop: Shop, effects: Desk, tmp_path: Path) -> None:
    tasks, signer = shop
    handle = await tasks.start([PAY], output="${{ steps.p.output.cents }}")
    said = {"step": "p", "action": "approve", "hash": (await asked_of(handle))["hash"]}

    async def why(other: dict[str, Any] | None = None, **claims: Any) -> str:
        token = signer.token(handle.id, said, **claims)
        return await refusal_of(handle, "decide", **{**said, **(other or {}), "token": token})

    now = int(time.time())
    assert "not signed" in await refusal_of(handle, "decide", **said)
    assert "for the task 'other'" in await why(task="other")
    assert "for the step 'q'" in await why(step="q")
    assert "for the action 'reject'" in await why(action="reject")
    assert "(hash)" in await why(hash="0" * 32)
    assert "another value" in await why({"action": "edit", "value": {"what": "tea"}}, action="edit")
    assert "expired" in await why(iat=now - 600, exp=now - 1)
    assert "does not count yet" in await why(nbf=now + 600)
    assert "does not count yet" in await why(iat=now + 600, exp=now + 900)
    assert "another audience" in await why(aud="them")
    assert "'jti'" in await why(jti=None)
    assert "task" in await why(task=None)
    forged = Signer(tmp_path / "..").token(handle.id, said)
    assert "signature is wrong" in await refusal_of(handle, "decide", **said, token=forged)
    unknown = Signer(tmp_path / "..", "k9").token(handle.id, said)
    assert "'k9' is not known" in await refusal_of(handle, "decide", **said, token=unknown)
    assert effects.events() == [], "nothing has begun"

    edit = {**said, "action": "edit", "value": {"what": "tea", "cents": 7000}}
    await handle.execute_update("decide", signer.signed(handle.id, edit, by_is_not_needed=True))
    assert (await end_of(handle)).output == 7000
    board = await handle.query("board")
    (line,) = [line for line in board["log"] if line["what"] == "decides: edit"]
    assert (line["who"], line["proven"]) == ("ann", True)
    assert board["decisions"][0]["proven"] is True
    (allowed,) = [one for one in board["decided"] if one["kind"] == "approval"]
    assert (allowed["by"], allowed["proven"]) == ("ann", True)


async def test_a_token_counts_once_also_where_it_comes_twice_at_once(shop: Shop, effects: Desk) -> None:
    tasks, signer = shop
    handle = await tasks.start([{**PAY, "approvals": [{"tool": "till.pay", "people": 2}]}])
    said = {"step": "p", "action": "approve", "hash": (await asked_of(handle))["hash"]}
    signed = signer.signed(handle.id, said)
    twice = await asyncio.gather(
        *(handle.execute_update("decide", signed) for _ in range(2)), return_exceptions=True
    )
    (lost,) = [one for one in twice if isinstance(one, WorkflowUpdateFailedError)]
    assert isinstance(lost.cause, ApplicationError)
    assert "used before" in lost.cause.message
    assert "used before" in await refusal_of(handle, "decide", **signed)
    assert "has answered already" in await refusal_of(
        handle, "decide", **signer.signed(handle.id, said, sub="Ann")
    )
    asked = await asked_of(handle)
    assert asked["said"] == [{"by": "ann", "action": "approve", "note": "", "proven": True}]
    await handle.execute_update("decide", signer.signed(handle.id, said, sub="bob"))
    assert (await end_of(handle)).type == "completed"
    assert effects.what("done") == ["tea"]


async def test_roles_come_from_tokens_and_others_may_answer_after_a_while(shop: Shop, effects: Desk) -> None:
    tasks, signer = shop
    demand = {
        "tool": "till.pay",
        "roles": ["clerk", "teller"],
        "escalate": {"after": "1s", "roles": ["boss"]},
    }
    handle = await tasks.start([{**PAY, "approvals": [demand]}])
    asked = await asked_of(handle)
    said = {"step": "p", "action": "approve", "hash": asked["hash"]}
    assert asked["roles"] == [["clerk", "teller"]]
    with pytest.raises(WorkflowUpdateFailedError) as caught:
        await handle.execute_update("decide", signer.signed(handle.id, said, "boss"))
    assert isinstance(caught.value.cause, ApplicationError)
    assert caught.value.cause.message == "ann is not clerk or teller"
    for _ in range(200):
        asked = await asked_of(handle)
        if asked.get("escalated"):
            break
        await asyncio.sleep(0.05)
    assert asked["roles"] == [["boss", "clerk", "teller"]]
    assert "is not" in await refusal_of(handle, "decide", **signer.signed(handle.id, said, "guest"))
    await handle.execute_update("decide", signer.signed(handle.id, said, "boss"))
    assert (await end_of(handle)).type == "completed"


async def test_whoever_asks_may_not_approve(shop: Shop, effects: Desk) -> None:
    tasks, signer = shop
    demand = {"tool": "till.pay", "not_by": "task.requested_by"}
    handle = await tasks.start([{**PAY, "approvals": [demand]}], {"requested_by": "Ann"})
    asked = await asked_of(handle)
    said = {"step": "p", "action": "approve", "hash": asked["hash"]}
    assert asked["not_by"] == ["Ann"]
    assert "ann may not answer" in await refusal_of(handle, "decide", **signer.signed(handle.id, said))
    no = {**said, "action": "reject"}
    await handle.execute_update("decide", signer.signed(handle.id, no))
    assert (await end_of(handle)).failure["type"] == "ApprovalDenied"
    assert effects.events() == []


async def test_facts_and_stuck_undos_are_signed_too(shop: Shop, effects: Desk) -> None:
    tasks, signer = shop
    put = {"id": "a", "tool": "desk.put", "input": {"what": "a ${{ facts.n }}"}}
    ask = {"id": "q", "needs": ["a"], "approve": {"ask": "Go on?"}}
    handle = await tasks.start([{**put, "input": {"what": "a"}}, ask])
    await until_asked(handle, "q")
    said = {"facts": {"n": 1}, "invalidates": []}
    assert "not signed" in await refusal_of(handle, "amend", **said)
    token = signer.token(handle.id, {"value": {"facts": {"n": 2}, "invalidates": []}})
    assert "another value" in await refusal_of(handle, "amend", **said, token=token)
    token = signer.token(handle.id, {"value": said})
    await handle.execute_update("amend", {**said, "token": token})
    resolve = {"step": "a", "action": "retry"}
    assert "not signed" in await refusal_of(handle, "resolve", **resolve)
    why = await refusal_of(handle, "resolve", **signer.signed(handle.id, resolve))
    assert "no undo of 'a' is stuck" in why, "it was read, and is refused for another reason"
    await handle.cancel()
    assert (await end_of(handle)).type == "cancelled"


async def test_what_comes_with_the_start_is_signed_too(shop: Shop, effects: Desk) -> None:
    tasks, signer = shop
    facts = {"facts": {"plan": "new"}, "invalidates": []}

    def starting(id_: str) -> WithStartWorkflowOperation[Any, Any]:
        put = {"id": "a", "tool": "desk.put", "input": {"what": "a", "delay": HELD}}
        spec = {"name": "test", "steps": [put], "output": "${{ facts.plan }}"}
        return WithStartWorkflowOperation(
            "AgentTask",
            {"spec": spec},
            id=id_,
            task_queue=tasks.task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        )

    async def sent(id_: str, said: dict[str, Any]) -> None:
        await tasks.client.execute_update_with_start_workflow(
            "amend", said, start_workflow_operation=starting(id_)
        )

    id_ = f"test-{uuid4()}"
    for wrong in ({**facts, "by": "ann"}, {**facts, "token": "a.b.c"}):
        with pytest.raises(WorkflowUpdateFailedError) as caught:
            await sent(f"test-{uuid4()}", wrong)
        assert isinstance(caught.value.cause, ApplicationError)
        assert caught.value.cause.type == "Refused"
    signed = {**facts, "token": signer.token(id_, {"value": facts})}
    await sent(id_, signed)
    handle = tasks.client.get_workflow_handle(id_)
    assert "used before" in await refusal_of(handle, "amend", **signed)
    effects.release("a")
    assert (await end_of(handle)).output == "new"


@pytest.mark.slow
async def test_what_was_signed_outlives_its_worker(
    server: EmbeddedServer,
    task_queue: str,
    effects: Desk,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    signer = Signer(tmp_path)
    monkeypatch.setenv("COUNTERSTEP_DECISION_KEYS", str(signer.file))
    tasks = Tasks(await Client.connect(server.address), task_queue)
    demand = {"tool": "till.pay", "people": 2, "roles": ["clerk"], "remind": "200ms"}
    with worker_process(server.address, task_queue) as worker:
        handle = await tasks.start([{**PAY, "approvals": [demand]}])
        said = {"step": "p", "action": "approve", "hash": (await asked_of(handle))["hash"]}
        first = signer.signed(handle.id, said, "clerk")
        await handle.execute_update("decide", first)
        worker.kill()
    with worker_process(server.address, task_queue):
        assert (await asked_of(handle))["said"][0]["by"] == "ann"
        assert "used before" in await refusal_of(handle, "decide", **first)
        assert "is not clerk" in await refusal_of(
            handle, "decide", **signer.signed(handle.id, said, sub="bob")
        )
        await handle.execute_update("decide", signer.signed(handle.id, said, "clerk", sub="bob"))
        assert (await end_of(handle)).type == "completed"
    assert effects.what("done") == ["tea"]


async def test_a_stuck_undo_of_a_recovery_is_settled_with_a_token_for_the_recovery(
    shop: Shop, effects: Desk
) -> None:
    tasks, signer = shop
    stuck = {"id": "b", "tool": "desk.put", "input": {"what": "b", "undo": "broken"}}
    handle = await tasks.start([stuck, {"id": "q", "needs": ["b"], "approve": {"ask": "Go on?"}}])
    await until_asked(handle, "q")
    await handle.terminate()
    assert (await recover(tasks, handle)).state == "needs_attention"
    recovery = recovery_of(tasks, handle)
    await until_asked(recovery, "b")
    said = {"step": "b", "action": "retry"}
    wrong = signer.signed(handle.id, said)
    assert "for the task" in await refusal_of(recovery, "resolve", **wrong)
    effects.repair("b")
    await recovery.execute_update("resolve", signer.signed(recovery.id, said))
    assert await recovery.result() == {"undone": ["b"], "not_undone": []}
    assert effects.effects() == {}


async def test_without_keys_a_token_and_a_role_prove_nothing(
    tasks: Tasks, effects: Desk, tmp_path: Path
) -> None:
    ask = {"id": "q", "approve": {"ask": "Go on?", "roles": ["boss"]}}
    handle = await tasks.start([ask])
    said = {"step": "q", "action": "approve", "hash": (await asked_of(handle, "q"))["hash"]}
    assert "COUNTERSTEP_DECISION_KEYS" in await refusal_of(handle, "decide", **said)
    token = Signer(tmp_path).token(handle.id, said, "boss")
    assert "cannot be checked" in await refusal_of(handle, "decide", **said, token=token)
    await handle.cancel()
    assert (await end_of(handle)).type == "cancelled"
