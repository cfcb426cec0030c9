"""The inbox as people have it: a worker and `counterstep inbox` as processes, and who signs in there."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from playwright.sync_api import Browser, BrowserContext, Page
from temporalio.client import Client, WorkflowHandle

from counterstep.client import TaskClient
from counterstep.embedded import EmbeddedServer
from counterstep.tests.support.browser.trips import WINDOW
from counterstep.tests.support.bundles.desk import VARIABLE, Desk
from counterstep.tests.support.tasks.tasks import End, end_of, until_asked, until_state

BUNDLES = "counterstep.tests.support.bundles"
QUEUE = "inbox"
REFUND: Mapping[str, Any] = {
    "cents": 12950,
    "currency": "EUR",
    "reason": "The parcel arrived broken; the customer has sent two photographs.",
}


@dataclass
class InboxVisit:
    """An inbox to visit.

    Attributes:
        server: The Temporal server behind it.
        url: Where it is.
        passwords: Who may sign in.
        effects: What the tasks have done.
    """

    server: EmbeddedServer
    url: str
    passwords: dict[str, str]
    effects: Desk

    def start(self, id: str, steps: list[dict[str, Any]], goal: str = "", asks: str = "") -> None:
        """Starts a task, and waits until a step of it asks, or until it needs attention."""

        async def start() -> None:
            client = await Client.connect(self.server.address)
            tasks = TaskClient(client, task_queue=QUEUE)
            spec = {"name": id.partition("-")[0], "goal": goal or id, "steps": steps}
            task = await tasks.start(spec, id=id)
            if asks:
                await until_asked(task.handle, asks)
            else:
                await until_state(task.handle, "needs_attention")

        _in_thread(start)

    def end(self, id: str) -> End:
        """Waits for the end of a task."""

        async def end() -> End:
            client = await Client.connect(self.server.address)
            handle: WorkflowHandle[Any, Any] = client.get_workflow_handle(id)
            return await end_of(handle)

        found: End = _in_thread(end)
        return found

    def refund(self, id: str) -> None:
        """Starts a task whose agent wants to refund an order."""
        steps = [
            {"id": "look", "tool": "desk.look", "input": {"what": id}},
            {"id": "settle", "needs": ["look"], "agent": "refunds.clerk", "input": {"order": id, **REFUND}},
        ]
        self.start(id, steps, "Refund what has arrived broken.", asks="settle/tool.1")

    @contextmanager
    def person(self, browser: Browser, name: str, **options: Any) -> Iterator[Page]:
        """A browser of somebody who has signed in."""
        options = {"viewport": WINDOW, "color_scheme": "light", **options}
        context: BrowserContext = browser.new_context(locale="en-GB", timezone_id="UTC", **options)
        faults: list[str] = []
        page = context.new_page()
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(self.url)
        page.get_by_label("Name").fill(name)
        page.get_by_label("Password").fill(self.passwords[name])
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("heading", name="Waiting for people").wait_for()
        yield page
        context.close()
        assert [fault for fault in faults if "Security" in fault or "Error" in fault] == []


@contextmanager
def inbox_visit(server: EmbeddedServer, folder: Path) -> Iterator[InboxVisit]:
    """Runs a worker and the inbox as processes."""
    database = folder / "desk.sqlite"
    variables = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "TEMPORAL_ADDRESS": server.address,
        "COUNTERSTEP_INLINE_SPECS": "true",
        "COUNTERSTEP_TASK_QUEUE": QUEUE,
        VARIABLE: str(database),
    }
    bundles = [f"--bundle={BUNDLES}.{name}:{name}" for name in ("desk", "refunds")]
    people = ["--user=ann=finance", "--user=bob"]
    serve = ["inbox", "--port=0", f"--web-ui-url={server.ui_url}", *people, "--json"]
    effects = Desk(database)
    with open(folder / "processes.log", "wb") as log:
        worker = _command(["worker", *bundles], folder, variables, log, subprocess.DEVNULL)
        inbox = _command(serve, folder, variables, log, subprocess.PIPE)
        try:
            assert inbox.stdout is not None
            told = json.JSONDecoder().raw_decode(_object(inbox.stdout))[0]
            yield InboxVisit(server, told["url"], told["passwords"], effects)
        finally:
            for process in (inbox, worker):
                process.terminate()
            codes = [process.wait(60) for process in (inbox, worker)]
    assert codes == [0, 0], (folder / "processes.log").read_text()


def _command(
    words: list[str], folder: Path, variables: Mapping[str, str], log: IO[bytes], stdout: int
) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "counterstep.cli", *words]
    return subprocess.Popen(command, cwd=folder, env=variables, stdout=stdout, stderr=log)


def _object(stream: IO[bytes]) -> str:
    """Reads one JSON object of several lines."""
    lines = []
    for line in stream:
        lines.append(line.decode())
        if line.rstrip() == b"}":
            break
    return "".join(lines)


def _in_thread(run: Any) -> Any:
    """Runs a coroutine where no event loop is: Playwright has one in this thread."""
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(lambda: asyncio.run(run())).result()
