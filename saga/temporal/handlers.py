"""Queries, updates and signals of a task; those that a user's own workflow serves already stay the user's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from inspect import Parameter, Signature
from typing import Any

from temporalio import workflow

_Handler = Callable[..., Any]

_ONE_ARGUMENT = Signature([Parameter("argument", Parameter.POSITIONAL_OR_KEYWORD, default=None)])


def serve_query(name: str, handler: _Handler) -> None:
    """Serves a query from now on, unless the workflow does so itself."""
    if _claim("query", name, workflow.get_query_handler(name), handler):
        workflow.set_query_handler(name, handler)


def serve_update(
    name: str, handler: Callable[[Any], Awaitable[Any]], validator: Callable[[Any], None]
) -> None:
    """Serves an update with one argument from now on, unless the workflow does so itself."""

    async def take(argument: Any = None) -> Any:
        return await handler(argument)

    def check(argument: Any = None) -> None:
        validator(argument)

    if _claim("update", name, workflow.get_update_handler(name), take):
        _know_signature(take, check)
        workflow.set_update_handler(name, take, validator=check)


def serve_signal(name: str, handler: Callable[[Any], None]) -> None:
    """Serves a signal with one argument from now on, unless the workflow does so itself."""

    def take(argument: Any = None) -> None:
        handler(argument)

    if _claim("signal", name, workflow.get_signal_handler(name), take):
        _know_signature(take)
        workflow.set_signal_handler(name, take)


def _know_signature(*functions: _Handler) -> None:
    """Spares the SDK finding it out anew in each workflow, which takes longer than all else about them."""
    for function in functions:
        function.__annotations__ = {}
        vars(function)["__signature__"] = _ONE_ARGUMENT


async def settle() -> None:
    """Lets an update act in a workflow task of its own, not in the one that has brought it.

    When a task runs live, the server may hand over an update together with earlier workflow tasks that had
    nothing to send; a replay takes them one by one. What an update starts must not depend on which of the two
    it is (seen with SDK 1.35: non-determinism after a worker's restart).
    """
    await workflow.sleep(timedelta(milliseconds=1), summary="takes what a person has said")


def _claim(kind: str, name: str, existing: _Handler | None, handler: _Handler) -> bool:
    """Notes that we serve a name of this workflow from now on, with this handler.

    Returns:
        False where the workflow serves it itself; a handler that we set for an earlier saga of the same
        workflow is replaced.
    """
    served: dict[tuple[str, str], _Handler] = vars(workflow.instance()).setdefault(
        "__counterstep_served__", {}
    )
    if existing is not None and existing != served.get((kind, name)):
        return False
    served[kind, name] = handler
    return True
