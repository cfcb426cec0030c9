"""The example `support_desk`: what stands in its database, and what the customer is told, however it ends."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import CancelledError
from temporalio.worker import Worker

from counterstep.activities.models.stand_in import stand_in_reply
from counterstep.embedded import EmbeddedServer
from counterstep.plugin import CounterstepPlugin
from counterstep.testing.model_behaviour import Behaviour, ScriptedCall, call
from counterstep.testing.model_server import ModelServer
from counterstep.tests.support.histories.history import events_of, until_heard
from counterstep.tests.support.processes.demos import play_demo
from examples.support_desk import demo, feature_service
from examples.support_desk.bundle import support
from examples.support_desk.demo import Rows, look
from examples.support_desk.desk import Desk, desk

pytestmark = pytest.mark.long

MESSAGES = Path(demo.HERE) / "messages"
TWO_WISHES = yaml.safe_load((MESSAGES / "charged_twice.yaml").read_text())
TWO_WISHES["received"] = str(TWO_WISHES["received"])
ENTERPRISE = ("enterprise", '["mail_support", "shared_projects", "single_sign_on", "audit_log"]')
TEAM = ("team", '["mail_support", "shared_projects"]')
REFUNDED = "You were charged $49.00 twice, 3 seconds apart; we have refunded the second $49.00."
UPGRADED = "You are on the Enterprise plan now; for the time until 2026-07-01 the upgrade cost $125.00."
UNDONE = (
    "The upgrade to the Enterprise plan has failed and was undone: you are on the Team plan, as before, and "
    "pay nothing for it."
)
OFFERED = (
    "The upgrade to the Enterprise plan would cost $125.00 for the time until 2026-07-01; without your "
    "consent you stay on the Team plan."
)


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setenv("SUPPORT_DB", str(tmp_path / "support.sqlite"))
    return desk("")


@pytest.fixture
async def client(server: EmbeddedServer, task_queue: str, database: Desk) -> AsyncIterator[Client]:
    """A client whose tasks a worker of this test's own runs, played by the stand-in."""
    client = await Client.connect(server.address, plugins=[CounterstepPlugin([support])])
    async with Worker(client, task_queue=task_queue):
        yield client


async def start(client: Client, task_queue: str, message: dict[str, Any]) -> WorkflowHandle[Any, Any]:
    return await client.start_workflow(
        "support.desk", message, id=f"desk-{uuid4().hex}", task_queue=task_queue
    )


async def board_of(handle: WorkflowHandle[Any, Any]) -> dict[str, Any]:
    board: dict[str, Any] = await handle.query("board")
    return board


async def until_asked(handle: WorkflowHandle[Any, Any]) -> list[dict[str, Any]]:
    while True:
        asked: list[dict[str, Any]] = (await board_of(handle))["waiting_for"]
        if asked:
            return asked
        await asyncio.sleep(0.05)


def states(rows: Rows) -> list[tuple[int, str]]:
    return [(cents, state) for _, _, cents, state in rows["charges"]]


async def model_calls(handle: WorkflowHandle[Any, Any], step: str) -> tuple[int, int, str]:
    """The events of the first model call of a step (scheduled, completed), and what the model was shown."""
    events = await events_of(handle)
    scheduled = next(
        event
        for event in events
        if event.activity_task_scheduled_event_attributes.activity_id == f"{step}/model.1#1"
    )
    completed = next(
        event
        for event in events
        if event.activity_task_completed_event_attributes.scheduled_event_id == scheduled.event_id
    )
    shown = scheduled.activity_task_scheduled_event_attributes.input.payloads[0].data.decode()
    return scheduled.event_id, completed.event_id, shown


async def test_both_wishes_are_met_side_by_side_each_by_who_needs_to_know(
    client: Client, task_queue: str, database: Desk
) -> None:
    handle = await start(client, task_queue, TWO_WISHES)
    output = (await handle.result())["output"]
    rows = look(database, "C-1001")
    assert states(rows) == [(4900, "paid"), (4900, "paid"), (4900, "refunded"), (12500, "paid")]
    assert rows["account"] == [ENTERPRISE]
    assert output == {
        "text": f"{REFUNDED} {UPGRADED}",
        "refunded_cents": 4900,
        "charged_cents": 12500,
        "plan": "enterprise",
    }
    billing, quote = await model_calls(handle, "billing"), await model_calls(handle, "quote")
    assert max(billing[0], quote[0]) < min(billing[1], quote[1])
    assert "charged twice" in billing[2]
    assert "enterprise" not in billing[2]
    assert "enterprise plan" in quote[2]
    assert "charged twice" not in quote[2]

    # Written once more there is nothing to refund, and no dearer plan: a colleague takes both over.
    output = (await (await start(client, task_queue, TWO_WISHES)).result())["output"]
    assert (output["refunded_cents"], output["charged_cents"], output["plan"]) == (0, 0, "enterprise")
    again = look(database, "C-1001")
    assert again["charges"] == rows["charges"]
    assert [row[::2] for row in again["tickets"]] == [("escalation", "open")] * 2


