"""Publishes one event: finds the rules that take it, and starts what they name."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RawValue, RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError

from ..engine.opening import may_be_known_elsewhere
from ..errors import FailureType, SpecError
from ..failure import LeftToOthers
from ..history_format import DELIVER_EVENT, MATCH_EVENT
from ..limits.payload_size import MAX_PAYLOAD
from .chain import expect_no_loop, read_chain
from .publication import EventArrival, JoinAnswer, JoinRequest, Publication, RuleMatch, TaskStart, digest_of
from .published_event import PublishedEvent, read_event
from .start_rule import join_id
from .task_start import refusal_of, start_task

ATTEMPTS = RetryPolicy(initial_interval=timedelta(milliseconds=500), maximum_attempts=3)
"""A rule's function that fails in passing is called again; then the event is refused."""

FOR_EVER = RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_interval=timedelta(seconds=10))


async def run_publish(argument: RawValue) -> dict[str, Any]:
    """Publishes an event.

    All rules that take it are asked before anything is started: what one of them refuses has no effect.

    Args:
        argument: A `PublishedEvent` as JSON.

    Returns:
        A `Publication` as JSON.

    Raises:
        ApplicationError: The event is refused: it has another shape, no rule takes its topic, it does not fit
            a rule or the task that it would start, or too many events in a row have led to it.
    """
    event = _event_in(argument)
    led_by = read_chain(workflow.info().headers)
    expect_no_loop(event.topic, led_by)
    chain = (*led_by, event.topic)
    started, joined, ignored = list[TaskStart](), list[JoinAnswer](), list[str]()
    # One after the other: together their inputs might be more than one message may have.
    for match in await _matches(event):
        if match.rule.is_join:
            joined.append(await _joined(match, EventArrival(event=event, chain=chain)))
        elif not match.starts:
            ignored.append(match.rule.name)
        else:
            given = match.input if match.rule.maps else event.payload
            started.append(await start_task(match.rule, match.key, given, chain))
    return Publication(
        topic=event.topic,
        key=event.key,
        digest=digest_of(event.payload),
        started=tuple(started),
        joined=tuple(joined),
        ignored=tuple(ignored),
    ).model_dump(mode="json")


def _event_in(argument: RawValue) -> PublishedEvent:
    size = argument.payload.ByteSize()
    if size > MAX_PAYLOAD:
        message = f"the event has {size} bytes; the most is {MAX_PAYLOAD}"
        raise ApplicationError(message, type=FailureType.PAYLOAD_TOO_LARGE, non_retryable=True)
    try:
        return read_event(workflow.payload_converter().from_payload(argument.payload))
    except SpecError as error:
        raise ApplicationError(str(error), type=FailureType.INVALID_INPUT, non_retryable=True) from None
    except Exception as error:
        message = f"the event is not JSON: {error}"
        raise ApplicationError(message, type=FailureType.INVALID_INPUT, non_retryable=True) from None


async def _matches(event: PublishedEvent) -> list[RuleMatch]:
    try:
        answer = await workflow.execute_local_activity(
            MATCH_EVENT,
            event.model_dump(mode="json"),
            start_to_close_timeout=timedelta(seconds=10),
            retry_policy=ATTEMPTS,
            activity_id="match",
            summary="find the rules that take this event",
        )
    except (ActivityError, ApplicationError) as error:
        refusal = refusal_of(error)
        if _is_for_others(refusal):
            workflow.logger.warning("%s; it is left to the other workers of the queue", refusal.message)
            raise LeftToOthers(refusal.message) from None
        raise refusal from None
    return [RuleMatch.model_validate(match) for match in answer]


def _is_for_others(refusal: ApplicationError) -> bool:
    """Says whether a worker of the queue that offers something else may know the topic."""
    if refusal.type != FailureType.UNKNOWN_TOPIC or not refusal.details:
        return False
    return bool(refusal.details[0]["others_differ"]) and may_be_known_elsewhere()


async def _joined(match: RuleMatch, arrival: EventArrival) -> JoinAnswer:
    """Brings an event to its join, which may have to be started for it; only a client can do both at once."""
    request = JoinRequest(rule=match.rule, key=match.key, arrival=arrival)
    try:
        answer = await workflow.execute_activity(
            DELIVER_EVENT,
            request.model_dump(mode="json"),
            start_to_close_timeout=timedelta(seconds=15),
            retry_policy=FOR_EVER,
            summary=f"bring it to {join_id(match.rule.name, match.key)}"[:200],
        )
    except (ActivityError, ApplicationError) as error:
        raise refusal_of(error) from None
    return JoinAnswer.model_validate(answer)
