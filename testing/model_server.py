"""A local OpenAI-compatible server that answers as it is told to, and misbehaves on request.

It lets a test drive real model calls over real HTTP without a model::

    async with ModelServer() as server:
        server.reply(Behaviour.calls(call("reserve_stock", sku="A1")), Behaviour.json({"id": "r-1"}))
        server.for_model("judge").default = Behaviour.json({"score": 0.9})
        ...                                             # with server.environment set, or base_url given
        assert server.count("gpt-test") == 2
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
import zlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from aiohttp import web

from .model_behaviour import Behaviour, ScriptedCall

Handler = Callable[[dict[str, Any]], Behaviour]
"""Chooses the behaviour by the request's body; called in the server's thread."""


__all__ = ["ModelServer", "ReceivedRequest"]


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """One request as it arrived: its JSON body, its headers (names in lower case) and its model."""

    body: dict[str, Any]
    headers: dict[str, str]

    @property
    def model(self) -> str:
        """The model that was asked for."""
        return str(self.body.get("model", ""))


class Script:
    """What to answer: queued behaviours first, each once, then `default` for ever.

    Attributes:
        default: A behaviour, or a handler that chooses one by the request's body; None for none.
    """

    def __init__(self) -> None:
        self.default: Behaviour | Handler | None = None
        self._queue: deque[Behaviour] = deque()

    def reply(self, *behaviours: Behaviour) -> Self:
        """Queues behaviours, one a request, in this order."""
        self._queue.extend(behaviours)
        return self

    def next(self, body: dict[str, Any]) -> Behaviour | None:
        """Takes the behaviour for a request from the queue; None if there is nothing to answer with."""
        if self._queue:
            return self._queue.popleft()
        if self.default is None or isinstance(self.default, Behaviour):
            return self.default
        return self.default(body)


class ModelServer(Script):
    """The server, on a free port of 127.0.0.1; an async context manager.

    A model's own script (`for_model`) comes before the server's. A request nothing was scripted for
    is refused with status 400, so that a test does not wait for retries.

    Attributes:
        requests: Every request that arrived, oldest first.
        vector: Says what the embedding of a text is; by default texts are alike that share words. How
            an embedding model fails is scripted for the model.
    """

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[ReceivedRequest] = []
        self.vector: Callable[[str], Sequence[float]] = vector_of_words
        self._models: dict[str, Script] = {}
        self._port = 0
        self._runner: web.AppRunner | None = None

    @property
    def base_url(self) -> str:
        """The address to give to a client as its OpenAI base URL."""
        return f"http://127.0.0.1:{self._port}/v1"

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that send ``openai/...`` models here."""
        return {
            "OPENAI_BASE_URL": self.base_url,
            "OPENAI_API_BASE": self.base_url,
            "OPENAI_API_KEY": "sk-counterstep-test",
        }

    def for_model(self, model: str) -> Script:
        """Returns the script of one model, named as it arrives here (without litellm's provider prefix)."""
        return self._models.setdefault(model, Script())

    def count(self, model: str | None = None) -> int:
        """Returns how many requests arrived, for one model or for all."""
        return sum(1 for request in list(self.requests) if model is None or request.model == model)

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/v1/chat/completions", self._answer)
        app.router.add_post("/v1/embeddings", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    @classmethod
    @contextmanager
    def in_thread(cls) -> Iterator[Self]:
        """Runs a server in a thread of its own, for synchronous tests and for worker processes.

        Yields:
            The running server; its script may be changed from the calling thread at any time.
        """
        server = cls()
        started = threading.Event()
        loop = asyncio.new_event_loop()
        stop = asyncio.Event()

        async def serve() -> None:
            async with server:
                started.set()
                await stop.wait()

        thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
        thread.start()
        try:
            if not started.wait(10):
                raise RuntimeError("the model server did not start")
            yield server
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join(10)
            loop.close()

    def _embeddings(self, body: dict[str, Any]) -> dict[str, Any]:
        texts = [body["input"]] if isinstance(body["input"], str) else list(body["input"])
        tokens = sum(len(text) // 4 + 1 for text in texts)
        return {
            "object": "list",
            "model": body["model"],
            "data": [
                {"object": "embedding", "index": at, "embedding": list(self.vector(text))}
                for at, text in enumerate(texts)
            ],
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body: dict[str, Any] = await request.json()
        recorded = ReceivedRequest(body, {name.lower(): value for name, value in request.headers.items()})
        self.requests.append(recorded)
        own = self._models.get(recorded.model)
        embeds = request.path.endswith("/embeddings")
        behaviour = (own.next(body) if own else None) or (Behaviour() if embeds else self.next(body))
        if behaviour is None:
            behaviour = Behaviour.error(
                400, f"nothing is scripted for model {recorded.model}", code="unscripted"
            )
        await asyncio.sleep(behaviour.delay)
        if behaviour.drop:
            if request.transport is not None:
                request.transport.close()
            return web.Response(status=500)
        if behaviour.body is not None:
            return web.Response(
                status=behaviour.status,
                text=behaviour.body,
                headers=behaviour.headers,
                content_type="application/json",
            )
        if embeds:
            return web.json_response(self._embeddings(body))
        if body.get("stream"):
            return await _stream(request, behaviour, body)
        return web.json_response(_completion(behaviour, recorded.model), headers=behaviour.headers)


def vector_of_words(text: str) -> list[float]:
    """Returns a vector with a place for each word: texts are alike that share words."""
    vector = [0.0] * 256
    for word in re.findall(r"\w+", text.lower()):
        vector[zlib.crc32(word.encode()) % len(vector)] += 1.0
    return vector


def _completion(behaviour: Behaviour, model: str) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": behaviour.content}
    if behaviour.tool_calls:
        message["tool_calls"] = _tool_calls(behaviour.tool_calls)
    choice = {"index": 0, "message": message, "finish_reason": _finish_reason(behaviour)}
    answer: dict[str, Any] = {**_envelope("chat.completion", model), "choices": [choice]}
    if behaviour.usage is not None:
        answer["usage"] = _usage(behaviour.usage)
    return answer


async def _stream(request: web.Request, behaviour: Behaviour, body: dict[str, Any]) -> web.StreamResponse:
    response = web.StreamResponse(headers={**behaviour.headers, "content-type": "text/event-stream"})
    await response.prepare(request)
    async for chunk in _chunks(behaviour, body):
        await response.write(f"data: {json.dumps(chunk)}\n\n".encode())
    await response.write(b"data: [DONE]\n\n")
    await response.write_eof()
    return response


async def _chunks(behaviour: Behaviour, body: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    envelope = _envelope("chat.completion.chunk", str(body.get("model", "")))

    def chunk(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        return {**envelope, "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}

    yield chunk({"role": "assistant", "content": ""})
    content = behaviour.content or ""
    for start in range(0, len(content), 8):
        yield chunk({"content": content[start : start + 8]})
    for index, tool_call in enumerate(_tool_calls(behaviour.tool_calls)):
        yield chunk({"tool_calls": [{"index": index, **tool_call}]})
    yield chunk({}, _finish_reason(behaviour))
    if behaviour.usage is not None and (body.get("stream_options") or {}).get("include_usage"):
        yield {**envelope, "choices": [], "usage": _usage(behaviour.usage)}


def _envelope(kind: str, model: str) -> dict[str, Any]:
    return {"id": "chatcmpl-counterstep", "object": kind, "created": 0, "model": model}


def _finish_reason(behaviour: Behaviour) -> str:
    return behaviour.finish_reason or ("tool_calls" if behaviour.tool_calls else "stop")


def _tool_calls(calls: Sequence[ScriptedCall]) -> list[dict[str, Any]]:
    return [
        {
            "id": made.id or f"call_{uuid4().hex[:12]}",
            "type": "function",
            "function": {"name": made.name, "arguments": made.arguments},
        }
        for made in calls
    ]


def _usage(tokens: tuple[int, int]) -> dict[str, int]:
    return {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)}
