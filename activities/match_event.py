"""Finds the start rules that take an event, and asks their functions for the input of their tasks."""

from __future__ import annotations

from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from ..bundle.events.rule_declaration import RuleDeclaration
from ..bundle.execution import execute
from ..bundle.registry import Registry
from ..observability.queue_check import differing, identity_of_worker
from ..runtime.connection import poller_identities
from ..saga.errors import ExpressionError, FailureType, Fault
from ..saga.events.publication import RuleMatch
from ..saga.events.published_event import PublishedEvent
from ..saga.events.start_rule import StartRule
from ..saga.failure import trim
from ..saga.history_format import MATCH_EVENT, MATCH_JOIN
from ..saga.json_value import write_json
from ..saga.limits.payload_size import MAX_PAYLOAD
from ..saga.names import nearest
from ..saga.spec.input_reads import check_task_input


class EventMatcher:
    """Knows the start rules of one worker."""

    def __init__(self, registry: Registry) -> None:
        """Prepares to match events with the rules of a registry."""
        self._registry = registry
        self._rules = registry.start_rules
        self._tasks = registry.catalog.tasks

    @activity.defn(name=MATCH_EVENT)
    async def match_event(self, told: Any) -> Any:
        """Finds the rules that take an event.

        Args:
            told: A `PublishedEvent` as JSON.

        Returns:
            A list of `RuleMatch` as JSON.

        Raises:
            ApplicationError: No rule takes events of this topic, or the event does not fit some of those that
                do, which are all named.
        """
        event = PublishedEvent.model_validate(told)
        taking = [known for known in self._rules.values() if event.topic in known.rule.topics]
        if not taking:
            topics = [topic for known in self._rules.values() for topic in known.rule.topics]
            message = f"no start rule takes events of {event.topic!r}{nearest(event.topic, topics)}"
            elsewhere = {"others_differ": await self._others_differ()}
            raise ApplicationError(message, elsewhere, type=FailureType.UNKNOWN_TOPIC, non_retryable=True)
        found, refusals = list[RuleMatch](), list[ApplicationError]()
        for known in taking:
            try:
                found.append(await self._match(known, event))
            except ApplicationError as error:
                refusals.append(error)
        if refusals:
            raise _together(refusals)
        return _small([match.model_dump(mode="json") for match in found])

    @activity.defn(name=MATCH_JOIN)
    async def match_join(self, told: Any) -> Any:
        """Makes the input of the task of a join.

        Args:
            told: ``rule``, a `StartRule`, ``key``, and ``payloads`` by topic.

        Returns:
            A `RuleMatch` as JSON.

        Raises:
            ApplicationError: The rule's function refuses the events or is gone, or the task does not take
                what it has made of them.
        """
        rule, payloads = StartRule.model_validate(told["rule"]), told["payloads"]
        known = self._rules.get(rule.name)
        if rule.maps and (known is None or known.function is None):
            message = f"the function of the start rule {rule.name} is gone from the workers"
            raise ApplicationError(message, type=FailureType.REFUSED, non_retryable=True)
        match = await self._made(rule, known if rule.maps else None, told["key"], payloads)
        return _small(match.model_dump(mode="json"))

    async def _others_differ(self) -> bool:
        """Says whether other workers of the queue offer something else, as in a rolling deployment."""
        own = identity_of_worker(self._registry.catalog, "?", self._rules)
        try:
            return bool(
                differing(own, await poller_identities(activity.client(), activity.info().task_queue))
            )
        except RPCError:
            return False

    async def _match(self, known: RuleDeclaration, event: PublishedEvent) -> RuleMatch:
        rule = known.rule
        try:
            key = rule.key_of(event)
        except ExpressionError as error:
            raise _refused(rule.name, [Fault("key", str(error))]) from None
        if rule.is_join:
            return RuleMatch(rule=rule, key=key)
        return await self._made(rule, known, key, event.payload)

    async def _made(self, rule: StartRule, known: RuleDeclaration | None, key: str, given: Any) -> RuleMatch:
        made = given
        if known is not None and known.function is not None:
            try:
                made = write_json(await execute(known.function, {known.function.parameters[0]: given}))
            except ApplicationError as error:
                raise ApplicationError(
                    trim(f"start rule {rule.name}: {error.message}"),
                    type=error.type,
                    non_retryable=error.non_retryable,
                ) from error.__cause__
            if made is None:
                return RuleMatch(rule=rule, key=key, starts=False)
        spec = self._tasks.get(rule.task)
        faults = [] if spec is None else check_task_input(spec, made)
        if faults:
            raise _refused(rule.name, faults)
        return RuleMatch(rule=rule, key=key, input=made if rule.maps else None)


def _refused(rule: str, faults: list[Fault]) -> ApplicationError:
    message = "\n".join(f"start rule {rule}: {fault}" for fault in faults)
    return ApplicationError(trim(message), type=FailureType.INVALID_INPUT, non_retryable=True)


def _together(refusals: list[ApplicationError]) -> ApplicationError:
    """Returns one error for several; what may pass by itself is tried again, unless others are certain."""
    if len(refusals) == 1:
        return refusals[0]
    types = {error.type for error in refusals}
    return ApplicationError(
        trim("\n".join(error.message for error in refusals), 4000),
        type=types.pop() if len(types) == 1 else FailureType.INVALID_INPUT,
        non_retryable=any(error.non_retryable for error in refusals),
    )


def _small(answer: Any) -> Any:
    size = activity.payload_converter().to_payload(answer).ByteSize()
    if size <= MAX_PAYLOAD:
        return answer
    message = f"what the start rules have made of the event has {size} bytes; the most is {MAX_PAYLOAD}"
    raise ApplicationError(message, type=FailureType.PAYLOAD_TOO_LARGE, non_retryable=True)
