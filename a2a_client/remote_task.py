"""One task of an agent elsewhere: begun once, and followed to its end over restarts of either side."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import httpx
from a2a.client.client import Client, ClientCallContext
from a2a.helpers import get_data_parts, get_text_parts, new_data_part, new_text_part
from a2a.types import (
    CancelTaskRequest,
    GetTaskRequest,
    ListTasksRequest,
    Message,
    Role,
    SendMessageConfiguration,
    SendMessageRequest,
    Task,
    TaskState,
)
from a2a.utils.errors import A2AError

from ..saga.json_value import with_integers
from .failures import RemoteAgentFailed, UnknownWhetherSent
from .outages import has_failed_itself, is_certainly_unsent, is_outage

_T = TypeVar("_T")

LONGEST_OUTAGE: Final = 60.0
"""Seconds for which an agent that does not answer is asked again, before the attempt counts as failed."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
_LONGEST_ANSWER, _LONGEST_CANCEL, _LONGEST_ID = 600.0, 10.0, 1_000
_OVER: Final = frozenset(
    {
        TaskState.TASK_STATE_COMPLETED,
        TaskState.TASK_STATE_FAILED,
        TaskState.TASK_STATE_CANCELED,
        TaskState.TASK_STATE_REJECTED,
    }
)
_ENDED: Final = _OVER | {TaskState.TASK_STATE_INPUT_REQUIRED, TaskState.TASK_STATE_AUTH_REQUIRED}
"""Where a task does not go on by itself any more."""


@dataclass(frozen=True, slots=True)
class RemoteEnd:
    """How a task has ended.

    Attributes:
        state: ``completed``, ``failed``, ``rejected``, ``canceled``, ``input_required`` or ``auth_required``.
        output: What it has come to: the data of its first artifact that has some, or else all text.
        message: What the agent has said last.
        task_id: By which it is known there; empty where it has answered without a task.
    """

    state: str
    output: Any
    message: str
    task_id: str


