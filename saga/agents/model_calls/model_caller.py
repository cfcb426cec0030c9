"""Model calls of one task: budget before, usage after."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import cache, partial
from typing import Any

from temporalio.common import RawValue

from ...calls.call import Call, as_json
from ...calls.caller import Caller
from ...calls.headers import CallOwner
from ...calls.limit_waits import LimitWaits
from ...calls.timeouts_and_retries import DEFAULT_TIMEOUT, MODEL_RETRY
from ...children.allotments import Allotments
from ...effect import Effect
from ...errors import FailureType
from ...failure import Failed, Failure, trim
from ...history_format import CALL_MODEL, HOSTED_MODEL
from ...ledger.call_id import CallId
from ...limits.budget import Budget
from ...limits.cost_bound import RequestBound
from ...limits.usage import CallUsage
from ...record.costs_of_calls import count_model_call
from ...record.task_record import TaskRecord
from ...spec.retry import Retry
from ...spec.snapshot import Snapshot
from ...temporal.stop_scope import StopScope
from ..model_protocol import ModelReply, ModelRequest, ModelSpending
from .budget_rooms import Appraise, BudgetRooms, Room
from .lost_requests import told_by, unanswered, with_unknown
from .model_prices import ModelPrices
from .model_room import SHORTEST_ANSWER, Appraisal, Heard

SPENT_ON_MODELS = 0.9
"""The part of an attempt's time that the models share; the rest is for the worker."""

_ON_A_HOST: Mapping[str, Any] = {"schedule_to_start_timeout": timedelta(seconds=5)}
"""A host takes its requests at once, or it is gone."""


