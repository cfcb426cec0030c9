"""Undoes requests by requests."""

from __future__ import annotations

from typing import Any, Final

from ...resources.http_request import Answer, HttpRequest
from ...saga.undo import Undo

_GONE: Final = (404, 410)


def undo_over_http(request: HttpRequest, find: HttpRequest | None, undo: Undo[Any]) -> None:
    """Bars the key, finds out what the call has answered where that is unknown, and sends the undo.

    Args:
        request: The undo; that something is not there (404, 410) is as good as done.
        find: Looks the effect up by its key; its answer stands in for that of the call.
        undo: The call.

    Raises:
        RuntimeError: A server answers with something else than it should.
    """
    from ...resources.request_keys import bar, settle

    is_open, known = bar(undo.idempotency_key, undo.task_id, happened=undo.output is not None)
    if not is_open:
        return
    scope = {"arguments": undo.input, "key": undo.idempotency_key}
    output: Answer | None = undo.output or known
    if output is None and find is not None:
        status, output = find.send(scope, None)
        if status in _GONE:
            settle(undo.idempotency_key)
            return
        _expect_good(status, output)
    status, answer = request.send({**scope, "output": output}, f"{undo.idempotency_key}-undo")
    if status not in _GONE:
        _expect_good(status, answer)
    settle(undo.idempotency_key)


def _expect_good(status: int, answer: Answer) -> None:
    if not 200 <= status < 300:
        raise RuntimeError(f"the server answered {status}: {str(answer['body'])[:500]}")
