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


class _Transport(httpx.AsyncHTTPTransport):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        packed = response.headers.get("content-encoding", "identity")
        if packed != "identity":  # a few bytes may unpack to any number
            await response.aclose()
            raise RemoteAgentFailed(f"it answers in {packed[:40]!r}, which was not asked for")
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _Bounded(response.stream)
        return response


def bounded_client(headers: Mapping[str, str]) -> httpx.AsyncClient:
    """Returns a client that follows no redirects and takes no proxy's or user's settings for its own.

    Args:
        headers: Are sent with every request.
    """
    return httpx.AsyncClient(
        headers={**headers, "accept-encoding": "identity"},
        timeout=httpx.Timeout(30, connect=10),
        transport=_Transport(),
        trust_env=False,
    )
