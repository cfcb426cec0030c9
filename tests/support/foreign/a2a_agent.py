"""`counterstep a2a` as a process, and the official client that calls it."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx
from a2a.client import ClientConfig, ClientFactory
from a2a.client.client import Client
from a2a.helpers.proto_helpers import new_data_part
from a2a.types import a2a_pb2 as pb

SERVED = "counterstep.tests.support.foreign.served:served"


class A2aAgent:
    """The process; killed and started again, it is called at the same address."""

    def __init__(self, address: str, queue: str, *more: str) -> None:
        self._words = ["--bundle", SERVED, "--address", address, "--task-queue", queue, *more]
        self._program: asyncio.subprocess.Process | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def command(self) -> list[str]:
        return ["-m", "counterstep.cli", "a2a", *self._words, "--port", str(self.port)]

    async def start(self) -> None:
        """Starts it, and waits until it serves."""
        pipe = asyncio.subprocess.PIPE
        self._program = await asyncio.create_subprocess_exec(
            sys.executable, *self.command, env=dict(os.environ), stderr=pipe
        )
        assert self._program.stderr is not None
        line = (await self._program.stderr.readline()).decode()
        assert "served over A2A at" in line, line + (await self._program.stderr.read()).decode()
        self.port = int(line.strip().rsplit(":", 1)[1])

    async def refused(self, *more: str) -> str:
        """Starts one more with the same words and others; returns what it says when it ends."""
        pipe = asyncio.subprocess.PIPE
        program = await asyncio.create_subprocess_exec(sys.executable, *self.command, *more, stderr=pipe)
        said = (await program.communicate())[1].decode()
        assert program.returncode not in (0, 70)
        return said

    async def kill(self) -> None:
        """Kills it, without a chance to say goodbye."""
        assert self._program is not None
        if self._program.returncode is None:
            self._program.kill()
            await self._program.wait()


@asynccontextmanager
async def serving(address: str, queue: str, *more: str) -> AsyncIterator[A2aAgent]:
    agent = A2aAgent(address, queue, *more)
    await agent.start()
    try:
        yield agent
    finally:
        await agent.kill()


@asynccontextmanager
async def calling(url: str, token: str = "", binding: str = "JSONRPC") -> AsyncIterator[Client]:
    """The official client, which finds all by the card."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    async with httpx.AsyncClient(headers=headers, timeout=60) as http:
        config = ClientConfig(httpx_client=http, supported_protocol_bindings=[binding])
        yield await ClientFactory(config).create_from_url(url)


def message(data: Any, *, id: str = "", **more: Any) -> pb.SendMessageRequest:
    """A message with data."""
    said = pb.Message(
        message_id=id or str(uuid4()), role=pb.Role.ROLE_USER, parts=[new_data_part(data)], **more
    )
    return pb.SendMessageRequest(message=said)


async def sent(client: Client, request: pb.SendMessageRequest) -> list[pb.StreamResponse]:
    """Sends a message; returns all that the stream brings."""
    return [event async for event in client.send_message(request)]


def state(event: pb.StreamResponse | pb.Task) -> str:
    """The state that a task or an event tells."""
    if isinstance(event, pb.Task):
        told = event.status
    else:
        told = event.task.status if event.HasField("task") else event.status_update.status
    return pb.TaskState.Name(told.state).removeprefix("TASK_STATE_").lower()
