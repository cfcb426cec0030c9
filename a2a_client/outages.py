"""Which failures of a request say that an agent is away, and which that it has refused."""

from __future__ import annotations

from typing import Final

import httpx
from a2a.client.errors import A2AClientError
from a2a.utils.errors import InternalError

_AWAY: Final = frozenset({408, 425, 429, *range(500, 600)})
"""By which a server, or what stands before it, says that it may answer the next time."""


def is_outage(error: Exception) -> bool:
    """Says whether the same request may have another end later.

    Args:
        error: What the client library has raised. It tells of HTTP by the cause only.
    """
    if isinstance(error, httpx.HTTPError | InternalError):
        return True
    if not isinstance(error, A2AClientError):
        return False
    cause = error.__cause__
    if isinstance(cause, httpx.HTTPStatusError):
        return cause.response.status_code in _AWAY
    # What is not JSON is by something before the agent, e.g. the page of a proxy while it is started again.
    return isinstance(cause, httpx.RequestError | ValueError)


def is_certainly_unsent(error: Exception) -> bool:
    """Says whether a request cannot have reached anybody: there was no connection."""
    cause = error.__cause__ if isinstance(error, A2AClientError) else error
    return isinstance(cause, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError)


def has_failed_itself(error: Exception) -> bool:
    """Says whether the agent, and not what stands before it, has answered that something is broken."""
    cause = error.__cause__
    status = cause.response.status_code if isinstance(cause, httpx.HTTPStatusError) else None
    return isinstance(error, InternalError) or status == httpx.codes.INTERNAL_SERVER_ERROR
