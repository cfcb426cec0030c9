"""What pages show as programs runs as they show it, on a real server."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from temporalio.client import Client, WorkflowFailureError
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from counterstep import Bundle, Effect, McpServer
from counterstep.cli.terminal.catalog_table import print_catalog
from counterstep.embedded import EmbeddedServer
from counterstep.plugin import CounterstepPlugin
from counterstep.stock import stock
from counterstep.tests.support.mcp_servers.public_servers import MEMORY
from counterstep.tests.support.pages.pages import ROOT, blocks
from counterstep.tests.support.pages.reading import Reading
from counterstep.tests.support.processes.command import Shop
from counterstep.tests.support.tasks.tasks import Tasks, end_of, tell, until_state

HOW_TO = ROOT / "docs" / "how-to"


@pytest.fixture
def reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: EmbeddedServer) -> Reading:
    return Reading(tmp_path, monkeypatch, address=server.address)


async def test_a_worker_and_a_workflow_of_ones_own(
    reading: Reading, capsys: pytest.CaptureFixture[str]
) -> None:
    with reading.files(HOW_TO / "own-worker.md"):
        await importlib.import_module("worker_program").main()
    assert capsys.readouterr().out == "letter: ada has paid bob\n"


async def test_a_saga_that_asks_waits_and_takes_back(reading: Reading, server: EmbeddedServer) -> None:
    with reading.files(HOW_TO / "own-worker.md"):
        bank, transfer = importlib.import_module("bank"), importlib.import_module("transfer").Transfer
        client = await Client.connect(server.address, plugins=[CounterstepPlugin([bank.bank])])
        letters = [bank.print_letter, bank.shred_letter]
        async with Worker(client, task_queue="transfers", workflows=[transfer], activities=letters):
            handle = await client.start_workflow(
                transfer.run, args=["ada", "carl", 2000.0], id="transfer-2", task_queue="transfers"
            )
            await until_state(handle, "waiting")
            await tell(handle, "decide", step="agreed", action="approve")
            await handle.signal("event", {"name": "account_opened", "payload": {"owner": "carl"}})
            assert await handle.result() == "letter: ada has paid carl"
            board = await handle.query("board")
    states = {name: step["state"] for name, step in board["steps"].items()}
    assert states["credit"] == "undone"
    assert {states.pop(name) for name in ("agreed", "debit", "wait", "book", "print_letter")} == {"completed"}


async def test_a_client_in_python(reading: Reading, server: EmbeddedServer) -> None:
    shop = Bundle("shop")

    @shop.tool(effect=Effect.READ_ONLY)
    def look_up(sku: str, quantity: int) -> str:
        return f"{quantity} {sku}"

    task_input = {"sku": "${{ task.sku }}", "quantity": "${{ task.quantity }}"}
    steps = [{"id": "look", "tool": "shop.look_up", "input": task_input}]
    rule = {"rule": "output.sent != '0 pot'", "message": "there are none"}
    output = {"sent": "${{ steps.look.output }}"}
    shop.add_task({"name": "order", "steps": steps, "output": output, "validate": [rule]})
    client = await Client.connect(server.address, plugins=[CounterstepPlugin([shop])])
    with reading.files(HOW_TO / "starting.md"):
        order = importlib.import_module("client").order
        async with Worker(client, task_queue="counterstep"):
            assert await order("pen", 2) == "2 pen"
            assert re.match("nothing was sent: .*there are none", await order("pot", 0))


async def test_decisions_are_exported_and_read_as_shown(
    reading: Reading, tmp_path: Path, server: EmbeddedServer, task_queue: str
) -> None:
    page = ROOT / "docs" / "reference" / "decisions.md"
    shop = Shop.open(tmp_path, TEMPORAL_ADDRESS=server.address)
    with reading.files(ROOT / "docs" / "patterns" / "concurrent.md"), reading.files(page):
        bundle = importlib.import_module("claims").claims
        client = await Client.connect(server.address, plugins=[CounterstepPlugin([bundle])])
        async with Worker(client, task_queue=task_queue):
            handle = await client.start_workflow(
                "claims.panel", {"claim": "bicycle"}, id=f"claim-{task_queue}", task_queue=task_queue
            )
            await handle.result()
            ended = await asyncio.to_thread(shop.run, "decisions", handle.id, "--json")
            table = await asyncio.to_thread(shop.run, "decisions", handle.id)
        (tmp_path / "decisions.jsonl").write_text(ended.out)
        worth = importlib.import_module("rewards").rewards(tmp_path / "decisions.jsonl")
    (shown,) = (json.loads(block.text) for block in blocks(page) if block.language == "json")
    real = json.loads(ended.out.splitlines()[-1])
    kept = real["combined"]["kept"]
    assert real == {
        **shown,
        "task_id": handle.id,
        "at": real["at"],
        "reason": re.sub("^2", real["reason"][0], shown["reason"]),  # the third may be in time
        "combined": {**shown["combined"], "kept": kept},
    }
    assert set(kept) <= {*worth} <= {"panel/actuary.3", "panel/lenient.1", "panel/strict.2"}
    assert [call for call, reward in worth.items() if reward > 0] == kept
    assert "O5" in table.err and f"(kept: {kept[0]})" in table.err
    assert table.out == ""


def test_the_tests_of_the_page_on_tests_pass(reading: Reading, tmp_path: Path) -> None:
    with reading.files(HOW_TO / "testing.md"):
        options = ("-q", "-o", "asyncio_mode=auto", "-p", "no:cacheprovider")
        run = [sys.executable, "-m", "pytest", *options, "test_order.py"]
        done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True)
    assert "1 passed" in done.stdout, done.stdout


async def test_a_task_of_stock_tools(
    reading: Reading, server: EmbeddedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "reports"
    root.mkdir()
    monkeypatch.setenv("COUNTERSTEP_STOCK_ROOTS", str(root))
    with reading.files(HOW_TO / "stock-tools.md"):
        hotel = importlib.import_module("hotel").hotel
        assert hotel.tools["hotel.book"].compensate == "hotel.undo_book"
        reports = Bundle("reports")
        reports.add_task(str(tmp_path / "report.yaml"))
        client = await Client.connect(server.address, plugins=[CounterstepPlugin([stock, hotel, reports])])
        async with Worker(client, task_queue="reports"):
            given = {"day": "monday", "text": "all well"}
            await client.execute_workflow("reports.report", given, id="stock-1", task_queue="reports")
            assert (root / "monday" / "report.txt").read_text() == "all well"
            for number, day in enumerate(("../friday", "/friday", "monday/report.txt")):
                with pytest.raises(WorkflowFailureError) as caught:
                    bad = {"day": day, "text": "nothing"}
                    await client.execute_workflow(
                        "reports.report", bad, id=f"stock-bad-{number}", task_queue="reports"
                    )
                assert isinstance(caught.value.cause, ApplicationError)
                assert caught.value.cause.details[0]["failure"]["type"] == "NotApplied"
                assert caught.value.cause.details[0]["undone"] == []
    assert sorted(path.name for path in root.iterdir()) == [".counterstep", "monday"]


async def test_events_start_the_tasks_of_the_page(reading: Reading, server: EmbeddedServer) -> None:
    with reading.files(HOW_TO / "events.md"):
        shop, paid = importlib.import_module("shop"), importlib.import_module("till").paid
        shop.shop.add_task(str(reading.folder / "sell.yaml"))
        client = await Client.connect(server.address, plugins=[CounterstepPlugin([shop.shop, shop.stock])])
        async with Worker(client, task_queue="counterstep"):
            assert await paid(17, "pen", "payment-1") == ["shop.fulfil/17"]
            event = {"topic": "stock.arrived", "key": 12, "payload": {"order_id": 17, "shelf": "B4"}}
            arrived = await client.execute_workflow(
                "counterstep.publish", event, id="publish/stock.arrived/12", task_queue="counterstep"
            )
            assert arrived["joined"][0]["task"]["id"] == "shop.ready/17"
            ready = await end_of(client.get_workflow_handle("shop.ready/17"))
            assert ready.output == {"label": "label: pen to B4"}
            sold = await end_of(
                await Tasks(client, "counterstep").start_workflow("shop.sell", {"sku": "pen"})
            )
    assert sold.failure["step"] == "tell"  # no rule of the page takes order.sold
    assert "no start rule takes events of 'order.sold'" in sold.failure["message"]


def test_the_messages_that_are_explained_exist() -> None:
    page = ROOT / "docs" / "troubleshooting.md"
    paths = [*ROOT.glob("*.py"), *ROOT.glob("[a-z]*/**/*.py")]
    sources = "".join(path.read_text() for path in paths if path.relative_to(ROOT).parts[0] != "tests")
    rows = page.read_text().split("## What states")[0].splitlines()[6:]
    fragments = [part for row in rows for part in re.findall(r"`([^`]+)`", row.split(" | ")[0])]
    assert len(fragments) > 12
    assert [fragment for fragment in fragments if fragment not in sources] == []


async def test_the_tools_of_an_mcp_server(
    reading: Reading, server: EmbeddedServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with reading.files(HOW_TO / "mcp.md"):
        # What the page says of a public server is what the tests of that server run with.
        (public,) = importlib.import_module("memory").memory.mcp_servers
        tested = McpServer("memory", command=["memory"], tools=MEMORY)
        assert public.tools == {name: tested.tools[name] for name in ("create_entities", "create_relations")}
        plugin = CounterstepPlugin([importlib.import_module("desk").desk])
        print_catalog(plugin.registry.catalog)
        client = await Client.connect(server.address, plugins=[plugin])
        async with Worker(client, task_queue="notes"):
            tasks = Tasks(client, "notes")
            kept = await end_of(await tasks.start_workflow("desk.note", {"name": "a", "read": "a"}))
            gone = await end_of(await tasks.start_workflow("desk.note", {"name": "b", "read": "none"}))
    assert kept.output == {"text": "milk"}
    assert gone.details["undone"] == ["write"]
    assert os.listdir(reading.folder / "notes") == ["a"]
    assert "notes.remove" in capsys.readouterr().err.partition("not offered")[2]
