"""What a task has decided is on its board, in the log of its worker, and in `decisions_of`, with reasons."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from counterstep.client.decisions import decisions_of
from counterstep.embedded import EmbeddedServer
from counterstep.testing.model_behaviour import Behaviour, call
from counterstep.tests.support.bundles.agents import board_of, team, team_at_work
from counterstep.tests.support.bundles.desk import Desk, desk
from counterstep.tests.support.bundles.till import till
from counterstep.tests.support.tasks.tasks import end_of, tell, until_asked


async def test_every_kind_of_decision_is_told_with_who_and_why(
    server: EmbeddedServer,
    task_queue: str,
    monkeypatch: pytest.MonkeyPatch,
    effects: Desk,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    rule = {"rule": "output == 'Paid.'", "message": "it does not say that it is paid"}
    steps: list[dict[str, Any]] = [
        {"id": "never", "tool": "desk.look", "input": {"what": "x"}, "when": "task.what == 'milk'"},
        {
            "id": "pay",
            "agent": "${{ task.who }}",
            "one_of": ["till.cashier", "team.writer"],
            "input": {},
            "validate": [rule],
            "on_reject": {"retry_from": "pay"},
        },
        {"id": "more", "needs": ["pay"], "agent": "till.cashier", "input": {}},
    ]
    async with team_at_work(server.address, task_queue, monkeypatch, [desk, team, till]) as (tasks, models):
        pays = Behaviour.calls(call("pay", what="tea", cents=9000), call("hide", what="tea"))
        models.for_model("cashier").reply(pays, Behaviour.text("Hm."), pays, Behaviour.text("Paid."))
        handle = await tasks.start(steps, {"who": "till.cashier", "what": "tea"}, budget={"model_calls": 4})
        for action, note in (("approve", "as agreed"), ("reject", "too dear")):
            await until_asked(handle, "pay/tool.1", "Pay 9000 for tea?")
            (asked,) = (await handle.query("board"))["waiting_for"]
            told = {"action": action, "hash": asked["hash"], "note": note, "by": "eve"}
            await tell(handle, "decide", step="pay/tool.1", **told)
        end = await end_of(handle)
        board = await board_of(handle)
    assert end.failure["type"] == "BudgetExceeded"
    asks = "Pay 9000 for tea?"
    hidden = ("refusal", "hide is not called", "till.cashier")
    wanted = [
        ("route", "skipped", "counterstep"),
        ("route", "calls till.cashier", "counterstep"),
        hidden,
        ("approval", f"approve: {asks}", "eve"),
        ("refusal", "rejected", f"rule {rule['rule']}"),
        ("retry", "goes back to pay", "counterstep"),
        ("route", "calls till.cashier", "counterstep"),
        ("refusal", f"reject: {asks}", "eve"),
        hidden,
        ("refusal", "BudgetExceeded: not called", "counterstep"),
    ]
    found = [(one["kind"], one["what"], one["by"]) for one in board["decided"]]
    assert sorted(found) == sorted(wanted)
    reasons = " ".join(one["reason"] for one in board["decided"])
    for reason in ("when is false", "as agreed", "too dear", rule["message"], "there is no tool 'hide'"):
        assert reason in reasons
    assert [one.operation for one in decisions_of(board)] == [kind for kind, _, _ in found]
    logged = [vars(record) for record in caplog.records if "decision_kind" in vars(record)]
    assert [(one["decision_kind"], one["decision_what"], one["decision_by"]) for one in logged] == found


async def test_a_task_without_a_decision_has_nothing_of_it(
    server: EmbeddedServer, task_queue: str, monkeypatch: pytest.MonkeyPatch, effects: Desk
) -> None:
    async with team_at_work(server.address, task_queue, monkeypatch) as (tasks, models):
        puts = Behaviour.calls(call("put", what="x"))
        models.for_model("clerk").reply(puts, Behaviour.json({"placed": ["x"]}))
        handle = await tasks.start([{"id": "w", "agent": "team.clerk", "input": {"what": "x"}}])
        assert (await end_of(handle)).type == "completed"
        assert "decided" not in await board_of(handle)
