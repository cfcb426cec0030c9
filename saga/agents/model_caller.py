"""Model calls of one task: budget before, usage after."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from temporalio import workflow
from temporalio.common import RawValue

from ..calls.call import Call, as_json
from ..calls.caller import Caller
from ..calls.headers import CallOwner
from ..effect import Effect
from ..errors import FailureType
from ..failure import Failed, Failure, trim
from ..history_format import CALL_MODEL
from ..limits.budget import Budget
from ..record.task_record import TaskRecord
from ..spec.retry import DEFAULT_TIMEOUT, Retry
from ..temporal.stop_scope import StopScope
from .model_protocol import ModelReply, ModelRequest

MODEL_RETRY = Retry(attempts=6, initial=timedelta(seconds=1), factor=2, max=timedelta(seconds=30))
"""Providers recover from overload in seconds to a minute; a retry-after of theirs goes first."""

SPENT_ON_MODELS = 0.9
"""The part of an attempt's time that the models share; the rest is for the worker."""


class ModelCaller:
    """Asks models on behalf of one task."""

    def __init__(self, record: TaskRecord, caller: Caller) -> None:
        """Prepares to ask models for one task.

        Args:
            record: Holds the budget and what was spent.
            caller: Makes the calls.
        """
        self._record = record
        self._caller = caller
        self._spare = 0
        self._ended = 0

    async def ask(
        self,
        step: str,
        path: str,
        round_: int,
        request: ModelRequest,
        scope: StopScope,
        summary: str,
        *,
        timeout: timedelta = DEFAULT_TIMEOUT,
        retry: Retry = MODEL_RETRY,
        task_queue: str | None = None,
        owner: CallOwner | None = None,
    ) -> ModelReply:
        """Makes one model call and counts what it cost.

        Args:
            step: The id of the step.
            path: The call's place in the task.
            round_: 1, plus 1 for each re-run after an undo.
            request: What to ask, of whom; its models share the time.
            scope: The part of the task that it belongs to.
            summary: What the Web UI shows beside the activity type.
            timeout: The longest one attempt may take, all models of the chain together.
            retry: How often and how fast it is tried; a provider's retry-after goes first.
            task_queue: A bulkhead, or None for the task's own queue.
            owner: The ledger entry of the agent that asks, or None.

        Returns:
            The answer.

        Raises:
            Failed: The budget is used up, or no model has answered.
            Stopped: The scope was stopped.
        """
        models = request.models[: await self._reserve(step, len(request.models), scope)]
        # A model that hangs must fail in time for the next one to be asked in the same attempt.
        share = SPENT_ON_MODELS * timeout.total_seconds() / len(models)
        request = request.model_copy(update={"models": models, "timeout": round(share, 3)})
        try:
            call = Call(
                step=step,
                path=path,
                activity=CALL_MODEL,
                args=(request.model_dump(mode="json", exclude_defaults=True),),
                effect=Effect.READ_ONLY,
                round=round_,
                timeout=timeout,
                retry=retry,
                task_queue=task_queue,
                summary=summary,
                owner=owner,
            )
            reply = _read(step, await self._caller.call(call, scope))
        finally:
            self._release(len(models))
        self._record.spend(step, reply.model, reply.usage)
        return reply

    async def set_aside(self, step: str, most: int, scope: StopScope) -> tuple[int, Budget]:
        """Takes a part of the budget out for calls that are made elsewhere.

        Args:
            step: The id of the step.
            most: How many calls these are at most.
            scope: The part of the task that they belong to.

        Returns:
            What to `give_back` when they are made, and the budget for them.

        Raises:
            Failed: The budget is used up.
            Stopped: The scope was stopped.
        """
        budget = self._record.spending.budget
        if self._record.committed:
            return 0, Budget()
        held = await self._reserve(step, 1 if budget.model_calls is None else most, scope)
        calls = None if budget.model_calls is None else held
        return held, budget.left(self._record.spending.usage).model_copy(update={"model_calls": calls})

    def give_back(self, held: int) -> None:
        """Ends what `set_aside` began."""
        if held:
            self._release(held)

    async def _reserve(self, step: str, wanted: int, scope: StopScope) -> int:
        """Takes room in the budget for so many calls, or for as many of them as there is room for.

        Not all that was taken may be used. Who finds no room waits for that, and is refused only then.
        """
        while True:
            scope.check(step)
            taken = self._take(step, wanted)
            if taken:
                self._spare += taken - 1
                return taken
            await workflow.wait_condition(partial(self._has_changed, self._ended, scope))

    def _take(self, step: str, wanted: int) -> int:
        for taken in range(wanted):
            try:
                self._record.reserve_model_call(step)
            except Failed:
                if not taken and not self._spare:
                    raise
                return taken
        return wanted

    def _has_changed(self, ended: int, scope: StopScope) -> bool:
        return self._ended != ended or scope.stopped

    def _release(self, taken: int) -> None:
        for _ in range(taken):
            self._record.spending.release_call()
        self._spare -= taken - 1
        self._ended += 1


def _read(step: str, answer: RawValue) -> ModelReply:
    try:
        return ModelReply.model_validate(as_json(answer))
    except (ValueError, RuntimeError) as error:
        # JSON may be nested more deeply than the converter reads, though it has written it.
        message = trim(f"the model's answer cannot be read: {error}", 500)
        raise Failed(Failure(step=step, type=FailureType.INVALID_OUTPUT, message=message)) from None
