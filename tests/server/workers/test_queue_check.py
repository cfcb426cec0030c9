"""Workers of one queue that do not offer the same are told of, in the log of each."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta

import pytest
from temporalio.client import Client
from temporalio.worker import Worker

from counterstep.embedded import EmbeddedServer
from counterstep.observability import queue_check
from counterstep.observability.queue_check import differing, identity_of_worker, watch_queue
from counterstep.saga.spec.catalog import Catalog, CompensationEntry
from counterstep.tests.support.bundles.desk import desk
from counterstep.tests.support.bundles.nest import nest
from counterstep.worker import stock_plugin


def test_an_identity_tells_what_a_worker_offers_and_where_it_is() -> None:
    empty, one = Catalog(), Catalog(compensations={"a.b": CompensationEntry(name="a.b")})
    here, there = identity_of_worker(empty, "1@here"), identity_of_worker(empty, "2@there")
    other = identity_of_worker(one, "3@here")
    assert here.endswith("/1@here"), "the health check looks for the host"
    assert differing(here, [here, there, other, "4@a-stranger"]) == [other]
    assert differing("4@a-stranger", [here, other]) == [], "who does not say what it offers compares nothing"


async def test_a_queue_with_two_different_bundles_says_so(
    server: EmbeddedServer,
    task_queue: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(queue_check, "RECHECK", timedelta(milliseconds=100))
    monkeypatch.setattr(queue_check, "LONG", timedelta(milliseconds=200))
    old, new = stock_plugin([desk]), stock_plugin([desk, nest])
    identities = [
        identity_of_worker(plugin.registry.catalog, f"{plugin is new}@host") for plugin in (old, new)
    ]
    clients = [await Client.connect(server.address, plugins=[plugin]) for plugin in (old, new)]
    async with Worker(clients[0], task_queue=task_queue, identity=identities[0]):
        watching = asyncio.create_task(watch_queue(clients[0], task_queue, identities[0]))
        await asyncio.sleep(0.5)
        assert caplog.records == [], "alone it differs from nobody"
        async with Worker(clients[1], task_queue=task_queue, identity=identities[1]), asyncio.timeout(60):
            while not caplog.records:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
    message = caplog.records[0].getMessage()
    assert identities[1] in message and "the same bundles" in message
