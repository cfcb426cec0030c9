"""Turns agents elsewhere into activities."""

from __future__ import annotations

import asyncio
import importlib
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError

from ..a2a_client.failures import RemoteAgentAway, RemoteAgentRefused
from ..bundle.current_step import current_step
from ..bundle.foreign.a2a_agent import A2AAgent
from ..mcp_client.results import hidden
from ..observability.redaction import hide, redacted
from ..saga.errors import CounterstepError, FailureType
from ..saga.failure import trim
from ..saga.spec.catalog import AgentEntry
from ..saga.spec.json_schema import check_input, in_short
from .worker_stop import ANOTHER_GOES_ON, unless_stopped

_TEXT = {"type": "string"}

_WANTED = {
    "input_required": "more input, which a task cannot give; put it into the request",
    "auth_required": "other credentials, which a task cannot give; put them into the headers of its A2AAgent",
}


def a2a_activities(
    remotes: Mapping[str, A2AAgent], agents: Mapping[str, AgentEntry]
) -> list[Callable[..., Any]]:
    """Returns one activity for each agent elsewhere; logs hide their secrets.

    Args:
        remotes: The declarations, by full name.
        agents: The entries of all agents, likewise.
    """
    for declared in remotes.values():
        for secret in declared.secrets:
            hide(secret)
    return [_asking(name, declared, agents[name]) for name, declared in remotes.items()]


def _asking(name: str, declared: A2AAgent, entry: AgentEntry) -> Callable[..., Any]:
    @activity.defn(name=name)
    async def ask(request: Any) -> Any:
        if faults := check_input(entry.input_schema, request, "request"):
            raise _final(FailureType.INVALID_INPUT, "; ".join(map(str, faults)))
        # Its task goes on there, and the next worker finds it: one that stops does not have to wait for it.
        left = _failed(FailureType.A2A_FAILED, ANOTHER_GOES_ON, final=False)
        try:
            end = await unless_stopped(_asked(declared, request), left)
        except RemoteAgentAway as error:
            raise _failed(FailureType.A2A_FAILED, str(error), final=False) from None
        except RemoteAgentRefused as error:
            raise _final(FailureType.NOT_APPLIED, str(error)) from None
        except CounterstepError as error:
            raise _final(FailureType.A2A_FAILED, str(error)) from None
        output = hidden(end.output, declared.secrets)
        return _answer(name, end.state, output, end.message, entry)

    return ask


async def _asked(declared: A2AAgent, request: Any) -> Any:
    # The library takes a second to load: workers without such agents never do.
    remote: Any = await asyncio.to_thread(importlib.import_module, "counterstep.a2a_client.asking")
    info = activity.info()
    known = str(info.heartbeat_details[0]) if info.heartbeat_details else ""
    return await remote.ask(
        declared.terms,
        request,
        key=current_step().idempotency_key,
        known=known,
        is_repeat=info.attempt > 1,
        note=activity.heartbeat,
        is_given_up=_is_given_up,
    )


def _is_given_up() -> bool:
    """Says whether nobody goes on with the call; somebody does if this worker was taken for lost."""
    details = activity.cancellation_details()
    if details is None:
        return False
    info = activity.info()
    took = datetime.now(UTC) - info.started_time
    is_too_late = info.start_to_close_timeout is not None and took >= info.start_to_close_timeout
    return details.cancel_requested or is_too_late


def _answer(name: str, state: str, output: Any, message: str, entry: AgentEntry) -> Any:
    said = f": {message}" if message else ""
    match state:
        case "completed":
            pass
        case "rejected":
            # All attempts have one task there: what it has rejected, none of them has done.
            told = trim(redacted(f"{name} has rejected it{said}"))
            raise ApplicationError(told, {"attempt": 1}, type=FailureType.NOT_APPLIED, non_retryable=True)
        case "input_required" | "auth_required":
            raise _final(FailureType.A2A_FAILED, f"{name} wants {_WANTED[state]}{said}")
        case _:
            raise _final(FailureType.A2A_FAILED, f"its task at {name} is {state}{said}")
    if entry.output_schema != _TEXT and isinstance(output, str):
        try:
            output = json.loads(output)
        except ValueError:
            raise _final(FailureType.INVALID_OUTPUT, f"{name} has answered with text, and not JSON") from None
    if entry.output_schema == _TEXT and not isinstance(output, str):
        output = json.dumps(output, ensure_ascii=False)
    if faults := check_input(entry.output_schema, output, "output"):
        raise _final(FailureType.INVALID_OUTPUT, in_short(faults))
    return output


def _final(type_: FailureType, message: str) -> ApplicationError:
    return _failed(type_, message, final=True)


def _failed(type_: FailureType, message: str, *, final: bool) -> ApplicationError:
    attempt = {"attempt": activity.info().attempt}  # that nothing happened is believed of the first only
    return ApplicationError(trim(redacted(message)), attempt, type=type_, non_retryable=final)
