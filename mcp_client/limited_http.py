"""HTTP to a server that may flood: what it answers to one request is limited."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2

from .leash import MOST_UNASKED


class LimitedTransport(httpx2.AsyncHTTPTransport):
    """Ends a response that is too long, before it fills the memory."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """See base class."""
        response = await super().handle_async_request(request)
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _LimitedStream(response.stream)
        return response


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
