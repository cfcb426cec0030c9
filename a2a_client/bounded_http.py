"""An HTTP client for servers that are not trusted: it reads so much of an answer, and goes nowhere else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Final

import httpx

from .failures import RemoteAgentFailed

MOST_BYTES: Final = 8_000_000
"""Of one answer: a result of 1 MB in the most wasteful way to write it, and more."""


class _Bounded(httpx.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        read = 0
        async for chunk in self._stream:
            read += len(chunk)
            if read > MOST_BYTES:
                raise RemoteAgentFailed(f"it has sent more than {MOST_BYTES} bytes in one answer")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


class _Transport(httpx.AsyncBaseTransport):
    def __init__(self) -> None:
        # Only a client without a transport of its own goes by HTTP_PROXY, HTTPS_PROXY and NO_PROXY.
        self._http = httpx.AsyncClient()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._http.send(request, stream=True)
        packed = response.headers.get("content-encoding", "identity")
        if packed != "identity":  # a few bytes may unpack to any number
            await response.aclose()
            raise RemoteAgentFailed(f"it answers in {packed[:40]!r}, which was not asked for")
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _Bounded(response.stream)
        return response

    async def aclose(self) -> None:
        await self._http.aclose()


def bounded_client(headers: Mapping[str, str]) -> httpx.AsyncClient:
    """Returns a client that follows no redirects.

    Args:
        headers: Are sent with every request.
    """
    return httpx.AsyncClient(
        headers={**headers, "accept-encoding": "identity"},
        timeout=httpx.Timeout(30, connect=10),
        transport=_Transport(),
    )
