"""What every call of a task gets on the activity side: its key, heartbeats, a bounded result, and jitter."""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from temporalio import activity
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError
from temporalio.worker import (
    ActivityInboundInterceptor,
    ActivityOutboundInterceptor,
    ExecuteActivityInput,
)

from ..bundle.current_step import CURRENT_STEP, CurrentStep
from ..bundle.raised import OUR_TYPES, as_application_error
from ..pool_limits.pool import Pool
from ..saga.calls.headers import CallHeader
from ..saga.errors import FailureType
from ..saga.events.chain import LED_BY, read_chain
from ..saga.failure import trim
from ..saga.history_format import HEADER, MODEL_CALLS
from ..saga.json_value import MASKED, is_masked_in
from ..saga.limits.payload_size import MAX_PAYLOAD
from ..saga.temporal.carried import carried
from ..saga.temporal.untraced import Untraced
from .tool_breaker import behind_breaker

logger = logging.getLogger("counterstep.calls")

JITTER = 0.2
"""Retries wait between 80 % and 120 % of their time: calls that failed together do not return together."""


class CallInterceptor(ActivityInboundInterceptor):
    """Prepares and bounds each activity that the engine has scheduled; others pass untouched."""

    def __init__(self, next: ActivityInboundInterceptor, pool: Pool | None = None) -> None:
        """Wraps the inner interceptors.

        Args:
            next: The next one.
            pool: Has the breakers of the tools, and is told how long they take; None for none.
        """
        super().__init__(next)
        self._breakers = None if pool is None else pool.breakers
        self._latencies = None if pool is None else pool.latencies

    def init(self, outbound: ActivityOutboundInterceptor) -> None:
        """See base class."""
        self._heartbeats = _Heartbeats(outbound)
        super().init(self._heartbeats)

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        """See the module."""
        if led_by := read_chain(input.headers):
            LED_BY.set(led_by)
        payload = input.headers.get(HEADER)
        if payload is None:
            return await super().execute_activity(input)
        header = CallHeader.model_validate_json(payload.data)
        info = activity.info()
        step = CurrentStep(header.key, header.task_id or info.workflow_id or "", header.step, info.attempt)
        # It is never reset: the context is this call's own, and the SDK's logs after a failure need it too.
        CURRENT_STEP.set(step)
        started = time.monotonic()
        self._heartbeats.start(info.heartbeat_timeout)
        try:
            breakers = self._breakers if header.effect is not None else None  # an undo is never held up
            if breakers is not None and breakers.guards(info.activity_type):
                run = partial(super().execute_activity, input)
                result = _measured(await behind_breaker(breakers, run), header)
            else:
                result = _measured(await super().execute_activity(input), header)
            took = time.monotonic() - started
            logger.info("%s took %.3f s", info.activity_type, took)
            self._measure(info, header, took)
            return result
        except ApplicationError as error:
            raise _told(error, header, info.attempt) from carried(error.__cause__)
        except Exception as error:
            raise _jittered(as_application_error(error), header, info.attempt) from carried(error)
        except asyncio.CancelledError:
            took = time.monotonic() - started
            if info.start_to_close_timeout and took >= info.start_to_close_timeout.total_seconds():
                self._measure(info, header, took)
            raise
        finally:
            self._heartbeats.stop()

    def _measure(self, info: activity.Info, header: CallHeader, seconds: float) -> None:
        """Notes how long a tool has taken, or for how long it was waited; models are measured one by one."""
        forward = header.effect is not None and info.activity_type not in MODEL_CALLS
        if self._latencies is not None and forward:
            self._latencies.note(info.activity_type, seconds)


class _Heartbeats(ActivityOutboundInterceptor):
    """Sends the heartbeats of the user's code from any thread, and our own, which repeat its last details."""

    def __init__(self, next: ActivityOutboundInterceptor) -> None:
        super().__init__(next)
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._details: Sequence[Any] = next.info().heartbeat_details
        self._timer: asyncio.TimerHandle | None = None

    def heartbeat(self, *details: Any) -> None:
        self._details = details
        if threading.get_ident() == self._loop_thread:
            self._send()
        else:
            self._loop.call_soon_threadsafe(self._send)

    def start(self, timeout: timedelta | None) -> None:
        if timeout is not None:
            self._timer = self._loop.call_later(timeout.total_seconds() / 3, self._beat, timeout)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _beat(self, timeout: timedelta) -> None:
        self._send()
        self.start(timeout)

    def _send(self) -> None:
        # Not activity.heartbeat(): for a plain activity in a thread, that waits for this loop and blocks it.
        self.next.heartbeat(*self._details)


def _measured(result: Any, header: CallHeader) -> RawValue:
    payload = activity.payload_converter().to_payload(result)
    if header.compensation and is_masked_in(result, payload.data):
        # The undo would be given asterisks in place of what the call has made.
        message = f"the result of {activity.info().activity_type}: {MASKED}"
        raise ApplicationError(message, type=FailureType.INVALID_OUTPUT, non_retryable=True)
    size = payload.ByteSize()
    limit = min(header.max_result, MAX_PAYLOAD)
    if size > limit:
        # Temporal would treat a result that is too large as an ordinary failure and repeat the call.
        message = f"the result of {activity.info().activity_type} has {size} bytes; the most is {limit}"
        raise ApplicationError(message, type=FailureType.PAYLOAD_TOO_LARGE, non_retryable=True)
    return RawValue(payload)


def _told(error: ApplicationError, header: CallHeader, attempt: int) -> ApplicationError:
    told = _jittered(_small(error), header, attempt)
    if error.__cause__ is not None:
        return told  # what has led to it says where it was raised
    if told.type in OUR_TYPES:
        return Untraced.of(told, activity.payload_converter())
    return told.with_traceback(error.__traceback__)


def _small(error: ApplicationError) -> ApplicationError:
    details = error.details
    try:
        size = sum(p.ByteSize() for p in activity.payload_converter().to_payloads(list(details)))
    except Exception:
        # What cannot be written would take the place of the error itself, and of whether it is final.
        details, size = (), 0
    return ApplicationError(
        trim(str(error.message)),
        *(details if size <= 10_000 else ()),
        type=error.type,
        non_retryable=error.non_retryable,
        next_retry_delay=error.next_retry_delay,
        category=error.category,
    )


def _jittered(error: ApplicationError, header: CallHeader, attempt: int) -> ApplicationError:
    retry = header.retry
    if retry is None or error.non_retryable or error.next_retry_delay is not None:
        return error
    longest = retry.max.total_seconds()
    delay = min(longest, retry.initial.total_seconds() * retry.factor ** min(attempt - 1, 50))
    delay *= random.uniform(1 - JITTER, 1 + JITTER)
    return ApplicationError(
        error.message, *error.details, type=error.type, next_retry_delay=timedelta(seconds=delay)
    )
