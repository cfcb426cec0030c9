"""The address at which the process of an agent finds models and tools: on this machine, for one run."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import logging
import math
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ...runtime.web_server import open_socket, server_config
from ...saga.agents.foreign.host_protocol import HostAnswer, HostJob, HostRefusal
from ...saga.agents.hosted_body import Dialect
from ..models.hosted.body_fields import BETAS, faults_of, other_models
from ..models.hosted.dialects import most_tokens_of
from ..models.model_answer import scrubbed
from .conversations import Conversations
from .late_stream import PATIENCE, late_stream
from .request_identity import RequestKeys, digest, loose_digest, normal_form
from .run_client import RunClient
from .streams import error_of
from .tool_server import ToolServer

logger = logging.getLogger("counterstep.gateway")

MOST_BYTES: Final = 32_000_000
"""Of the body of one request: what Anthropic takes at most, and more than OpenAI does."""

_PATHS: Final[dict[str, Dialect]] = {
    "/v1/chat/completions": "chat",
    "/v1/responses": "responses",
    "/v1/messages": "messages",
}
_GONE: Final = 499
"""The status where nobody is there any more to read it."""

_BETA: Final = re.compile(r"[\w.-]+")

_SPOKEN = (
    "Here are POST /v1/chat/completions, /v1/responses and /v1/messages, GET /v1/models, "
    "and MCP over streamable HTTP at /mcp."
)


class Endpoint:
    """Answers the process of one host."""

    def __init__(self, job: HostJob, run: RunClient, token: str) -> None:
        """Prepares to answer.

        Args:
            job: What the process may use.
            run: Takes its requests on.
            token: What it has to show with each of them.
        """
        self._job = job
        self._run = run
        self._token = token
        self._keys = RequestKeys()
        self._conversations = Conversations()
        self._tools = ToolServer(job.agent, job.tools, run, self._keys)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        """Opens the address, and closes it in the end; yields ``http://127.0.0.1:PORT``.

        Raises:
            OSError: This machine has no port left.
        """
        sessions = self._tools.sessions(MOST_BYTES)
        listening = open_socket("127.0.0.1", 0)
        server = _Server(server_config(self._app(sessions.handle_request)))
        async with sessions.run():
            serving = asyncio.create_task(server.serve(sockets=[listening]))
            try:
                yield f"http://127.0.0.1:{listening.getsockname()[1]}"
            finally:
                server.should_exit = server.force_exit = True
                with contextlib.suppress(Exception):
                    await serving
                listening.close()

    def _app(self, mcp: ASGIApp) -> ASGIApp:
        routes: list[Route | Mount] = [Route(path, self._model, methods=["POST"]) for path in _PATHS]
        routes += [
            Route("/v1/messages/count_tokens", self._count, methods=["POST"]),
            Route("/v1/models", self._models, methods=["GET"]),
        ]
        app = Starlette(routes=routes, exception_handlers={404: _not_here, 405: _not_here})

        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            refused = self._refused(Request(scope)) if scope["type"] == "http" else None
            if refused is not None:
                await refused(scope, receive, send)
            elif scope["type"] == "http" and scope["path"].rstrip("/") == "/mcp":
                await mcp(scope, receive, send)
            else:
                await app(scope, receive, send)

        return guarded

    def _refuse(self, dialect: Dialect, type_: str, message: str, status: int) -> Response:
        """Returns a refusal of a request that goes no further than this, and logs it."""
        logger.warning("a request of the process of %s is refused: %s", self._job.agent, message)
        return _error(dialect, HostRefusal(type=type_, message=message, status=status))

    def _refused(self, request: Request) -> Response | None:
        """Returns why a request is not looked at; what does not come from the process has no token."""
        if request.url.hostname not in ("127.0.0.1", "localhost"):
            return self._refuse("chat", "bad_host", "this is 127.0.0.1", 421)
        shown = request.headers.get("authorization", "")
        shown = shown[7:] if shown[:7].lower() == "bearer " else request.headers.get("x-api-key", shown)
        if hmac.compare_digest(shown.encode(), self._token.encode()):
            return None
        message = "this is not the token of a run; show COUNTERSTEP_TOKEN as a bearer token"
        return self._refuse("chat", "authentication_error", message, 401)

    async def _model(self, request: Request) -> Response:
        dialect = _PATHS[request.url.path]
        try:
            body = await _json(request)
            if body is None:
                return Response(status_code=_GONE)
            body = self._conversations.expanded(body) if dialect == "responses" else body
            if faults := faults_of(dialect, body):
                raise ValueError("; ".join(faults))
        except ValueError as error:
            return self._refuse(dialect, "invalid_request", str(error), 400)
        model = _named(str(body.get("model", "")), self._job.models)
        if model is None:
            known = ", ".join(self._job.models) or "none"
            message = f"the model {body.get('model')!r} is not allowed; there are: {known}"
            return self._refuse(dialect, "model_not_allowed", message, 403)
        if others := other_models(body):
            message = f"tools and fields that ask other models are not taken: {', '.join(others)}"
            return self._refuse(dialect, "model_not_allowed", message, 403)
        if dialect == "messages":
            body[BETAS] = _BETA.findall(",".join(request.headers.getlist("anthropic-beta")))
        try:
            asked = normal_form(dialect, {**body, "model": model})
            known_by = digest([dialect, asked]), loose_digest(asked)
        except RecursionError:
            return self._refuse(dialect, "invalid_request", "the body is nested too deeply", 400)
        is_retry = _number(request.headers.get("x-stainless-retry-count")) > 0
        key = self._keys.key("model", known_by[0], loose=known_by[1], is_retry=is_retry)
        call = asyncio.ensure_future(self._called(key, dialect, model, body))
        is_stream = bool(body.get("stream"))
        if not await _waited(request, call, PATIENCE if is_stream else None):
            self._keys.abandon(key)  # it goes on, and is there when it is asked again
            return Response(status_code=_GONE)
        if is_stream and not (call.done() and call.result().refusal is not None):
            return StreamingResponse(self._streamed(key, dialect, call, body), media_type="text/event-stream")
        answer = call.result()
        return JSONResponse(answer.value) if answer.refusal is None else _error(dialect, answer.refusal)

    async def _called(self, key: str, dialect: Dialect, model: str, body: dict[str, Any]) -> HostAnswer:
        answer = await self._run.model(key, dialect, model, body)
        if dialect == "responses" and answer.refusal is None:
            self._conversations.answered(body, answer.value)
        return answer

    async def _streamed(
        self, key: str, dialect: Dialect, call: asyncio.Future[HostAnswer], body: dict[str, Any]
    ) -> AsyncIterator[str]:
        try:
            async for event in late_stream(dialect, call, body):
                yield event
        finally:
            if not call.done():
                self._keys.abandon(key)

    async def _count(self, request: Request) -> Response:
        try:
            body = await _json(request)
            if body is None:
                return Response(status_code=_GONE)
            tokens, _ = most_tokens_of("messages", body)
        except ValueError as error:
            return self._refuse("messages", "invalid_request", str(error), 400)
        return JSONResponse({"input_tokens": tokens // 4})

    async def _models(self, _: Request) -> Response:
        listed = [
            {"id": name, "object": "model", "created": 0, "owned_by": "counterstep"}
            for name in self._job.models
        ]
        return JSONResponse({"object": "list", "data": listed})


class _Server(uvicorn.Server):
    """Leaves the signals to the worker, in whose process it runs."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _json(request: Request) -> dict[str, Any] | None:
    """Returns a body; None where the client has gone away in the middle of it."""
    read = bytearray()
    try:
        async for chunk in request.stream():
            read += chunk
            if len(read) > MOST_BYTES:
                raise ValueError(f"a request has at most {MOST_BYTES} bytes")
    except ClientDisconnect:
        return None
    try:
        body = json.loads(bytes(read), parse_constant=_no_number, parse_float=_number_of)
        if b"\\u" in read:  # half of a character, as clients that cut a text off leave it, nobody can send
            body = scrubbed(body)
    except (ValueError, RecursionError):
        raise ValueError("the body is not JSON") from None
    if not isinstance(body, dict):
        raise ValueError("the body is not a JSON object")
    return body


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


