"""Sends what has changed of a task to where its caller wants it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from contextlib import aclosing
from typing import Final
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
from a2a.types import a2a_pb2 as pb
from a2a.utils.errors import InvalidParamsError
from google.protobuf.json_format import MessageToDict
from temporalio.service import RPCError

from ...client import UnknownTask
from ...runtime.web_server import THIS_MACHINE
from ...saga.errors import CounterstepError
from ..served_tasks import ServedTasks
from ..task_view import TERMINAL
from .store import KeptPush, PushStore

MOST: Final = 10
"""To how many places one task is told."""

_SECONDS: Final = 10.0
_LONGEST_PAUSE: Final = 60.0
_TRIES: Final = 100
_AGAIN: Final = (408, 425, 429)

logger = logging.getLogger("counterstep.a2a")


class PushSender:
    """Follows the tasks whose changes somebody wants, and sends them, also after a restart."""

    def __init__(self, tasks: ServedTasks, store: PushStore, hosts: Collection[str]) -> None:
        """Prepares to send.

        Args:
            tasks: The tasks.
            store: Where to send, and what was sent.
            hosts: Where notifications may be sent, as ``HOST`` or ``HOST:PORT``.
        """
        self._tasks = tasks
        self._store = store
        self._hosts = frozenset(host.casefold() for host in hosts)
        # An address that a caller names must not lead on to another one.
        self._http = httpx.AsyncClient(timeout=_SECONDS, follow_redirects=False, trust_env=False)
        self._following: dict[tuple[str, str], asyncio.Task[None]] = {}

    async def __aenter__(self) -> PushSender:
        """Goes on with what was kept before."""
        for kept in await self._store.all():
            if not kept.ended:
                self._follow(kept)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stops; what is kept is sent by the next process."""
        for task in self._following.values():
            task.cancel()
        await asyncio.gather(*self._following.values(), return_exceptions=True)
        await self._http.aclose()

    def check(self, config: pb.TaskPushNotificationConfig) -> None:
        """Refuses an address that nothing may be sent to, and what cannot be sent there.

        Raises:
            InvalidParamsError: Its host is not one of ours, or it is not https; or a header cannot have
                the token or the credentials.
        """
        try:
            parts = urlsplit(config.url)
            host, port = (parts.hostname or "").casefold(), parts.port
            httpx.URL(config.url)
        except (ValueError, httpx.InvalidURL):
            raise InvalidParamsError("the address of notifications cannot be read") from None
        if not ({host, f"{host}:{port}"} & self._hosts) or "@" in parts.netloc:
            raise InvalidParamsError(f"notifications are not sent to {host!r}; the operator names the hosts")
        if parts.scheme != "https" and not (parts.scheme == "http" and host in THIS_MACHINE):
            raise InvalidParamsError("notifications are sent over https only")
        shown = {
            "token": config.token,
            "scheme": config.authentication.scheme,
            "credentials": config.authentication.credentials,
        }
        for name, value in shown.items():
            if not (value.isascii() and value.isprintable() and value == value.strip()):
                raise InvalidParamsError(
                    f"the {name} of notifications is sent in a header, which takes printable ASCII only"
                )

    async def keep(
        self, subject: str, config: pb.TaskPushNotificationConfig
    ) -> pb.TaskPushNotificationConfig:
        """Keeps where to send changes of a task, and begins to.

        Raises:
            InvalidParamsError: Too many places are told already.
        """
        kept = pb.TaskPushNotificationConfig()
        kept.CopyFrom(config)
        kept.id = kept.id or str(uuid4())
        before = await self._store.of(kept.task_id)
        same = next((one for one in before if one.config.id == kept.id), None)
        if same is not None and same.config == kept:
            return kept
        if same is None and len(before) >= MOST:
            raise InvalidParamsError(f"a task is told to {MOST} places at most")
        await self._store.put(KeptPush(subject, kept))
        self._follow(KeptPush(subject, kept))
        return kept

    async def kept(self, task: str) -> list[pb.TaskPushNotificationConfig]:
        """Returns where changes of a task are sent."""
        return [kept.config for kept in await self._store.of(task)]

    async def forget(self, task: str, id: str) -> None:
        """Sends no more there."""
        if (following := self._following.pop((task, id), None)) is not None:
            following.cancel()
        await self._store.delete(task, id)

    def _follow(self, kept: KeptPush) -> None:
        key = (kept.config.task_id, kept.config.id)
        if (before := self._following.pop(key, None)) is not None:
            before.cancel()
        self._following[key] = asyncio.create_task(self._send_all(kept))

    async def _send_all(self, kept: KeptPush) -> None:
        told, pause = kept.told, 1.0
        while True:
            try:
                found = await self._tasks.find(kept.subject, kept.config.task_id)
                async with aclosing(self._tasks.follow(found)) as views:
                    async for seen in views:
                        what = f"{pb.TaskState.Name(seen.status.state)} {seen.status.message.message_id}"
                        if what == told:
                            continue
                        await self._deliver(kept.config, seen)
                        await self._store.told(kept, what, ended=seen.status.state in TERMINAL)
                        told = what
                return
            except UnknownTask:
                await self._store.delete(kept.config.task_id, kept.config.id)
                return
            except (CounterstepError, RPCError, OSError) as error:
                logger.warning("the task %s cannot be followed: %s", kept.config.task_id, error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)

    async def _deliver(self, config: pb.TaskPushNotificationConfig, seen: pb.Task) -> None:
        """Sends one change, again and again until it is taken, refused, or too old."""
        body = MessageToDict(pb.StreamResponse(task=seen))
        headers = {"X-A2A-Notification-Token": config.token} if config.token else {}
        scheme, credentials = config.authentication.scheme, config.authentication.credentials
        if scheme and credentials:
            headers["Authorization"] = f"{scheme} {credentials}"
        pause, reason = 1.0, ""
        for _ in range(_TRIES):
            try:
                answer = await self._http.post(config.url, json=body, headers=headers)
                if answer.is_success:
                    return
                reason = f"it answers {answer.status_code}"
                if 300 <= answer.status_code < 500 and answer.status_code not in _AGAIN:
                    break
            except httpx.HTTPError as error:
                reason = type(error).__name__
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
        host = urlsplit(config.url).hostname
        logger.warning("%s does not take what changed of %s: %s", host, config.task_id, reason)
