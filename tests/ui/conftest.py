"""A browser, and an embedded server with trips to look at."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from temporalio.client import Client

from counterstep.client import TaskClient
from counterstep.embedded import EmbeddedServer
from counterstep.tests.support.browser.trips import PICTURES, WINDOW, Trips
from counterstep.tests.support.tasks.tasks import end_of, until_state

T = TypeVar("T")

PROGRAMS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")

# Nothing of it needs a display, a sandbox of its own, or the network.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

PATIENCE = 60_000
"""Milliseconds that the Web UI may take to show something."""


@pytest.fixture(scope="session")
def trips(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trips]:
    """Runs a worker as a process, and three trips to where they stay."""
    folder = tmp_path_factory.mktemp("agency")
    command = [
        sys.executable,
        "-m",
        "counterstep.cli",
        "worker",
        "--bundle",
        "counterstep.tests.support.bundles.confirmed_trip:trip",
    ]
    variables = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "TEMPORAL_ADDRESS": server.address,
        "TRIP_DB": str(folder / "trip.sqlite"),
    }
    with open(folder / "worker.log", "wb") as log:
        worker = subprocess.Popen(command, cwd=folder, env=variables, stdout=log, stderr=log)
    trips = Trips(server)
    try:
        in_thread(lambda: travel(trips))
        yield trips
    finally:
        worker.terminate()
        worker.wait(60)


async def travel(trips: Trips) -> None:
    """Brings the three trips to where they stay."""
    client = await Client.connect(trips.server.address)
    tasks = TaskClient(client)
    wish = {"origin": "Zurich", "destination": "Rome", "budget": 1000}
    await tasks.start("trip.trip", wish, id=trips.booked)
    await tasks.start("trip.trip", {**wish, "budget": 500}, id=trips.undone)
    await tasks.start("trip.confirmed_trip", wish, id=trips.waiting)
    ends = [await end_of(client.get_workflow_handle(id_)) for id_ in (trips.booked, trips.undone)]
    assert [end.type for end in ends] == ["completed", "SagaRolledBack"]
    await until_state(client.get_workflow_handle(trips.waiting), "waiting")


def in_thread(run: Callable[[], Any]) -> Any:
    """Runs a coroutine where no event loop is: Playwright has one in this thread."""
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(lambda: asyncio.run(run())).result()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if found is None:
        pytest.fail(
            "There is no Chromium; apt-get install --no-install-recommends chromium fonts-dejavu-core"
        )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page of a browser that has never been here; what it shows when its test fails is kept."""
    expect.set_options(timeout=PATIENCE)
    PICTURES.mkdir(parents=True, exist_ok=True)
    context: BrowserContext = browser.new_context(
        viewport=WINDOW, locale="en-GB", timezone_id="UTC", color_scheme="light"
    )
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    failures = request.session.testsfailed
    yield page
    if request.session.testsfailed > failures:
        page.screenshot(path=PICTURES / f"failed-{request.node.name}.png", full_page=True)
        (PICTURES / f"failed-{request.node.name}.txt").write_text(f"{page.url}\n\n{page.inner_text('body')}")
    context.close()
