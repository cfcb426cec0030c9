"""The worker as a process: it drains on a signal, and refuses to start in one sentence."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from temporalio.client import Client

from counterstep.embedded import EmbeddedServer
from counterstep.tests.support.processes.command import Shop, until, until_written

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = [sys.executable, "worker.py"]


def in_root(shop: Shop) -> Shop:
    """The same settings, run from the root of the repository, where our modules lie on Python's path."""
    variables = {
        "PYTHONPATH": f"{shop.folder}:{shop.variables().get('PYTHONPATH', '')}",
        "SHOP_LOG": str(shop.folder / "shop.log"),
        **shop.environment,
    }
    return Shop(ROOT, variables)


def start_script(shop: Shop, stderr: Path) -> subprocess.Popen[bytes]:
    with open(stderr, "w") as file:
        return subprocess.Popen(SCRIPT, cwd=shop.folder, env=shop.variables(), stderr=file)


async def test_sigterm_lets_running_calls_finish_and_takes_no_new_ones(
    server: EmbeddedServer, client: Client, task_queue: str, tmp_path: Path
) -> None:
    shop = Shop.open(
        tmp_path,
        TEMPORAL_ADDRESS=server.address,
        COUNTERSTEP_BUNDLES="shop:shop",
        COUNTERSTEP_TASK_QUEUE=task_queue,
        COUNTERSTEP_INLINE_SPECS="true",
        COUNTERSTEP_LOG_FORMAT="json",
    )
    log = tmp_path / "worker.log"
    worker = start_script(in_root(shop), log)
    until_written(log, "worker started")
    shop.hold("reserve slow")
    steps = [
        {"id": "first", "tool": "shop.reserve", "input": {"sku": "slow"}},
        {"id": "second", "needs": ["first"], "tool": "shop.reserve", "input": {"sku": "never"}},
    ]
    await client.start_workflow(
        "AgentTask",
        {"spec": {"name": "drains", "steps": steps}},
        id=f"drains-{task_queue}",
        task_queue=task_queue,
    )
    until(lambda: "begin slow" in shop.log(), "the call")
    worker.send_signal(signal.SIGTERM)
    until_written(log, "draining")
    shop.let_go("reserve slow")
    assert worker.wait(90) == 0, log.read_text()
    assert shop.log() == ["begin slow", "reserve slow"]
    history = await client.get_workflow_handle(f"drains-{task_queue}").fetch_history()
    ended = [event for event in history.events if event.HasField("activity_task_completed_event_attributes")]
    assert len(ended) == 1

    records = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    assert {"event", "level", "logger", "timestamp"} <= set(records[0])
    assert any(record["event"].startswith("draining") for record in records)


async def test_a_second_signal_ends_it_at_once(
    server: EmbeddedServer, client: Client, task_queue: str, tmp_path: Path
) -> None:
    shop = Shop.open(tmp_path, TEMPORAL_ADDRESS=server.address, COUNTERSTEP_INLINE_SPECS="true")
    log = tmp_path / "worker.log"
    worker = shop.start("worker", "--bundle", "shop:shop", "--task-queue", task_queue, stderr=log)
    until_written(log, "worker started")
    step = {"id": "only", "tool": "shop.reserve", "input": {"sku": "long", "delay": 60}}
    spec = {"name": "long", "steps": [step]}
    await client.start_workflow("AgentTask", {"spec": spec}, id=f"long-{task_queue}", task_queue=task_queue)
    until(lambda: "begin long" in shop.log(), "the call")
    worker.send_signal(signal.SIGTERM)
    until_written(log, "draining")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(20) == 128 + signal.SIGTERM


@pytest.mark.parametrize(
    ("command", "variables", "code", "said"),
    [
        (["worker"], {}, 2, "COUNTERSTEP_BUNDLES: names no bundle"),
        (["worker", "--bundle", "shop"], {}, 2, "write it as module:attribute"),
        ([], {"COUNTERSTEP_BUNDLES": "shop:shop", "TEMPORAL_ADDRESS": "127.0.0.1:1"}, 4, "127.0.0.1:1"),
        ([], {"COUNTERSTEP_GRACEFUL_SHUTDOWN": "soon"}, 2, "COUNTERSTEP_GRACEFUL_SHUTDOWN: a duration looks"),
        (["worker"], {"COUNTERSTEP_NOTIFY_URL": "http://127.0.0.1:1"}, 2, "belong together"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(
    tmp_path: Path, command: list[str], variables: dict[str, str], code: int, said: str
) -> None:
    shop = Shop.open(tmp_path, **variables)
    if command:
        done = shop.run(*command)
        assert (done.code, said in done.err) == (code, True), done.err
        return
    variables = in_root(shop).variables()
    ended = subprocess.run(SCRIPT, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=100)
    assert (ended.returncode, said in ended.stderr) == (code, True), ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_worker_without_the_keys_that_it_is_to_have_does_not_start(
    server: EmbeddedServer, tmp_path: Path
) -> None:
    missing = str(tmp_path / "keys.json")
    shop = Shop.open(tmp_path, TEMPORAL_ADDRESS=server.address, COUNTERSTEP_DECISION_KEYS=missing)
    done = shop.run("worker", "--bundle", "shop:shop")
    assert (done.code, "COUNTERSTEP_DECISION_KEYS: " in done.err, "cannot be read" in done.err) == (
        2,
        True,
        True,
    )
    assert "Traceback" not in done.err
