"""The address that a process is given, with a run behind it that only keeps what it is asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from counterstep.activities.gateway.endpoint import Endpoint
from counterstep.saga.agents.foreign.host_protocol import HostAnswer, HostJob
from counterstep.saga.agents.model_protocol import ToolSchema

TOKEN = "the-token-of-this-run"
JOB = HostJob(
    agent="travel.agent",
    attempt=1,
    models=("openai/gpt-5-mini", "anthropic/claude"),
    tools=(ToolSchema(name="book", description="Books.", parameters={"type": "object"}),),
)


class Run:
    """Takes requests in place of a workflow, and keeps them."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.answer = HostAnswer(value={"id": "a", "choices": [], "output": []})
        self.hold: asyncio.Event | None = None

    async def model(self, key: str, dialect: str, model: str, body: dict[str, Any]) -> HostAnswer:
        self.asked.append((key, dialect, model, body))
        if self.hold is not None:
            await self.hold.wait()
        return self.answer

    async def tool(self, key: str, tool: str, arguments: dict[str, Any]) -> HostAnswer:
        self.asked.append((key, tool, arguments))
        return self.answer


@asynccontextmanager
async def opened(run: Run) -> AsyncIterator[httpx.AsyncClient]:
    """Opens an endpoint; yields a client that shows the token."""
    endpoint = Endpoint(JOB, run, TOKEN)  # type: ignore[arg-type]
    async with endpoint.open() as address:
        headers = {"authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(base_url=address, headers=headers, timeout=20) as client:
            yield client


ASKED = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "?"}]}
