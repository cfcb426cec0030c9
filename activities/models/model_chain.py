"""Asks the models of one request in turn, as far as breakers and limits let it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from temporalio.exceptions import ApplicationError

from ...saga.agents.model_protocol import ModelReply, ModelRequest
from ...saga.errors import FailureType
from ...saga.limits.usage import CallUsage
from .model_failure import ModelFailure, application_error
from .request_gate import RequestGate, Shut
from .request_log import RequestLog

PATIENCE = 3.0
"""Seconds that a call waits by itself; a longer wait is the task's."""

_POLL = 0.25


@dataclass(frozen=True, slots=True)
class PaidAnswer:
    """What a model has answered.

    Attributes:
        usage: What that has cost.
        read: Reads it; nothing is spent in what it returns.
    """

    usage: CallUsage
    read: Callable[[], ModelReply]


@dataclass(frozen=True, slots=True)
class PreparedRequest:
    """One request that could be sent.

    Attributes:
        most: What it may cost at most.
        send: Sends it.
    """

    most: CallUsage
    send: Callable[[], Awaitable[PaidAnswer | ModelFailure]]


Prepare = Callable[[str, ModelRequest], PreparedRequest | ModelFailure]
"""Prepares the request to a model; a failure where it is not to be asked at all."""


async def ask_in_turn(asked: ModelRequest, prepare: Prepare, gate: RequestGate | None) -> ModelReply:
    """Asks the first model of a request that answers.

    If a model fails for any reason, or may not be asked now, the next one is asked. Nothing is retried in
    here, because retries are Temporal's job. What was paid for is not asked again: an answer that is of no
    use is a reply too.

    Args:
        asked: What is asked, of whom.
        prepare: Prepares a request.
        gate: Breakers and limits; None for none.

    Raises:
        ApplicationError: Every model failed. `ModelUnavailable` is worth a retry, and `ModelRefused` is not.
            `LimitReached` and `BreakerOpen` say when a model may be asked that could not be asked at all, and
            `BudgetExceeded` asks the workflow for more room. The details are a `ModelSpending`.
    """
    log = RequestLog(asked.most)
    failures: list[ModelFailure] = []
    models = log.may_ask(asked.models) or list(asked.models)
    patient_until = time.monotonic() + PATIENCE
    while True:
        shut: dict[str, Shut] = {}
        for model in models:
            outcome = await _ask(model, asked, prepare, gate, log)
            if isinstance(outcome, PaidAnswer):
                return outcome.read().model_copy(update={"usage": log.spent})
            if isinstance(outcome, Shut):
                shut[model] = outcome
            else:
                failures.append(outcome)
        if not shut or any(failure.retryable for failure in failures):
            raise application_error(failures, log.as_json())
        soonest = min(shut.values(), key=lambda found: found.wait)
        pause = _POLL if soonest.may_open_soon else soonest.wait
        if time.monotonic() + pause > patient_until:
            raise soonest.error(log.as_json())
        await asyncio.sleep(pause)
        models = list(shut)


async def _ask(
    model: str, asked: ModelRequest, prepare: Prepare, gate: RequestGate | None, log: RequestLog
) -> PaidAnswer | ModelFailure | Shut:
    if not log.has_room:
        message = "what earlier requests of the call may have cost leaves no room for another one"
        kind = FailureType.BUDGET_EXCEEDED
        raise ApplicationError(message, log.as_json(), type=kind, non_retryable=True)
    request = prepare(model, asked)
    if isinstance(request, ModelFailure):
        log.failed(model, None, for_good=True)
        return request
    admission = await gate.enter(model, request.most) if gate is not None else None
    if isinstance(admission, Shut):
        return admission
    log.begin()
    try:
        outcome = await request.send()
    except BaseException:
        if admission is not None:
            await admission.lost()
        raise
    if isinstance(outcome, ModelFailure):
        log.failed(model, outcome.usage, for_good=not outcome.retryable, lost=outcome.may_have_cost)
        if admission is not None:
            await admission.failed(outcome)
        return outcome
    log.answered(outcome.usage)
    if admission is not None:
        await admission.answered(outcome.usage)
    return outcome