class ModelCaller:
    """Asks models on behalf of one task."""

    def __init__(
        self,
        record: TaskRecord,
        caller: Caller,
        allotments: Allotments,
        limit_waits: LimitWaits,
        snapshot: Snapshot,
    ) -> None:
        """Prepares to ask models for one task.

        Args:
            record: Holds the budget and what was spent.
            caller: Makes the calls.
            allotments: What its children, and itself as a child, may spend.
            limit_waits: Lets calls wait for limits of the pool.
            snapshot: Knows what models may cost, and what limits of the pool read.
        """
        self._counts_all = snapshot.engine >= 2
        self._reserves_tokens = snapshot.engine >= 4
        self._knows_unasked = snapshot.engine >= 7
        self._record = record
        self._caller = caller
        self._prices = ModelPrices(snapshot.models, caller)
        self._looks_up = snapshot.engine >= 8
        self._limit_waits = limit_waits
        self._pool = snapshot.pool
        self._rooms = BudgetRooms(record, allotments, counts_all=self._counts_all)

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
        heard: Heard | None = None,
        keeps: str | None = None,
        is_last: bool = False,
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
            heard: What the conversation so far has come to; None where it begins.
            keeps: For what room is kept for a last request of this conversation, beside that for this one,
                until `drop` is called with the same; None for nothing.
            is_last: Whether this is the one for which it was kept.

        Returns:
            The answer.

        Raises:
            Failed: The budget is used up, or no model has answered.
            Stopped: The scope was stopped.
        """
        while True:
            if self._looks_up and self._left_for(path).prices_matter:
                await self._prices.look_up(request.models, step, CallId(path, round_))
            requests = self._most_requests(request, retry, path)
            # The whole conversation is measured only where a budget needs it.
            appraise = cache(partial(Appraisal.of, request, self._prices.known, heard))
            need = partial(self._need, path, appraise)
            last = None if keeps is None or is_last else appraise
            room = await self._rooms.take(step, path, requests, need, scope, keeps, last)
            asked, tries = self._within(room, request, requests, timeout, retry)
            call = Call(
                step=step,
                path=path,
                activity=CALL_MODEL if request.hosted is None else HOSTED_MODEL,
                args=(asked.model_dump(mode="json", exclude_defaults=True),),
                effect=Effect.READ_ONLY,
                round=round_,
                timeout=timeout,
                retry=tries,
                task_queue=task_queue,
                summary=summary,
                owner=owner,
                options={} if request.hosted is None else _ON_A_HOST,
            )
            try:
                answer = await self._call(call, room, scope)
            except Failed as failed:
                told = self._settle(call, asked, failed)
                out_of_room = failed.failure.type == FailureType.BUDGET_EXCEEDED and told is not None
                if told is None or (failed.until is None and not out_of_room):
                    raise
                # What was really asked counts as attempts, whatever lies between them.
                retry = _fewer(retry, told, len(asked.models))
                models = tuple(model for model in request.models if model not in told.refused)
                if out_of_room and not (retry.attempts and models):
                    raise unanswered(step, asked) from failed
                if not retry.attempts:
                    raise
                if failed.until is not None:
                    await self._limit_waits.outlast(step, path, failed, scope)
                else:
                    request = request.model_copy(update={"models": models})
                continue
            reply = self._read(step, path, asked.models[0], answer)
            count_model_call(self._record, step, path, reply.model, reply.usage)
            return reply

    async def _call(self, call: Call, room: Room, scope: StopScope) -> RawValue:
        """Makes a call for which there is room, and gives that back, however it ends."""
        try:
            return await self._caller.call(call, scope)
        finally:
            self._rooms.release(room)

    def _within(
        self, room: Room, request: ModelRequest, wanted: int, timeout: timedelta, retry: Retry
    ) -> tuple[ModelRequest, Retry]:
        """Returns the request and its retries as the room allows them."""
        taken = len(room.reserved)
        models = request.models[:taken]
        if self._counts_all and taken < wanted:
            retry = retry.model_copy(update={"attempts": max(1, taken // len(models))})
        # A model that hangs must fail in time for the next one to be asked in the same attempt.
        share = SPENT_ON_MODELS * timeout.total_seconds() / len(models)
        changes: dict[str, Any] = {
            "models": models,
            "timeout": round(share, 3),
            "most": room.bound,
            "pool": self._pool,
        }
        if room.bound is not None:
            changes["max_tokens"] = room.bound.output_tokens
        return request.model_copy(update=changes), retry

    def _most_requests(self, request: ModelRequest, retry: Retry, path: str) -> int:
        """Returns how many requests a call may need: retries count against a budget of calls, too."""
        spending = self._record.spending
        budget = spending.left(path) if self._reserves_tokens else spending.budget
        bounded = budget.model_calls is not None and not self._record.committed
        return len(request.models) * (retry.attempts if bounded and self._counts_all else 1)

    def _left_for(self, path: str) -> Budget:
        """Returns what is left for a call; nothing is bounded where no room is taken in tokens or dollars."""
        if not self._reserves_tokens or self._record.committed:
            return Budget()
        return self._record.spending.left(path)

    def _need(self, path: str, appraise: Appraise, at_least: bool) -> RequestBound | None:
        left = self._left_for(path)
        if not left.prices_matter:
            return None
        appraisal = appraise()
        if at_least:
            return appraisal.bound(max(SHORTEST_ANSWER, appraisal.longest_within(left)))
        others_wait = self._record.spending.has_calls_under_way
        return appraisal.bound(appraisal.fair(left, others_wait=others_wait))

    def _settle(self, call: Call, asked: ModelRequest, failed: Failed) -> ModelSpending | None:
        """Counts what a call has cost that gave no answer; what nobody knows counts as what it may be."""
        if not self._counts_all:
            return None
        told = told_by(failed)
        # A host that is gone has not even taken its request.
        if self._reserves_tokens and not (self._knows_unasked and failed.not_applied):
            told = with_unknown(told, call, asked, failed)
        if told is not None:
            count_model_call(self._record, call.step, call.path, asked.models[0], told.spent)
        return told

    def _read(self, step: str, path: str, model: str, answer: RawValue) -> ModelReply:
        try:
            return ModelReply.model_validate(as_json(answer))
        except (ValueError, RuntimeError) as error:
            # JSON may be nested more deeply than the converter reads, though it has written it.
            if self._counts_all:
                unknown = CallUsage(model_calls=1, input_tokens=0, output_tokens=0)
                count_model_call(self._record, step, path, model, unknown)
            message = trim(f"the model's answer cannot be read: {error}", 500)
            raise Failed(Failure(step=step, type=FailureType.INVALID_OUTPUT, message=message)) from None

    async def set_aside(self, step: str, most: int, scope: StopScope) -> tuple[Room, Budget]:
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
            return Room((), None), Budget()
        wanted = 1 if budget.model_calls is None else most
        room = await self._rooms.take(step, step, wanted, lambda at_least: None, scope)
        calls = None if budget.model_calls is None else len(room.reserved)
        left = budget.left(self._record.spending.usage)
        return room, left.model_copy(update={"model_calls": calls})

    def give_back(self, room: Room) -> None:
        """Ends what `set_aside` began."""
        if room.reserved:
            self._rooms.release(room)

    def drop(self, keeps: str) -> None:
        """Gives back what was kept for a last request; nothing where there is nothing."""
        self._rooms.drop(keeps)


def _fewer(retry: Retry, told: ModelSpending, models: int) -> Retry:
    """Returns the attempts that are left when so many requests to so many models have been made."""
    made = -(-told.spent.model_calls // models)
    return retry.model_copy(update={"attempts": max(0, retry.attempts - made)})
