"""A payload codec at the command line: with it all is read and sent encoded, without it nothing breaks."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from temporalio.client import Client

from counterstep.embedded import EmbeddedServer
from counterstep.tests.support.bundles.vault import is_readable
from counterstep.tests.support.processes.command import Shop, until, until_written

pytestmark = pytest.mark.long

CODEC = """
from temporalio.api.common.v1 import Payload
from temporalio.converter import PayloadCodec


class Lock(PayloadCodec):
    def __init__(self, key=b"k"):
        self.key = key

    async def encode(self, payloads):
        return [Payload(metadata={"encoding": b"binary/locked"}, data=self.turn(p)) for p in payloads]

    def turn(self, payload):
        return self.key + bytes(byte ^ 85 for byte in payload.SerializeToString())

    async def decode(self, payloads):
        return [self.opened(p) if p.metadata["encoding"] == b"binary/locked" else p for p in payloads]

    def opened(self, payload):
        if payload.data[:1] != self.key:
            raise ValueError("locked with another key")
        return Payload.FromString(bytes(byte ^ 85 for byte in payload.data[1:]))


lock = Lock()


def make():
    return Lock()


def other():
    return Lock(b"o")


broken = 5
"""

ASKS = """
name: asks
steps:
  - {id: take, tool: shop.reserve, input: {sku: "${{ task.sku }}"}}
  - {id: sure, needs: [take], approve: {ask: "really ${{ task.sku }}?", show: steps.take.output}}
  - {id: more, needs: [sure], tool: shop.reserve, input: {sku: "${{ steps.sure.output.action }}"}}
