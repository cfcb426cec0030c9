"""What A2A clients may do: each request is a call of a task."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from typing import Final, NoReturn

from a2a.server.context import ServerCallContext
from a2a.server.events.event_queue import Event
from a2a.server.request_handlers.request_handler import RequestHandler
from a2a.types import a2a_pb2 as pb
from a2a.utils import errors
from a2a.utils.proto_utils import validate_proto_required_fields
from a2a.utils.task import validate_history_length
from temporalio.service import RPCError

from ..client import IdInUse, NoWorker, Refused, TaskEnded, UnknownTask
from ..saga.errors import SpecError
from ..saga.spec.input_reads import check_task_input
from .incoming import answered, as_json, asked_task
from .listing import page_of
from .push.sender import PushSender
from .served_tasks import OwnedTask, ServedTasks
from .task_view import ASKING, CANCELED, TERMINAL

LONGEST_WAIT: Final = 300.0
"""Seconds that a request may wait for the end of a task; then it is told as it is."""

CANCEL_WAIT: Final = 30.0
"""Seconds that a cancel waits for its undos."""

MOST_FOLLOWED: Final = 100
"""How many requests of one caller may wait or stream at once: each of them asks for boards."""


class TaskHandler(RequestHandler):
    """Answers the requests of both bindings."""

    def __init__(self, tasks: ServedTasks, push: PushSender | None) -> None:
        """Prepares to answer.

        Args:
            tasks: The tasks.
            push: Sends notifications; None where none are sent.
        """
        self._tasks = tasks
        self._push = push
        self._followed: Counter[str] = Counter()

    async def on_message_send(self, params: pb.SendMessageRequest, context: ServerCallContext) -> pb.Task:
        """Starts a task or answers its question; waits until it has ended, or asks something."""
        with _telling():
            found = await self._taken(params, context)
            if params.configuration.return_immediately:
                return await self._tasks.seen(found)
            with self._following(_subject(context)):
                return await self._waited(found, LONGEST_WAIT, until_end=False)

    async def on_message_send_stream(
        self, params: pb.SendMessageRequest, context: ServerCallContext
    ) -> AsyncGenerator[Event]:
        """Does the same, and tells each change until then."""
        with _telling(), self._following(_subject(context)):
            found = await self._taken(params, context)
            async with aclosing(self._events(found, until_end=False)) as events:
                async for event in events:
                    yield event

    async def on_subscribe_to_task(
        self, params: pb.SubscribeToTaskRequest, context: ServerCallContext
    ) -> AsyncGenerator[Event]:
        """Tells each change of a task until its end, also of one that was started before this process."""
        with _telling():
            validate_proto_required_fields(params)
            found = await self._tasks.find(_subject(context), params.id)
            if (await self._tasks.seen(found)).status.state in TERMINAL:
                raise errors.UnsupportedOperationError(f"{params.id} has ended; GetTask tells how")
            with self._following(_subject(context)):
                async with aclosing(self._events(found, until_end=True)) as events:
                    async for event in events:
                        yield event

    async def on_get_task(self, params: pb.GetTaskRequest, context: ServerCallContext) -> pb.Task:
        """Tells where a task is."""
        with _telling():
            validate_proto_required_fields(params)
            validate_history_length(params)
            return await self._tasks.seen(await self._tasks.find(_subject(context), params.id))

    async def on_list_tasks(
        self, params: pb.ListTasksRequest, context: ServerCallContext
    ) -> pb.ListTasksResponse:
        """Lists the tasks of the caller, newest first."""
        with _telling():
            validate_history_length(params)
            listed = await self._tasks.newest(_subject(context))
            page, chosen = page_of(listed, params)
            if params.include_artifacts:
                whole = [await self._tasks.seen(found) for found in chosen]
                del page.tasks[:]
                page.tasks.extend(whole)
            return page

    async def on_cancel_task(self, params: pb.CancelTaskRequest, context: ServerCallContext) -> pb.Task:
        """Cancels a task, and waits for its undos; where they take long, it is told as it is."""
        with _telling():
            validate_proto_required_fields(params)
            found = await self._tasks.find(_subject(context), params.id)
            try:
                await found.task.cancel()
            except TaskEnded as error:
                raise errors.TaskNotCancelableError(str(error)) from None
            ended = await self._waited(found, CANCEL_WAIT, until_end=True)
            if ended.status.state in TERMINAL - {CANCELED}:
                raise errors.TaskNotCancelableError(f"{params.id} had ended before it could be cancelled")
            return ended

    async def on_create_task_push_notification_config(
        self, params: pb.TaskPushNotificationConfig, context: ServerCallContext
    ) -> pb.TaskPushNotificationConfig:
        """Keeps where changes of a task are to be sent."""
        with _telling():
            push = self._pushing()
            push.check(params)
            await self._tasks.find(_subject(context), params.task_id)
            return await push.keep(_subject(context), params)

    async def on_get_task_push_notification_config(
        self, params: pb.GetTaskPushNotificationConfigRequest, context: ServerCallContext
    ) -> pb.TaskPushNotificationConfig:
        """Tells one of them."""
        with _telling():
            for config in await self._configs(params.task_id, context):
                if config.id == params.id:
                    return config
            raise errors.TaskNotFoundError(f"{params.task_id} has no notifications {params.id!r}")

    async def on_list_task_push_notification_configs(
        self, params: pb.ListTaskPushNotificationConfigsRequest, context: ServerCallContext
    ) -> pb.ListTaskPushNotificationConfigsResponse:
        """Lists them."""
        with _telling():
            configs = await self._configs(params.task_id, context)
            return pb.ListTaskPushNotificationConfigsResponse(configs=configs)

    async def on_delete_task_push_notification_config(
        self, params: pb.DeleteTaskPushNotificationConfigRequest, context: ServerCallContext
    ) -> None:
        """Sends no more there."""
        with _telling():
            push = self._pushing()
            await self._tasks.find(_subject(context), params.task_id)
            await push.forget(params.task_id, params.id)

    async def on_get_extended_agent_card(
        self, params: pb.GetExtendedAgentCardRequest, context: ServerCallContext
    ) -> NoReturn:
        """Refuses: the card is the same for all."""
        raise errors.ExtendedAgentCardNotConfiguredError

    async def _taken(self, params: pb.SendMessageRequest, context: ServerCallContext) -> OwnedTask:
        """Takes a message: it starts a task, or answers one."""
        validate_proto_required_fields(params)
        validate_history_length(params.configuration)
        subject, message = _subject(context), params.message
        metadata = as_json(params.metadata)
        config = params.configuration.task_push_notification_config
        wants_push = params.configuration.HasField("task_push_notification_config")
        if wants_push:
            self._pushing().check(config)
        if message.task_id:
            found = await self._tasks.find(subject, message.task_id)
            if message.context_id not in ("", found.context):
                raise errors.InvalidParamsError(f"{message.task_id} belongs to another context")
            by = subject or "an A2A client"
            await self._tasks.answer(found, answered(message, metadata), by, message.message_id)
        else:
            name, given = asked_task(message, metadata, self._tasks.names)
            if faults := check_task_input(self._tasks.names[name], given):
                raise SpecError(faults)
            conversation = message.context_id or None
            found = await self._tasks.start(subject, conversation, message.message_id, name, given)
        if wants_push:
            config.task_id = found.task.id
            await self._pushing().keep(subject, config)
        return found

    @contextmanager
    def _following(self, subject: str) -> Iterator[None]:
        if self._followed[subject] >= MOST_FOLLOWED:
            raise errors.InvalidRequestError(
                f"{MOST_FOLLOWED} requests of one caller wait at most; poll instead"
            )
        self._followed[subject] += 1
        try:
            yield
        finally:
            self._followed[subject] -= 1
            if not self._followed[subject]:
                del self._followed[subject]

    async def _waited(self, found: OwnedTask, seconds: float, *, until_end: bool) -> pb.Task:
        seen = pb.Task()
        try:
            async with asyncio.timeout(seconds), aclosing(self._tasks.follow(found)) as views:
                async for seen in views:
                    if seen.status.state == ASKING and not until_end:
                        return seen
        except TimeoutError:
            return seen if seen.id else await self._tasks.seen(found)
        return seen

    async def _events(self, found: OwnedTask, *, until_end: bool) -> AsyncGenerator[Event]:
        first = True
        async with aclosing(self._tasks.follow(found)) as views:
            async for seen in views:
                if first:
                    yield seen
                else:
                    id, context = seen.id, seen.context_id
                    for artifact in seen.artifacts:
                        yield pb.TaskArtifactUpdateEvent(
                            task_id=id, context_id=context, artifact=artifact, last_chunk=True
                        )
                    yield pb.TaskStatusUpdateEvent(
                        task_id=id, context_id=context, status=seen.status, metadata=seen.metadata
                    )
                first = False
                if seen.status.state == ASKING and not until_end:
                    return

    async def _configs(self, id: str, context: ServerCallContext) -> list[pb.TaskPushNotificationConfig]:
        push = self._pushing()
        await self._tasks.find(_subject(context), id)
        return await push.kept(id)

    def _pushing(self) -> PushSender:
        if self._push is None:
            raise errors.PushNotificationNotSupportedError("this server sends no notifications")
        return self._push


def _subject(context: ServerCallContext) -> str:
    return context.user.user_name


@contextmanager
def _telling() -> Iterator[None]:
    """Turns what is wrong into the errors of the protocol."""
    try:
        yield
    except (SpecError, IdInUse, Refused) as error:
        raise errors.InvalidParamsError(str(error)) from None
    except UnknownTask as error:
        raise errors.TaskNotFoundError(str(error)) from None
    except TaskEnded as error:
        raise errors.UnsupportedOperationError(str(error)) from None
    except NoWorker as error:
        raise errors.InternalError(str(error)) from None
    except RPCError as error:
        raise errors.InternalError(f"the Temporal server does not answer: {error.message}") from None
