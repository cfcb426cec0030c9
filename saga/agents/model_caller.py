"""Model calls of one task: budget before, usage after."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ActivityError, ApplicationError, TimeoutError

from ..calls.call import Call, as_json
from ..calls.caller import Caller
from ..calls.headers import CallOwner
from ..calls.timeouts_and_retries import DEFAULT_TIMEOUT, MODEL_RETRY
from ..children.allotments import Allotments
from ..effect import Effect
from ..errors import FailureType
from ..failure import Failed, Failure, trim
from ..history_format import CALL_MODEL
from ..limits.budget import Budget
from ..limits.usage import CallUsage
from ..record.task_record import TaskRecord
from ..spec.retry import Retry
from ..temporal.stop_scope import StopScope
from .model_protocol import ModelReply, ModelRequest

SPENT_ON_MODELS = 0.9
"""The part of an attempt's time that the models share; the rest is for the worker."""


class ModelCaller:
    """Asks models on behalf of one task."""

    def __init__(self, record: TaskRecord, caller: Caller, allotments: Allotments, engine: int) -> None:
        """Prepares to ask models for one task.

        Args:
            record: Holds the budget and what was spent.
            caller: Makes the calls.
            allotments: What its children, and itself as a child, may spend.
            engine: See `Snapshot`.
        """
        self._counts_all = engine >= 2
        self._record = record
        self._caller = caller
        self._allotments = allotments
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
        wanted = self._most_requests(request, retry)
        taken = await self._reserve(step, wanted, scope)
        models = request.models[:taken]
        if self._counts_all and taken < wanted:
            retry = retry.model_copy(update={"attempts": max(1, taken // len(models))})
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
            answer = await self._caller.call(call, scope)
        except Failed as failed:
            spent = _spent(failed)
            if spent is not None and self._counts_all:
                self._record.spend(step, models[0], spent, path)
            raise
        finally:
            self._release(taken)
        reply = self._read(step, path, models[0], answer)
        self._record.spend(step, reply.model, reply.usage, path)
        return reply

    def _most_requests(self, request: ModelRequest, retry: Retry) -> int:
        """Returns how many requests a call may need: retries count against a budget of calls, too."""
        bounded = self._record.spending.budget.model_calls is not None and not self._record.committed
        return len(request.models) * (retry.attempts if bounded and self._counts_all else 1)

    def _read(self, step: str, path: str, model: str, answer: RawValue) -> ModelReply:
        try:
            return ModelReply.model_validate(as_json(answer))
        except (ValueError, RuntimeError) as error:
            # JSON may be nested more deeply than the converter reads, though it has written it.
            if self._counts_all:
                unknown = CallUsage(model_calls=1, input_tokens=0, output_tokens=0)
                self._record.spend(step, model, unknown, path)
            message = trim(f"the model's answer cannot be read: {error}", 500)
            raise Failed(Failure(step=step, type=FailureType.INVALID_OUTPUT, message=message)) from None

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
        left = budget.left(self._record.spending.usage)
        return held, left.model_copy(update={"model_calls": calls})

    def give_back(self, held: int) -> None:
        """Ends what `set_aside` began."""
        if held:
            self._release(held)

    async def _reserve(self, step: str, wanted: int, scope: StopScope) -> int:
        """Takes room in the budget for so many calls, or for as many of them as there is room for.

        Not all that was taken may be used. Who finds no room waits for that, and is refused only then.
        """
        asks = self._allotments.can_ask
        while True:
            scope.check(step)
            try:
                taken = self._take(step, wanted)
            except Failed as failed:
                why = await self._allotments.find_room(wanted, lambda: scope.stopped)
                if why is None:
                    continue
                raise Failed(failed.failure.model_copy(update={"message": why}), not_applied=True) from None
            if taken < wanted and asks and self._record.spending.own_refusal() is None:
                # The parent may have enough for the retries as well; it takes what is here for the while.
                asks = False
                for _ in range(taken):
                    self._record.spending.release_call()
                await self._allotments.ask_parent(wanted, lambda: scope.stopped)
                continue
            if taken == wanted or (taken and not (self._counts_all and self._spare)):
                self._spare += taken - 1
                return taken
            # Others have taken more than they may need; a part now could be too little later.
            for _ in range(taken):
                self._record.spending.release_call()
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


def _spent(failed: Failed) -> CallUsage | None:
    """Returns what the requests of a failed call have cost, where its last attempt has told."""
    error = failed.__cause__
    cause = error.cause if isinstance(error, ActivityError) else None
    told = cause.details if isinstance(cause, ApplicationError) else ()
    if isinstance(cause, TimeoutError):
        told = cause.last_heartbeat_details
    try:
        return CallUsage.model_validate(told[0]["spent"])
    except (LookupError, TypeError, ValueError):
        return None