output: {took: "${{ steps.take.output.sku }}"}
"""

HOW = "name the codec of the task's workers with --codec or COUNTERSTEP_CODEC"


@pytest.fixture
def shop(server: EmbeddedServer, tmp_path: Path, task_queue: str) -> Iterator[Shop]:
    """A folder with a codec, and a worker that uses it."""
    shop = Shop.open(
        tmp_path,
        TEMPORAL_ADDRESS=server.address,
        COUNTERSTEP_TASK_QUEUE=task_queue,
        COUNTERSTEP_INLINE_SPECS="true",
        SHOP_LOG=str(tmp_path / "shop.log"),
    )
    (tmp_path / "locks.py").write_text(CODEC)
    (tmp_path / "asks.yaml").write_text(ASKS)
    log = tmp_path / "worker.err"
    worker = shop.start("worker", "--bundle", "shop:shop", "--codec", "locks:Lock", stderr=log)
    until_written(log, "worker started")
    yield shop
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(60) == 0, log.read_text()


async def test_a_codec_reaches_every_command(shop: Shop, client: Client, task_queue: str) -> None:
    def all_commands() -> None:
        id = f"coded-{task_queue}"
        coded = ("--codec", "locks:make")
        begun = shop.run("start", "asks.yaml", "--input", "sku=secret", "--id", id, *coded)
        assert begun.code == 0, begun.err
        again = shop.run("start", "asks.yaml", "--input", "sku=secret", "--id", id, *coded)
        assert "It had been started before" in again.err
        until(lambda: shop.run("status", id, "--json", *coded).json["state"] == "waiting", "the question")
        seen = shop.run("status", id, *coded)
        assert "really secret?" in seen.err + seen.out
        assert "--codec locks:make" in seen.err + seen.out
        assert "sure" in shop.run("graph", "--id", id, *coded).out
        said = shop.run("amend", id, "note=secret", *coded)
        assert said.code == 0, said.err
        decided = shop.run("decide", id, "sure", "approve", "--note", "secret", *coded)
        assert decided.code == 0, decided.err
        done = shop.run("result", id, "--wait", *coded)
        assert (done.code, done.json) == (0, {"took": "secret"}), done.err
        watched = shop.run("watch", id, "--codec", "locks:lock")
        assert (watched.code, watched.json) == (0, {"took": "secret"}), watched.err
        blind = shop.run("fork", id, "sure")
        assert (blind.code, f"What {id} has done cannot be read here" in blind.err) == (2, True), blind.err
        forked = shop.run("fork", id, "sure", *coded)
        assert (forked.code, "really secret?" in forked.err) == (3, True), forked.err
        assert f"Forked from {id} before sure; taken over: take." in forked.err
        assert (shop.folder / "shop.log").read_text().count("reserve secret") == 1

    await asyncio.to_thread(all_commands)
    for id in (f"coded-{task_queue}", f"coded-{task_queue}-fork-1"):
        events = [event async for event in client.get_workflow_handle(id).fetch_history_events()]
        assert len(events) > 5
        assert not is_readable(events, "secret")


@pytest.mark.parametrize("options", [("--codec", "locks:lock"), ()])
async def test_a_recovery_reads_and_tells_what_it_undoes(
    shop: Shop, client: Client, task_queue: str, options: tuple[str, ...]
) -> None:
    id = f"forced-{task_queue}"
    start = ("start", "asks.yaml", "--input", "sku=secret", "--id", id, "--codec", "locks:lock")
    assert (await asyncio.to_thread(shop.run, *start)).code == 0
    handle = client.get_workflow_handle(id)
    await asyncio.to_thread(until, lambda: "reserve secret" in shop.log(), "the first step")
    await handle.terminate()
    done = await asyncio.to_thread(shop.run, "recover", id, *options)
    assert done.code == 0, done.err
    assert shop.log() == ["begin secret", "reserve secret", "release secret"]
    recovery = client.get_workflow_handle(f"{id}/recover/{(await handle.describe()).run_id}")
    assert not is_readable([event async for event in recovery.fetch_history_events()], "secret")


def test_without_the_codec_nothing_breaks_and_the_exit_code_is_true(shop: Shop, task_queue: str) -> None:
    id = f"dark-{task_queue}"
    assert (
        shop.run("start", "asks.yaml", "--input", "sku=secret", "--id", id, "--codec", "locks:lock").code == 0
    )
    until(lambda: shop.run("status", id, "--json").json["state"] == "waiting", "the question")
    seen = shop.run("status", id)
    assert (seen.code, seen.err.count(HOW)) == (0, 1)
    refused = shop.run("decide", id, "nothing", "approve")
    assert refused.code == 2
    assert "Refused: " in refused.err
    waiting = shop.run("watch", id)
    assert (waiting.code, waiting.err.count(HOW)) == (3, 1), waiting.err
    amended = shop.run("amend", id, "note=x")
    assert (amended.code, amended.err.count("It is done, but the answer cannot be shown.")) == (0, 1)
    decided = shop.run("approve", id, "sure")
    assert (decided.code, decided.err.count(HOW)) == (0, 1), decided.err
    done = shop.run("result", id, "--wait", "--json")
    assert (done.code, done.json["state"], done.json["output"]) == (0, "completed", None), done.err
    assert (
        "completed, but its output cannot be shown. What the server has is encoded (binary/locked)"
        in done.err
    )
    assert shop.log() == ["begin secret", "reserve secret", "begin approve", "reserve approve"]

    wrong = shop.run("result", id, "--codec", "locks:other")
    assert (wrong.code, "ValueError: locked with another key" in wrong.err) == (0, True)

    failed = f"failed-{task_queue}"
    assert (
        shop.run("start", "fails.yaml", "--input", "sku=S", "--id", failed, "--codec", "locks:lock").code == 0
    )
    ended = shop.run("result", failed, "--wait")
    assert (ended.code, "rolled back" in ended.err) == (1, True), ended.err
    assert "release S" in shop.log()


@pytest.mark.parametrize(
    ("codec", "message"),
    [
        ("locks", "Codec 'locks': write it as module:attribute"),
        ("nowhere:lock", "Codec 'nowhere:lock' cannot be made: ModuleNotFoundError: "),
        ("locks:missing", "Codec 'locks:missing' cannot be made: AttributeError: "),
        ("locks:broken", "Codec 'locks:broken': it is of type int, not a temporalio.converter.PayloadCodec"),
    ],
)
def test_a_codec_that_is_none_is_told_before_anything_is_sent(
    tmp_path: Path, codec: str, message: str
) -> None:
    shop = Shop.open(tmp_path, TEMPORAL_ADDRESS="127.0.0.1:1")
    (tmp_path / "locks.py").write_text(CODEC)
    done = shop.run("status", "x", "--codec", codec)
    assert (done.code, message in done.err) == (2, True), done.err
