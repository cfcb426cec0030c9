"""The page on plans: its task does what it shows, in what `watch` prints and in the rows."""

from __future__ import annotations

import asyncio
import importlib
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client, WorkflowHandle
from temporalio.worker import Worker

from counterstep.bundle.yaml_document import read_document
from counterstep.cli.terminal.live_board import sentence
from counterstep.embedded import EmbeddedServer
from counterstep.plugin import CounterstepPlugin
from counterstep.tests.support.pages.pages import ROOT, blocks
from counterstep.tests.support.pages.reading import Reading
from counterstep.tests.support.tasks.tasks import end_of, tell, until_asked

PAGE = ROOT / "docs" / "how-to" / "plans.md"
ROWS = "select what, key from booked where state = ?"


def shown(language: str) -> list[str]:
    return [line for b in blocks(PAGE) if b.language == language for line in b.text.splitlines()]


async def log_of(handle: WorkflowHandle[Any, Any]) -> list[str]:
    log = (await handle.query("board"))["log"]
    return [sentence(line) for line in log]


async def until_shown(handle: WorkflowHandle[Any, Any], text: str) -> None:
    """Waits until a person is shown a text with the question."""
    for _ in range(600):
        if text in str((await handle.query("board"))["waiting_for"]):
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"nobody is shown {text}")


async def test_a_plan_is_disrupted_refused_and_amended_as_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: EmbeddedServer, task_queue: str
) -> None:
    with Reading(tmp_path, monkeypatch, address=server.address).files(PAGE):
        trip, own = importlib.import_module("trip"), importlib.import_module("own")
        faulty = importlib.import_module("bad_plan").FAULTY
        trip.trip.add_task(tmp_path / "weekend.yaml")
        ops = read_document((tmp_path / "weekend.yaml").read_text(), "weekend.yaml")["steps"][1]
        alone = {key: value for key, value in ops.items() if not key.startswith("on_")}
        trip.trip.add_task({"name": "bad", "steps": [{**alone, "for_each": "task.operations"}]})
        client = await Client.connect(server.address, plugins=[CounterstepPlugin([trip.trip])])

        async def start(workflow: str, *args: Any) -> WorkflowHandle[Any, Any]:
            id_ = f"{task_queue}-{workflow}"
            return await client.start_workflow(workflow, args=args, id=id_, task_queue=task_queue)

        async with Worker(client, task_queue=task_queue, workflows=[own.Weekend]):
            weekend = await start("trip.weekend", {})
            await until_asked(weekend, "confirm")
            before = dict(trip.run(ROWS, "booked"))
            assert sorted(before) == ["cinema", "hotel", "museum", "night train"]
            await tell(weekend, "amend", facts={"closed": ["museum"]}, note="closed for repair")
            await until_shown(weekend, "harbour is booked")
            after = dict(trip.run(ROWS, "booked"))
            assert {what for what in after if after[what] == before.get(what)} == {
                "night train", "hotel", "cinema",
            }  # fmt: skip
            assert (set(after) - set(before), dict(trip.run(ROWS, "cancelled"))) == (
                {"harbour"},
                {"museum": before["museum"]},
            )
            await tell(weekend, "decide", step="confirm", action="approve")
            assert (await end_of(weekend)).type == "completed"
            happened = await log_of(weekend)
            assert [line for line in shown("text") if line not in happened] == []

            refused = await end_of(await start("trip.bad", faulty.model_dump()))
            assert refused.failure["message"] == f"the plan cannot be run: {'; '.join(shown('console'))}"

            assert await (await start("Weekend")).result() == {
                "train": "night train is booked",
                "room": "hotel is booked",
                "day": "harbour is booked",
                "evening": "cinema is booked",
            }
