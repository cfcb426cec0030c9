"""Turns the undos of MCP servers' tools into activities."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from temporalio import activity

from ..mcp_client.failures import failed
from ..mcp_client.offer import ForeignUndo, McpOffer
from ..mcp_client.requests import ServerRequests
from ..saga.errors import ExpressionError, FailureType
from ..saga.expressions.expression import compile_expression
from ..saga.expressions.template import render
from ..saga.fault_texts import short
from ..saga.undo import Undo


def mcp_compensations(offer: McpOffer, requests: ServerRequests) -> list[Callable[..., Any]]:
    """Returns one activity for each undo that a declaration has, named after the tool."""
    return [_undo(name, undo, requests) for name, undo in offer.undos.items()]


def _is_true(source: str, scope: dict[str, Any]) -> bool:
    answer = compile_expression(source).evaluate(scope)
    if not isinstance(answer, bool):
        # Taken for false, it would leave the effect and say that it was undone.
        raise ExpressionError(f"undo.when: {source!r} must be true or false, not {short(answer)}")
    return answer


def _undo(name: str, undo: ForeignUndo, requests: ServerRequests) -> Callable[..., Any]:
    @activity.defn(name=name)
    async def backward(argument: Any) -> Any:
        told = Undo[Any].model_validate(argument)
        key = told.idempotency_key
        scope = {"arguments": told.input, "output": told.output, "before": told.before, "key": key}
        try:
            if undo.undo.reads_now() and undo.before is not None:
                scope["now"] = await requests.before(undo.before, told.input, key)
            if undo.undo.when is not None and not _is_true(undo.undo.when, scope):
                return
            arguments = render(undo.undo.input, scope, "undo.input")
        except ExpressionError as error:
            unknown = "" if told.output is not None else "; whether the call has happened is unknown"
            raise failed(FailureType.EXPRESSION, f"{error}{unknown}") from None
        await requests.tool(undo.server, undo.tool, arguments, key, repeatable=True, on_error="retry")

    return backward
