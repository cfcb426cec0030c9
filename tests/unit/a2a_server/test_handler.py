"""What requests share, whatever they ask for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from a2a.server.context import ServerCallContext
from a2a.types import a2a_pb2 as pb
from a2a.utils.errors import InvalidRequestError, PushNotificationNotSupportedError

from counterstep.a2a_server.handler import MOST_FOLLOWED, TaskHandler
from counterstep.a2a_server.task_view import WORKING


class LongTasks:
    """Tasks that do not end while somebody looks, in place of those of a server."""

    async def find(self, subject: str, id: str) -> str:
        return id

    async def seen(self, id: str) -> pb.Task:
        return pb.Task(id=id, status=pb.TaskStatus(state=WORKING))

    async def follow(self, id: str) -> AsyncIterator[pb.Task]:
        yield await self.seen(id)
        await asyncio.Event().wait()


async def test_one_caller_has_so_many_streams_at_once() -> None:
    tasks: Any = LongTasks()
    handler, context = TaskHandler(tasks, None), ServerCallContext()
    request = pb.SubscribeToTaskRequest(id="t")
    streams = [handler.on_subscribe_to_task(request, context) for _ in range(MOST_FOLLOWED)]
    for stream in streams:
        await anext(stream)
    with pytest.raises(InvalidRequestError, match="100 requests of one caller"):
        await anext(handler.on_subscribe_to_task(request, context))
    await streams[0].aclose()
    streams[0] = handler.on_subscribe_to_task(request, context)
    await anext(streams[0])
    for stream in streams:
        await stream.aclose()


async def test_notifications_that_are_not_sent_are_refused_before_anything_starts() -> None:
    nothing: Any = None
    handler = TaskHandler(nothing, None)
    message = pb.Message(message_id="m", role=pb.Role.ROLE_USER, parts=[pb.Part(text="x")])
    request = pb.SendMessageRequest(message=message)
    request.configuration.task_push_notification_config.url = "https://hooks.example/"
    with pytest.raises(PushNotificationNotSupportedError):
        await handler.on_message_send(request, ServerCallContext())
