"""The saga that people write by hand today: five steps, and undos in reverse when one fails."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from temporalio import activity, workflow
from temporalio.common import RetryPolicy, SearchAttributeKey
from temporalio.exceptions import ApplicationError

NAMES = ("a", "b", "c", "d", "e")


@activity.defn
async def put_by_hand(what: str, fails: bool) -> dict[str, str]:
    """Does one step."""
    if fails:
        raise ApplicationError("no room", non_retryable=True)
    return {"what": what}


@activity.defn
async def take_back_by_hand(placed: dict[str, str]) -> None:
    """Undoes one step."""
    assert placed["what"]


@workflow.defn
class SagaByHand:
    """Runs the steps one after another; `fails` makes the fifth fail, so that four are undone."""

    @workflow.run
    async def run(self, fails: bool) -> dict[str, Any]:
        """Runs the saga."""
        done: list[dict[str, str]] = []
        outputs: dict[str, Any] = {}
        options: dict[str, Any] = {
            "start_to_close_timeout": timedelta(seconds=60),
            "heartbeat_timeout": timedelta(seconds=10),
            "retry_policy": RetryPolicy(maximum_attempts=4),
        }
        try:
            for name in NAMES:
                args: list[Any] = [name, fails and name == NAMES[-1]]
                placed = await workflow.execute_activity(put_by_hand, args=args, **options)
                done.append(placed)
                outputs[name] = placed
        except Exception:
            self.tell("compensating", NAMES[-1])
            for placed in reversed(done):
                await workflow.execute_activity(take_back_by_hand, placed, **options)
            self.tell("rolled_back", None)
            raise
        return outputs

    def tell(self, state: str, step: str | None) -> None:
        """Tells nobody."""


STATE = SearchAttributeKey.for_keyword("SagaState")
STEP = SearchAttributeKey.for_keyword("SagaStep")
TASK = SearchAttributeKey.for_keyword("SagaTask")


@workflow.defn
class SagaInSearch(SagaByHand):
    """The same saga, found by its state as each task of Counterstep is."""

    @workflow.run
    async def run(self, fails: bool) -> dict[str, Any]:
        """Runs the saga."""
        return await super().run(fails)

    def tell(self, state: str, step: str | None) -> None:
        """Writes its state for searches."""
        at = STEP.value_unset() if step is None else STEP.value_set(step)
        workflow.upsert_search_attributes([STATE.value_set(state), at])


ACTIVITIES: list[Callable[..., Any]] = [put_by_hand, take_back_by_hand]
