"""The explorer's part in a worker: records what each call really did, and breaks the planned one."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from functools import wraps
from typing import Any, Final

from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)

from ...bundle.function import Function
from ...mcp_client.requests import ServerRequests
from ...saga.calls.activity_failure import NOTHING_HAPPENED
from ...saga.calls.headers import CallHeader
from ...saga.errors import CounterstepError, FailureType
from ...saga.history_format import HEADER, MODEL_CALLS
from ...saga.ledger.call_id import in_ledger_of_root
from .effect_ledger import EffectLedger
from .fault import FaultKind, role_of
from .quick_calls import CALL_LIMIT, LATE, QuickCalls

_POLL_SECONDS: Final = 0.02

_GARBLED: ContextVar[list[Any] | None] = ContextVar("counterstep_garbled", default=None)
"""Where a function that is to return garbage leaves its real result."""


class InjectedFault(CounterstepError):
    """The error with which a broken call fails."""


class FaultInterceptor(Interceptor):
    """Breaks calls, inside of `CounterstepInterceptor`, which prepares and bounds them first."""

    def __init__(self, ledger: EffectLedger) -> None:
        """Prepares the interceptor of one worker.

        Args:
            ledger: The file that holds the planned faults, and in which everything that happens is recorded.
        """
        self._ledger = ledger

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """See base class."""
        return _Injector(next, self._ledger)

    def workflow_interceptor_class(
        self, input: WorkflowInterceptorClassInput
    ) -> type[WorkflowInboundInterceptor] | None:
        """See base class."""
        return QuickCalls


def make_garblable(function: Function) -> None:
    """Lets a bundle's function return a value of a wrong type where the plan says so; changes it in place."""
    function.call = _garblable_async(function) if function.is_async else _garblable(function)


class _Injector(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, ledger: EffectLedger) -> None:
        super().__init__(next)
        self._ledger = ledger

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        payload = input.headers.get(HEADER)
        if payload is None:
            return await super().execute_activity(input)
        header = CallHeader.model_validate_json(payload.data)
        info = activity.info()
        run, point = _place(info.workflow_id or "", info.activity_id)
        visit = self._ledger.begin(
            run,
            point,
            activity=info.activity_type,
            role=role_of(header),
            key=header.key,
            step=header.step,
            compensation=header.compensation,
            attempt=info.attempt,
            input=input.args[0] if input.args else None,
        )
        kind = self._ledger.planned(run, point)
        if kind is None:
            return await self._enter(visit, input)
        return await self._broken(kind, run, visit, info.attempt, input)

    async def _broken(
        self, kind: FaultKind, run: str, visit: int, attempt: int, input: ExecuteActivityInput
    ) -> Any:
        again = self._ledger.is_broken(run)
        match kind:
            case FaultKind.FAIL_BEFORE | FaultKind.FAIL_EVER:
                self._ledger.mark(visit, "fault")
                raise InjectedFault(f"{kind}, injected by the fault explorer")
            case FaultKind.FAIL_AFTER:
                await self._enter(visit, input)
                self._ledger.mark(visit, "fault")
                raise InjectedFault(f"{kind}, injected by the fault explorer")
            case FaultKind.FAIL_TWICE if attempt <= 2:
                if attempt == 2:
                    await self._enter(visit, input)
                self._ledger.mark(visit, "fault")
                raise InjectedFault(f"{kind}, injected by the fault explorer")
            case FaultKind.HANG:
                self._ledger.mark(visit, "fault")
                await _outlast_timeout()
            case FaultKind.GARBAGE:
                return await self._garbage(visit, input)
            case FaultKind.CANCEL if not again:
                self._ledger.mark(visit, "fault")
                await self._wait_at_gate(run)
            case FaultKind.KILL_BEFORE if not again:
                self._ledger.mark(visit, "fault")
                os.kill(os.getpid(), signal.SIGKILL)
            case FaultKind.KILL_AFTER if not again:
                await self._enter(visit, input)
                self._ledger.mark(visit, "fault")
                os.kill(os.getpid(), signal.SIGKILL)
        return await self._enter(visit, input)

    async def _enter(self, visit: int, input: ExecuteActivityInput, real: Sequence[Any] = ()) -> Any:
        self._ledger.mark(visit, "entered")
        try:
            result = await super().execute_activity(input)
        except ApplicationError as error:
            self._ledger.mark(visit, _outcome(error), real[-1] if real else None)
            raise
        except BaseException:
            self._ledger.mark(visit, "failed")
            raise
        self._ledger.mark(visit, "done", result)
        return result

    async def _garbage(self, visit: int, input: ExecuteActivityInput) -> Any:
        self._ledger.mark(visit, "fault")
        if activity.info().activity_type in MODEL_CALLS:
            reply = await self._enter(visit, input)
            kept = {name: reply[name] for name in ("model", "usage")}
            return {**kept, "content": "%", "invalid": "The answer is not JSON."}
        real: list[Any] = []
        token = _GARBLED.set(real)
        try:
            return await self._enter(visit, input, real)
        finally:
            _GARBLED.reset(token)

    async def _wait_at_gate(self, run: str) -> None:
        self._ledger.wait_at_gate(run)
        while not self._ledger.gate(run):  # noqa: ASYNC110 (the other side is another process)
            await asyncio.sleep(_POLL_SECONDS)


def _place(workflow_id: str, activity_id: str) -> tuple[str, str]:
    """Returns the run that an activity belongs to, and what it is called there.

    A child's call gets the id that it has in its parent's ledger later: ``CHILD/ROUND/PATH#ROUND``.
    """
    run, _, child = workflow_id.partition("/")
    return run, in_ledger_of_root(child, activity_id) if child else activity_id


def _outcome(error: ApplicationError) -> str:
    if error.type in NOTHING_HAPPENED:
        return "refused"
    # The function has returned; only its value is of no use.
    return "done" if error.type == FailureType.INVALID_OUTPUT else "failed"


async def _outlast_timeout() -> None:
    """Waits until the attempt has timed out and ignores requests to stop, as a call that hangs would."""
    timeout = activity.info().start_to_close_timeout or CALL_LIMIT
    end = time.monotonic() + (timeout + LATE).total_seconds()
    while (left := end - time.monotonic()) > 0:
        try:
            await asyncio.sleep(left)
        except asyncio.CancelledError:
            continue


def make_answers_garblable(requests: ServerRequests) -> None:
    """Lets MCP servers answer with a value of a wrong type where the plan says so; changes it in place."""

    def received(value: Any) -> Any:
        real = _GARBLED.get()
        if real is None:
            return value
        real.append(value)
        return ["neither an object nor a text"]

    requests.received = received


def _garblable(function: Function) -> Callable[..., Any]:
    call = function.call

    @wraps(call)
    def garblable(**arguments: Any) -> Any:
        return _garbled(function, call(**arguments))

    return garblable


def _garblable_async(function: Function) -> Callable[..., Any]:
    call = function.call

    @wraps(call)
    async def garblable(**arguments: Any) -> Any:
        return _garbled(function, await call(**arguments))

    return garblable


def _garbled(function: Function, result: Any) -> Any:
    real = _GARBLED.get()
    if real is None:
        return result
    real.append(function.dump(result))
    return object()