def _number_of(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _no_number(text)


async def _waited(request: Request, call: asyncio.Future[HostAnswer], seconds: float | None) -> bool:
    """Waits for an answer, as long as that; says whether the client is still there."""
    leaving = asyncio.ensure_future(_gone(request))
    either: set[asyncio.Future[Any]] = {call, leaving}
    try:
        await asyncio.wait(either, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        leaving.cancel()
    return call.done() or not leaving.done()


async def _gone(request: Request) -> None:
    """Returns when the client has closed its connection."""
    with contextlib.suppress(ClientDisconnect):
        while (await request.receive())["type"] != "http.disconnect":
            pass


def _named(model: str, allowed: tuple[str, ...]) -> str | None:
    """Returns the litellm name of a model that may be asked; the process may leave the provider out."""
    if model in allowed:
        return model
    return next((name for name in allowed if name.partition("/")[2] == model), None)


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else 0


async def _not_here(request: Request, _: Exception) -> Response:
    message = f"{request.method} {request.url.path} is not spoken. {_SPOKEN}"
    return _error("chat", HostRefusal(type="not_found", message=message, status=404))


def _error(dialect: Dialect, refusal: HostRefusal) -> Response:
    """Returns a refusal as the clients of a dialect read it; none of them is to try again by itself."""
    content = error_of(dialect, refusal)
    return JSONResponse(content, status_code=refusal.status, headers={"x-should-retry": "false"})
