"""Where notifications may be sent, and where that is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from a2a.types import a2a_pb2 as pb
from a2a.utils.errors import InvalidParamsError

from counterstep.a2a_server.push.sender import MOST, PushSender
from counterstep.a2a_server.push.store import KeptPush, PushStore
from counterstep.saga.errors import DefinitionError

NO_TASKS: Any = None


class OneTask:
    """A task that has ended, in place of those of a server."""

    def __init__(self) -> None:
        self.told = asyncio.Event()

    async def find(self, subject: str, id: str) -> str:
        return id

    async def follow(self, id: str) -> AsyncIterator[pb.Task]:
        yield pb.Task(id=id, status=pb.TaskStatus(state=pb.TaskState.TASK_STATE_COMPLETED))
        self.told.set()


@pytest.fixture
def redirecting() -> Iterator[tuple[str, list[str]]]:
    """An address that sends on to another path, and the paths that were asked for."""
    asked: list[str] = []

    class Redirect(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            self.send_response(307)
            self.send_header("Location", "/inside")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Redirect) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}", asked
        server.shutdown()


async def test_no_redirect_is_followed(tmp_path: Path, redirecting: tuple[str, list[str]]) -> None:
    (place, asked), tasks, store = redirecting, OneTask(), PushStore(tmp_path / "push")
    one: Any = tasks
    async with PushSender(one, store, [place]) as sender:
        config = pb.TaskPushNotificationConfig(task_id="t", url=f"http://{place}/hook")
        kept = await sender.keep("ann", config)
        assert await sender.keep("ann", kept) == kept
        await asyncio.wait_for(tasks.told.wait(), 10)
    assert asked == ["/hook"]
    assert [kept.ended for kept in await store.all()] == [True]


async def test_a_task_is_told_to_so_many_places_only(tmp_path: Path) -> None:
    one: Any = OneTask()
    async with PushSender(one, PushStore(tmp_path / "push"), ["127.0.0.1:9"]) as sender:
        for number in range(MOST + 1):
            config = pb.TaskPushNotificationConfig(task_id="t", id=str(number), url="http://127.0.0.1:9/")
            if number == MOST:
                with pytest.raises(InvalidParamsError, match="10 places at most"):
                    await sender.keep("ann", config)
            else:
                await sender.keep("ann", config)


@pytest.mark.parametrize(
    ("url", "is_good"),
    [
        ("https://hooks.example/a", True),
        ("https://HOOKS.example:444/a", True),
        ("http://127.0.0.1:9000/", True),
        ("http://hooks.example/a", False),
        ("http://127.0.0.1:9001/", False),
        ("https://hooks.example.evil.example/", False),
        ("https://hooks.example@evil.example/", False),
        ("https://evil@hooks.example/", False),
        ("http://169.254.169.254/", False),
        ("file:///etc/passwd", False),
        ("https://[", False),
        ("https://hooks.example/\x7f", False),
        ("", False),
    ],
)
async def test_notifications_go_to_named_hosts_only(tmp_path: Path, url: str, is_good: bool) -> None:
    sender = PushSender(NO_TASKS, PushStore(tmp_path / "push"), ["hooks.example", "127.0.0.1:9000"])
    config = pb.TaskPushNotificationConfig(task_id="t", url=url)
    if is_good:
        sender.check(config)
        return
    with pytest.raises(InvalidParamsError):
        sender.check(config)


@pytest.mark.parametrize("value", ["ключ", "a\r\nx-evil: 1", " a", "a\n"])
@pytest.mark.parametrize("name", ["token", "scheme", "credentials"])
async def test_what_no_header_can_have_is_refused(tmp_path: Path, name: str, value: str) -> None:
    sender = PushSender(NO_TASKS, PushStore(tmp_path / "push"), ["hooks.example"])
    config = pb.TaskPushNotificationConfig(task_id="t", url="https://hooks.example/", token="fine")
    setattr(config if name == "token" else config.authentication, name, value)
    with pytest.raises(InvalidParamsError, match=f"the {name} of notifications is sent in a header"):
        sender.check(config)


async def test_what_was_told_is_known_to_the_next_process(tmp_path: Path) -> None:
    config = pb.TaskPushNotificationConfig(task_id="t", id="one", url="https://hooks.example/", token="s")
    await PushStore(tmp_path / "push").put(KeptPush("ann", config))
    [kept] = await PushStore(tmp_path / "push").of("t")
    assert kept == KeptPush("ann", config)
    await PushStore(tmp_path / "push").told(kept, "done", ended=True)
    assert await PushStore(tmp_path / "push").all() == [KeptPush("ann", config, "done", ended=True)]
    await PushStore(tmp_path / "push").delete("t", "one")
    assert await PushStore(tmp_path / "push").all() == []


def test_a_file_that_cannot_be_kept_is_told(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("This is a text, and not a database of any kind." * 20)
    for path, reason in ((tmp_path / "no" / "push", "No such file"), (tmp_path / "text", "not a database")):
        with pytest.raises(DefinitionError, match=reason):
            PushStore(path)