class RemoteTask:
    """One task, as an attempt of ours sees it."""

    def __init__(self, client: Client, key: str, note: Callable[[str], None], *, may_be_sent: bool) -> None:
        """Prepares to ask.

        Args:
            client: Of the agent.
            key: The idempotency key of the call: the id of the message, and of its context.
            note: Is told the id of the task as soon as it is known.
            may_be_sent: Whether an earlier attempt may have sent the message.
        """
        self._client = client
        self._key = key
        self._note = note
        self._may_be_sent = may_be_sent
        self._id = ""

    async def run(
        self, request: Any, metadata: Mapping[str, Any], *, known: str, idempotent: bool
    ) -> RemoteEnd:
        """Has a task done, unless it was begun before, and follows it to its end.

        Args:
            request: What is asked; JSON.
            metadata: What the message says besides.
            known: The id of the task that an earlier attempt has begun; empty where nobody knows one.
            idempotent: Whether the message may be sent a second time.

        Raises:
            UnknownWhetherSent: It may have been sent, and nobody can tell.
            RemoteAgentFailed: What it answers is too much, or nonsense.
            httpx.HTTPError: The agent has not answered for too long.
            A2AError: It has not answered for too long, or has refused the request.
        """
        self._id = known
        if known:
            task = await self._patiently(self._get)
        else:
            answer = await self._patiently(lambda: self._begin(request, metadata, idempotent=idempotent))
            if isinstance(answer, Message):
                return RemoteEnd("completed", _content([answer]), _text(answer), "")
            task = answer
            self._id = _checked(task.id)
        self._note(self._id)
        pause = _FIRST_PAUSE
        while task.status.state not in _ENDED:
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)
            task = await self._patiently(self._get)
        state = TaskState.Name(task.status.state).removeprefix("TASK_STATE_").lower()
        return RemoteEnd(state, _content(task.artifacts), _text(task.status.message), self._id)

    async def cancel(self) -> None:
        """Asks the agent to cancel, and waits for that a little; one that does not care is left alone."""
        with suppress(Exception):  # whatever it answers, it was asked
            async with asyncio.timeout(_LONGEST_CANCEL):
                if not self._id and self._may_be_sent:
                    found = await self._find(idempotent=True)
                    self._id = found.id if found else ""
                if not self._id:
                    return
                task = await self._client.cancel_task(CancelTaskRequest(id=self._id))
                while task.status.state not in _OVER:
                    await asyncio.sleep(_FIRST_PAUSE)
                    task = await self._get()

    async def _get(self) -> Task:
        return await self._client.get_task(GetTaskRequest(id=self._id, history_length=0))

    async def _begin(self, request: Any, metadata: Mapping[str, Any], *, idempotent: bool) -> Task | Message:
        """Finds the task that the message has begun, or sends it."""
        found = await self._find(idempotent=idempotent) if self._may_be_sent else None
        if found is not None:
            return found
        before, self._may_be_sent = self._may_be_sent, True
        try:
            return await self._send(request, metadata)
        except (httpx.HTTPError, A2AError) as error:
            if is_certainly_unsent(error):
                self._may_be_sent = before
            if has_failed_itself(error):  # before or after it has done something, nobody knows
                raise RemoteAgentFailed(f"it has failed: {error}") from None
            raise

    async def _find(self, *, idempotent: bool) -> Task | None:
        """Looks for the task of the message among those of its context; None where it may be sent."""
        try:
            listed = await self._client.list_tasks(ListTasksRequest(context_id=self._key))
        except A2AError as error:
            if is_outage(error):
                raise
            why = "does not list its tasks"
        else:
            if not listed.tasks:
                return None
            ours = [task for task in listed.tasks if task.context_id == self._key]
            if ours:
                self._id = _checked(ours[0].id)
                return await self._get()  # a list has no artifacts
            why = "lists the tasks of others, too"
        if idempotent:
            return None
        raise UnknownWhetherSent(
            f"the message may have been sent already, and the agent {why}: nobody knows whether it has "
            "begun; idempotent=True says that a repeated message is done once"
        )

    async def _send(self, request: Any, metadata: Mapping[str, Any]) -> Task | Message:
        part = new_text_part(request) if isinstance(request, str) else new_data_part(request)
        message = Message(message_id=self._key, context_id=self._key, role=Role.ROLE_USER, parts=[part])
        if metadata:
            message.metadata.update(metadata)
        sent = SendMessageRequest(
            message=message, configuration=SendMessageConfiguration(return_immediately=True)
        )
        # Who answers with a message, or does not know "immediately", answers when all is done.
        context = ClientCallContext(timeout=_LONGEST_ANSWER)
        async for answer in self._client.send_message(sent, context=context):
            return answer.task if answer.HasField("task") else answer.message
        raise RemoteAgentFailed("it has answered with nothing")

    async def _patiently(self, ask: Callable[[], Awaitable[_T]]) -> _T:
        """Asks again for as long as an agent may be away, e.g. while it is started again."""
        until = asyncio.get_running_loop().time() + LONGEST_OUTAGE
        pause = _FIRST_PAUSE
        while True:
            try:
                return await ask()
            except (httpx.HTTPError, A2AError) as error:
                if not is_outage(error) or asyncio.get_running_loop().time() > until:
                    raise
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)


def _checked(id: str) -> str:
    if not 0 < len(id) <= _LONGEST_ID:
        raise RemoteAgentFailed(f"its task has an id of {len(id)} characters; the most is {_LONGEST_ID}")
    return id


def _content(carriers: Any) -> Any:
    """Returns the first data of artifacts or messages, or else all their text."""
    for carrier in carriers:
        for data in get_data_parts(carrier.parts):
            return with_integers(json.loads(json.dumps(data)))
    return "\n".join(text for carrier in carriers for text in get_text_parts(carrier.parts))


def _text(message: Message) -> str:
    return "\n".join(get_text_parts(message.parts))
