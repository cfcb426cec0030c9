"""Asks an agent elsewhere, from its card to the end of its task."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
from a2a.client.client import ClientConfig
from a2a.client.client_factory import ClientFactory
from a2a.utils.errors import A2AError

from ..saga.errors import CounterstepError
from .bounded_http import bounded_client
from .card import fetch_card
from .failures import RemoteAgentAway, RemoteAgentFailed
from .outages import is_outage
from .remote_task import RemoteEnd, RemoteTask
from .remote_terms import RemoteTerms

_SPOKEN = ["JSONRPC", "HTTP+JSON"]


async def ask(
    terms: RemoteTerms,
    request: Any,
    *,
    key: str,
    known: str,
    is_repeat: bool,
    note: Callable[[str], None],
    is_given_up: Callable[[], bool],
) -> RemoteEnd:
    """Has an agent do something, and waits for the end of its task.

    Args:
        terms: Of the agent.
        request: What is asked; JSON.
        key: The idempotency key of the call.
        known: The id of the task that an earlier attempt has begun; empty where nobody knows one.
        is_repeat: Whether an earlier attempt may have asked.
        note: Is told the id of the task.
        is_given_up: Says of a call that was cancelled whether nobody else goes on with it.

    Raises:
        RemoteAgentAway: It does not answer, or does not any more; another attempt finds its task again.
        CounterstepError: It cannot be asked, refuses the request, or answers with nonsense; a task that it
            may have begun was cancelled.
        asyncio.CancelledError: The call was cancelled; so was its task, if the call was given up.
    """
    async with bounded_client(terms.headers) as http:
        card = await fetch_card(terms, http)
        config = ClientConfig(streaming=False, httpx_client=http, supported_protocol_bindings=_SPOKEN)
        task = RemoteTask(ClientFactory(config).create(card), key, note, may_be_sent=is_repeat)
        try:
            end = await task.run(request, terms.metadata, known=known, idempotent=terms.idempotent)
        except asyncio.CancelledError:
            if is_given_up():
                await asyncio.shield(task.cancel())
            raise
        except Exception as error:
            if isinstance(error, A2AError | httpx.HTTPError) and is_outage(error):
                raise RemoteAgentAway(f"{terms.url} does not answer: {error}") from None
            await task.cancel()  # nobody here will follow it any more
            raise _told(terms, error) from None
        if end.state in ("input_required", "auth_required"):
            await task.cancel()  # whoever answered it there would have it done after it is undone here
        return end


def _told(terms: RemoteTerms, error: Exception) -> CounterstepError:
    if isinstance(error, CounterstepError):
        return error
    if isinstance(error, A2AError):
        return RemoteAgentFailed(f"{terms.url} has refused the request: {error}")
    # The library passes on what its parsers say of an answer that they do not understand.
    return RemoteAgentFailed(f"{terms.url} answers with what is not A2A: {type(error).__name__}: {error}")