async def test_a_fault_in_the_upgrade_undoes_it_and_the_refund_stays(
    client: Client, task_queue: str, database: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(feature_service.VARIABLE, "down")
    handle = await start(client, task_queue, TWO_WISHES)
    output = (await handle.result())["output"]
    rows = look(database, "C-1001")
    assert states(rows) == [(4900, "paid"), (4900, "paid"), (4900, "refunded"), (12500, "reversed")]
    assert rows["account"] == [TEAM]
    assert output == {
        "text": f"{REFUNDED} {UNDONE}",
        "refunded_cents": 4900,
        "charged_cents": 0,
        "plan": "team",
    }
    board = await board_of(handle)
    undone = {entry["step"] for entry in board["ledger"] if entry["state"] == "undone"}
    assert undone == {"charge", "plan", "features"}
    assert board["state"] == "completed"


async def test_a_cancel_in_the_upgrade_undoes_everything_and_the_refund_too(
    client: Client, task_queue: str, database: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def reach() -> None:
        reached.set()
        assert go_on.wait(60)

    monkeypatch.setattr(feature_service, "reach", reach)
    before = look(database, "C-1001")
    handle = await start(client, task_queue, TWO_WISHES)
    try:
        assert await asyncio.to_thread(reached.wait, 60)
        between = look(database, "C-1001")
        await handle.cancel()
        await until_heard(handle)
    finally:
        go_on.set()
    with pytest.raises(WorkflowFailureError) as ended:
        await handle.result()
    assert isinstance(ended.value.cause, CancelledError)
    assert between["account"][0][0] == "enterprise"
    assert states(between)[2:] == [(4900, "refunded"), (12500, "paid")]
    after = look(database, "C-1001")
    assert after["account"] == before["account"]
    assert states(after) == [*states(before), (12500, "reversed")]
    assert {found.state for found in database.operations(handle.id)} == {"undone"}


async def test_what_fits_neither_goes_to_the_engineers_and_to_a_colleague(
    client: Client, task_queue: str, database: Desk
) -> None:
    message = yaml.safe_load((MESSAGES / "fault_and_threat.yaml").read_text())
    handle = await start(client, task_queue, message | {"received": str(message["received"])})
    output = (await handle.result())["output"]
    rows = look(database, "C-1004")
    assert sorted(rows["tickets"]) == [
        ("escalation", "If this is not settled my lawyer will write to you.", "open"),
        ("technical", "The export of my reports fails with an error since Monday.", "open"),
    ]
    assert "Our engineers look into" in output["text"]
    assert "A colleague answers you" in output["text"]
    steps = (await board_of(handle))["steps"]
    assert {steps[name]["state"] for name in ("billing", "quote", "upgrade")} == {"skipped"}


@pytest.mark.parametrize(
    ("agreed", "action", "statement", "account"),
    [
        (None, "approve", UPGRADED, ENTERPRISE),
        (None, "reject", OFFERED, TEAM),
        (12499, None, OFFERED, TEAM),
    ],
)
async def test_nothing_is_upgraded_without_consent(
    client: Client,
    task_queue: str,
    database: Desk,
    agreed: int | None,
    action: str | None,
    statement: str,
    account: tuple[str, str],
) -> None:
    message = {name: value for name, value in TWO_WISHES.items() if name != "agreed_cents"}
    handle = await start(client, task_queue, message | ({} if agreed is None else {"agreed_cents": agreed}))
    if action is not None:
        assert (await until_asked(handle))[0]["ask"] == "Change to the Enterprise plan for $125.00?"
        await handle.execute_update("decide", {"step": "consent", "action": action, "by": "C-1001"})
    output = (await handle.result())["output"]
    assert output["text"] == f"{REFUNDED} {statement}"
    assert look(database, "C-1001")["account"] == [account]


# --- models that do not do as they say


def _dishonest(body: dict[str, Any]) -> Behaviour:
    """Refunds somebody else's duplicate, and tells the customer what the customer wants to hear."""
    system = body["messages"][0]["content"]
    if "one answer" in system:
        lie = f"{REFUNDED} {UPGRADED}"
        told = {"text": lie, "refunded_cents": 4900, "charged_cents": 12500, "plan": "enterprise"}
        return Behaviour.json(told)
    if "You refund" in system and all(message["role"] != "tool" for message in body["messages"]):
        return Behaviour.calls(call("refund", charge_id=6))
    if "You refund" in system:
        return Behaviour.json({"refunded_cents": 4900})
    wanted = body.get("response_format")  # a model with tools has one that takes the answer
    schema = wanted and wanted["json_schema"]["schema"]
    reply = stand_in_reply(body["messages"], body.get("tools", ()), schema)
    if reply.tool is not None:
        return Behaviour.calls(ScriptedCall(reply.tool, json.dumps(reply.arguments), id=uuid4().hex))
    return Behaviour.json(json.loads(reply.content or ""))


async def test_models_are_checked_against_the_database(
    server: EmbeddedServer, task_queue: str, database: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(feature_service.VARIABLE, "down")
    before = look(database, "C-1002")
    async with ModelServer() as models:
        for name, value in models.environment.items():
            monkeypatch.setenv(name, value)
        models.default = _dishonest
        client = await Client.connect(
            server.address, plugins=[CounterstepPlugin([support], model="openai/gpt-test")]
        )
        async with Worker(client, task_queue=task_queue):
            handle = await start(client, task_queue, TWO_WISHES)
            output = (await handle.result())["output"]
            board = await board_of(handle)
    assert look(database, "C-1002") == before
    assert output["text"].startswith(UNDONE)
    assert "A colleague answers you" in output["text"]
    assert (output["refunded_cents"], output["charged_cents"], output["plan"]) == (0, 0, "team")
    log = [f"{line['step']}: {line['why']}" for line in board["log"] if "falls back" in line["what"]]
    assert ["acted for C-1002" in line for line in log if line.startswith("billing")] == [True]
    assert ["it does not say: " in line for line in log if line.startswith("answer")] == [True]


# --- the demo


@pytest.mark.slow
def test_the_demo_shows_the_rows_of_all_scenes(tmp_path: Path) -> None:
    played = play_demo("examples.support_desk.demo", tmp_path, "SUPPORT_")
    for scene in demo.SCENES:
        assert scene.proof in played.stdout
