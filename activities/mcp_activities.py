"""Turns the tools of MCP servers into activities."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from temporalio import activity

from ..bundle.current_step import current_step
from ..mcp_client.failures import failed
from ..mcp_client.offer import ForeignCall, McpOffer
from ..mcp_client.requests import ServerRequests
from ..mcp_client.timely_check import check_in_time
from ..observability.redaction import hide
from ..saga.errors import FailureType


def mcp_activities(offer: McpOffer, requests: ServerRequests) -> list[Callable[..., Any]]:
    """Returns one activity for each tool of the servers, named as it is offered; logs hide their secrets."""
    for secret in offer.secrets:
        hide(secret)
    return [_call(name, call, requests) for name, call in offer.calls.items()]


def _call(name: str, call: ForeignCall, requests: ServerRequests) -> Callable[..., Any]:
    """Makes an activity whose argument is an object that holds the tool's arguments by name."""

    @activity.defn(name=name)
    async def forward(arguments: Any) -> Any:
        faults = await check_in_time(call.entry.input_schema, arguments, "arguments")
        if faults:
            raise failed(FailureType.INVALID_INPUT, "; ".join(map(str, faults)))
        attempt = activity.info().attempt
        if attempt > 1 and not call.is_repeatable:
            # It may have been made. A server that knows nothing of keys would make it twice and undo one.
            message = f"attempt {attempt - 1} of {name} was lost, and what it has done is unknown; "
            raise failed(
                FailureType.MCP_FAILED, f"{message}the tool is not declared idempotent, so it is not repeated"
            )
        return await _made(call, arguments, requests)

    return forward


async def _made(call: ForeignCall, arguments: dict[str, Any], requests: ServerRequests) -> Any:
    key = current_step().idempotency_key
    if call.tool is None:
        return await requests.text(call, arguments)
    if call.kind == "before":
        return await requests.before(call, arguments, key)
    given = arguments if call.mapping.key is None else {**arguments, call.mapping.key: key}
    return await requests.tool(
        call.server, call.tool, given, key, repeatable=call.is_repeatable, on_error="fail"
    )
