"""Waits for several events about the same thing, and starts one task when all of them are there."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ActivityError, ApplicationError

from ..errors import FailureType
from ..fault_texts import faults_in
from ..history_format import MATCH_JOIN
from ..limits.payload_size import MAX_PAYLOAD
from ..temporal.handlers import settle
from .publication import EventArrival, JoinAnswer, RuleMatch, TaskStart
from .publish_run import ATTEMPTS
from .start_rule import StartRule, join_id
from .task_start import refusal_of, start_task

MOST_UPDATES = 500
"""Events that one run answers, repeated ones included; the server takes at most 2000 updates a history."""

_ROOM = 10_000
"""Bytes beside the events in what a join carries into its next run."""


class JoinTerms(BaseModel):
    """What a join is started with, and what it carries when it continues as new.

    Attributes:
        rule: What it waits for, and what it starts.
        key: What the events are about.
        deadline: Until when it waits; None until its first run has begun.
        arrived: The first event of each topic.
    """

    model_config = ConfigDict(frozen=True)

    rule: StartRule
    key: str
    deadline: datetime | None = None
    arrived: dict[str, EventArrival] = {}


class JoinRun:
    """One run of a join; its updates may come before it has begun."""

    def __init__(self, terms: RawValue) -> None:
        """Prepares the run of a join with these terms, which are read when they are needed."""
        self._said_terms = terms
        self._answer: JoinAnswer | None = None
        self._updates = 0
        self._lock = asyncio.Lock()

    @cached_property
    def _terms(self) -> JoinTerms:
        terms: JoinTerms = _read(JoinTerms, self._said_terms)
        return terms

    @cached_property
    def _arrived(self) -> dict[str, EventArrival]:
        # An event may come before the run has begun; and a replay does not ask `expect_arrival`.
        return dict(self._terms.arrived)

    async def run(self) -> dict[str, Any]:
        """Waits until the join has come to its end.

        Returns:
            A `JoinAnswer` as JSON, which is what late events are told.

        Raises:
            ApplicationError: It was started with other terms than those of a join.
        """
        within = self._terms.rule.within or timedelta(0)
        deadline = self._terms.deadline or workflow.info().start_time + within
        left = max(deadline - workflow.now(), timedelta(0))
        try:
            await workflow.wait_condition(
                lambda: self._answer is not None or self._is_full(), timeout=left, timeout_summary="within"
            )
        except TimeoutError:
            async with self._lock:
                self._answer = self._answer or self._said("expired")
        await workflow.wait_condition(workflow.all_handlers_finished)
        if self._answer is None:
            carried = self._terms.model_copy(update={"deadline": deadline, "arrived": self._arrived})
            workflow.continue_as_new(carried.model_dump(mode="json"))
        return self._answer.model_dump(mode="json")

    def expect_arrival(self, said: RawValue) -> None:
        """Refuses, before it is in history, what is not the arrival of an event that the join waits for."""
        topic = _read(EventArrival, said).event.topic
        if topic not in self._terms.rule.topics:
            message = f"{self._terms.rule.name} does not wait for {topic!r}"
            raise ApplicationError(message, type=FailureType.REFUSED, non_retryable=True)

    async def arrive(self, said: RawValue) -> dict[str, Any]:
        """Takes an event.

        Returns:
            A `JoinAnswer` as JSON: what the event has come to.

        Raises:
            ApplicationError: It is refused, and the join waits as if it had not come.
        """
        arrival = _read(EventArrival, said)
        self._updates += 1
        async with self._lock:
            return (await self._taken(arrival)).model_dump(mode="json")

    async def _taken(self, arrival: EventArrival) -> JoinAnswer:
        topic = arrival.event.topic
        if self._answer is not None:
            return self._answer.model_copy(update={"is_new": False})
        if topic in self._arrived:
            return self._said("waiting", is_new=False)
        together = {**self._arrived, topic: arrival}
        self._expect_small(together)
        if len(together) == len(self._terms.rule.topics):
            self._answer = await self._started(together)
        self._arrived = together
        return self._answer or self._said("waiting")

    async def _started(self, together: dict[str, EventArrival]) -> JoinAnswer:
        # What only waits does without this: a timer may take the server a second.
        await settle()
        rule, key = self._terms.rule, self._terms.key
        payloads = {topic: together[topic].event.payload for topic in rule.topics}
        try:
            answer = await workflow.execute_local_activity(
                MATCH_JOIN,
                {"rule": rule.model_dump(mode="json"), "key": key, "payloads": payloads},
                start_to_close_timeout=timedelta(seconds=10),
                retry_policy=ATTEMPTS,
                summary="make the input of the task",
            )
        except (ActivityError, ApplicationError) as error:
            raise refusal_of(error) from None
        match = RuleMatch.model_validate(answer)
        if not match.starts:
            return self._said("ignored", complete=True)
        longest = max((arrival.chain for arrival in together.values()), key=len)
        given = match.input if rule.maps else payloads
        task = await start_task(rule, key, given, longest)
        return self._said("started", complete=True, task=task)

    def _said(
        self, state: Any, *, complete: bool = False, task: TaskStart | None = None, is_new: bool = True
    ) -> JoinAnswer:
        rule = self._terms.rule
        missing = () if complete else tuple(topic for topic in rule.topics if topic not in self._arrived)
        id = join_id(rule.name, self._terms.key)
        return JoinAnswer(rule=rule.name, id=id, state=state, missing=missing, task=task, is_new=is_new)

    def _expect_small(self, together: dict[str, EventArrival]) -> None:
        said = {topic: arrival.model_dump(mode="json") for topic, arrival in together.items()}
        size = workflow.payload_converter().to_payloads([said])[0].ByteSize()
        if size > MAX_PAYLOAD - _ROOM:
            message = f"the events of one join have {size} bytes; the most is {MAX_PAYLOAD - _ROOM}"
            raise ApplicationError(message, type=FailureType.PAYLOAD_TOO_LARGE, non_retryable=True)

    def _is_full(self) -> bool:
        """Says whether it is time for another run: for a new history, or for the current version's code."""
        info = workflow.info()
        return (
            self._updates >= MOST_UPDATES
            or info.is_continue_as_new_suggested()
            or info.is_target_worker_deployment_version_changed()
        )


def _read(kind: Any, said: RawValue) -> Any:
    try:
        return kind.model_validate(workflow.payload_converter().from_payload(said.payload))
    except ValidationError as error:
        message = f"this is sent by counterstep.publish only: {faults_in(error)}"
    except Exception as error:
        message = f"this is not JSON: {error}"
    raise ApplicationError(message, type=FailureType.INVALID_INPUT, non_retryable=True) from None
