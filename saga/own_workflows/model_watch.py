"""The model calls that agents of a framework make inside of a saga: counted when they have happened."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from temporalio import workflow

from ..counted import counted
from ..engine.run_context import RunContext
from ..errors import FailureType
from ..failure import Failed, Failure
from ..limits.payload_size import MAX_PAYLOAD
from ..limits.spending import Reservation
from ..limits.usage import CallUsage, Usage
from ..record.costs_of_calls import count_model_call
from ..record.task_state import ENDED
from ..temporal.activity_watch import ActivityInput, HandleT, InputT
from ..temporal.call_failed import CallFailed


@dataclass(frozen=True, slots=True)
class ModelUse:
    """What one activity of a framework has asked models.

    Attributes:
        agent: Who has asked; empty where that is not known.
        model: The model; empty where that is not known.
        usage: What it has consumed.
    """

    agent: str
    model: str
    usage: CallUsage


@dataclass(frozen=True, slots=True)
class ModelActivities:
    """How the model calls of one framework are known, and read.

    Attributes:
        matches: Whether an activity asks a model, or may ask one.
        read: What it has consumed, from what it was started with and its result, which is None where it has
            failed. It returns None where no model was asked.
        told_by_result: Whether only its first result tells that an activity of a type asks a model.
    """

    matches: Callable[[ActivityInput], bool]
    read: Callable[[ActivityInput, Any], ModelUse | None]
    told_by_result: bool = False


class ModelWatch:
    """Counts the model calls of frameworks in the budget of one saga; refuses them when it is used up.

    What a call costs is known only when it has ended: the last one may go over the budget.
    """

    def __init__(self, context: RunContext) -> None:
        """Watches for a saga that is run with `context`."""
        self._record = context.record
        self._load = context.load
        self._kinds: list[ModelActivities] = []
        self._known: set[str] = set()

    def add(self, kind: ModelActivities) -> None:
        """Counts one more kind of activities; one that is counted already is not counted twice."""
        if kind not in self._kinds:
            self._kinds.append(kind)

    def start(self, input: InputT, start: Callable[[InputT], HandleT]) -> HandleT:
        """Starts an activity, see `ActivityWatch`.

        Raises:
            CallFailed: It asks a model, and the saga's budget is used up, its history is full, or the
                conversation is too long.
            asyncio.CancelledError: It asks a model, and the workflow was asked to cancel.
        """
        kind = next((kind for kind in self._kinds if kind.matches(input)), None)
        if kind is None or self._record.state in ENDED:
            return start(input)
        if kind.told_by_result and input.activity not in self._known:
            handle = start(input)
            handle.add_done_callback(partial(self._find_out, kind, input))
            return handle
        if workflow.cancellation_reason() is not None and not self._record.committed:
            # Their loops may take a cancelled tool for one that has failed, and go on.
            raise asyncio.CancelledError("the workflow was cancelled")
        try:
            self._expect_room(input.args)
            reserved = self._record.reserve("", "", Usage(model_calls=1))
        except Failed as failed:
            raise CallFailed(failed.failure, in_framework=True) from None
        try:
            handle = start(input)
        except BaseException:
            self._record.spending.release(reserved)
            raise
        handle.add_done_callback(partial(self._count, kind, input, reserved))
        return handle

    def _expect_room(self, args: Sequence[Any]) -> None:
        if self._load.is_history_full(self._record.ledger.count_open()):
            message = "the history of the task has room left for its undos only"
            raise Failed(Failure(step="", type=FailureType.HISTORY_FULL, message=message))
        size = sum(payload.ByteSize() for payload in workflow.payload_converter().to_payloads(args))
        if size > MAX_PAYLOAD:
            message = f"the conversation with a model has {size} bytes; the most is {MAX_PAYLOAD}"
            raise Failed(Failure(step="", type=FailureType.CONVERSATION_TOO_LONG, message=message))

    def _count(
        self,
        kind: ModelActivities,
        input: ActivityInput,
        reserved: Reservation,
        handle: asyncio.Task[Any],
    ) -> None:
        if not workflow.in_workflow():  # thrown away, as by an eviction
            return
        has_failed = handle.cancelled() or handle.exception() is not None
        self._record.spending.release(reserved)
        use = kind.read(input, None if has_failed else handle.result())
        if use is not None:
            self._spend(use, has_failed=has_failed)

    def _find_out(self, kind: ModelActivities, input: ActivityInput, handle: asyncio.Task[Any]) -> None:
        """Counts an activity whose result shows that it has asked a model; its type is known then."""
        if not workflow.in_workflow() or handle.cancelled() or handle.exception() is not None:
            return
        use = kind.read(input, handle.result())
        if use is not None:
            self._known.add(input.activity)
            self._spend(use, has_failed=False)

    def _spend(self, use: ModelUse, *, has_failed: bool) -> None:
        model = use.model or "the default model"
        count_model_call(self._record, "", "", model, use.usage)
        tokens = use.usage.input_tokens + use.usage.output_tokens
        told = "no answer" if has_failed else counted(tokens, "token")
        self._record.log.add(use.agent or "an agent", f"asks {model}", "", told)
        self._record.refresh()
