"""HTTP to a server that may flood or refuse: answers are limited, and refusals are told as what they are."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any

import httpx2
from mcp import MCPError
from mcp.types import INTERNAL_ERROR

from .leash import MOST_UNASKED
from .oauth import NO_TOKEN

NOT_ADMITTED = (401, 403)
"""Who asks is not let in, so nothing was done."""

SESSION_GONE = 404
"""The session is not known any more, as after a restart; nothing was done."""

UNKNOWN_OUTCOME = (408, 429, *range(500, 600))
"""The server may answer differently the next time, and may have done something already."""

_LONGEST_ERROR = 64_000
# No server knows this name, so none can claim in an error that it has not admitted a call that it has made.
_STATUS = f"counterstep-{secrets.token_hex(8)}"


def http_status_of(error: BaseException) -> int | None:
    """Returns the HTTP status of what a server has refused as HTTP; None for any other error."""
    data = error.data if isinstance(error, MCPError) else None
    status = data.get(_STATUS) if isinstance(data, dict) else None
    return status if isinstance(status, int) else None


class LimitedTransport(httpx2.AsyncBaseTransport):
    """Ends a response that is too long, before it fills the memory, and explains one that is an error."""

    def __init__(self, address: str) -> None:
        """Makes a transport for the server with this address, and for the one that gives tokens for it."""
        # Only a client without a transport of its own goes by HTTP_PROXY, HTTPS_PROXY and NO_PROXY.
        self._http = httpx2.AsyncClient()
        self._address = httpx2.URL(address)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """See base class."""
        response = await self._http.send(request, stream=True)
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _LimitedStream(response.stream)
        if response.status_code < 400 or request.method != "POST" or request.url != self._address:
            return response
        return await _explained(request, response)

    async def aclose(self) -> None:
        """See base class."""
        await self._http.aclose()


async def _explained(request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
    """Returns an error of HTTP as one of MCP, which the client library passes on to just this request."""
    body = b""
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > _LONGEST_ERROR:
            break
    await response.aclose()
    status = response.status_code
    if status not in NOT_ADMITTED and (_is_mcp_error(body) or not _is_told(request, status)):
        error = body
    else:
        told = {"code": INTERNAL_ERROR, "message": _message(request, status, body), "data": {_STATUS: status}}
        error = json.dumps({"jsonrpc": "2.0", "id": None, "error": told}).encode()
        response.headers["content-type"] = "application/json"
    headers = [pair for pair in response.headers.multi_items() if pair[0] not in _OF_THE_BODY]
    return httpx2.Response(status, headers=headers, content=error)


_OF_THE_BODY = ("content-length", "content-encoding", "transfer-encoding")


def _is_told(request: httpx2.Request, status: int) -> bool:
    # Without a session it says that the server does not know a method, by which its protocol is found out.
    return status != SESSION_GONE or "mcp-session-id" in request.headers


def _is_mcp_error(body: bytes) -> bool:
    try:
        found: Any = json.loads(body)
    except ValueError:
        return False
    return isinstance(found, dict) and isinstance(found.get("error"), dict) and "jsonrpc" in found


def _message(request: httpx2.Request, status: int, body: bytes) -> str:
    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""
    http = f"HTTP {status} {phrase}".strip()
    if status == SESSION_GONE:
        return f"it does not know the session any more ({http})"
    if status not in NOT_ADMITTED:
        lines = body.decode(errors="replace").split("\n")
        return f"it has answered {http}: {lines[0].strip()}"
    if NO_TOKEN in request.extensions:
        return f"there is no token for it ({http}): {request.extensions[NO_TOKEN]}"
    if "authorization" not in request.headers:
        return f"it wants credentials ({http}); give headers or oauth"
    return f"it refuses the credentials ({http})"


class _LimitedStream(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        length = 0
        async for chunk in self._inner:
            length += len(chunk)
            if length > MOST_UNASKED:
                raise httpx2.ReadError(f"the response has more than {MOST_UNASKED} bytes")
            yield chunk

    async def aclose(self) -> None:
        await self._inner.aclose()
