"""Takes room in the budgets for the requests of model calls, and waits for it where it comes back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from temporalio import workflow

from ...children.allotments import Allotments
from ...failure import Failed
from ...limits.cost_bound import RequestBound
from ...limits.spending import Reservation
from ...limits.usage import Usage
from ...record.task_record import TaskRecord
from ...temporal.stop_scope import StopScope
from .model_room import Appraisal, usage_of

Appraise = Callable[[], Appraisal]
"""Says what a request may come to."""

Need = Callable[[bool], RequestBound | None]
"""What one request may come to; with True, where nothing more will come back, as little as is of any use."""


@dataclass(frozen=True, slots=True)
class Room:
    """What one call has taken out of the budgets.

    Attributes:
        reserved: One reservation for each request.
        bound: What one of them may come to; None where no budget needs it.
    """

    reserved: tuple[Reservation, ...]
    bound: RequestBound | None


class BudgetRooms:
    """The room that the model calls of one task have taken."""

    def __init__(self, record: TaskRecord, allotments: Allotments, *, counts_all: bool) -> None:
        """Begins with none.

        Args:
            record: Holds the budgets.
            allotments: What its children, and itself as a child, may spend.
            counts_all: Whether who may need less than he has taken is waited for.
        """
        self._record = record
        self._allotments = allotments
        self._counts_all = counts_all
        self._kept: dict[str, Reservation] = {}
        self._spare = 0
        self._open = 0
        self._ended = 0

    def drop(self, keeps: str) -> None:
        """Gives back what was kept for a last request; nothing where there is nothing."""
        kept = self._kept.pop(keeps, None)
        if kept is not None:
            self._record.spending.release(kept)

    async def take(
        self,
        step: str,
        path: str,
        wanted: int,
        need: Need,
        scope: StopScope,
        keeps: str | None = None,
        last: Appraise | None = None,
    ) -> Room:
        """Takes room in the budgets for so many requests, or for as many of them as there is room for.

        Not all that was taken may be used. Who finds no room waits for that, and is refused only then.
        """
        asks, at_least, why = self._allotments.can_ask, False, None
        spending = self._record.spending
        while True:
            scope.check(step)
            bound = need(at_least)
            first = usage_of(bound)
            kept = None if last is None else usage_of(None if bound is None else last().after(bound))
            least = first if kept is None else first.joined(kept)
            all_of_it = least.model_copy(update={"model_calls": least.model_calls + wanted - 1})
            try:
                taken = self._take_and_keep(step, path, first, wanted, keeps, kept)
            except Failed as failed:
                refused = await self._allotments.find_room(path, all_of_it, least, lambda: scope.stopped)
                if refused is None:
                    continue
                why = why or refused
                if bound is None or at_least or kept is not None:
                    failure = failed.failure.model_copy(update={"message": why})
                    raise Failed(failure, not_applied=True) from None
                at_least = True  # a shorter answer may do
                continue
            if len(taken) < wanted and asks and spending.own_refusal(path, least) is None:
                # The parent may have enough for the retries as well; it takes what is here for the while.
                asks = False
                self._put_back(taken)
                await self._allotments.ask_parent(all_of_it, least, lambda: scope.stopped)
                continue
            if len(taken) == wanted or (taken and not (self._counts_all and self._spare)):
                self._spare += len(taken) - 1
                self._open += 1
                return Room(tuple(taken), bound)
            # Others have taken more than they may need; a part now could be too little later.
            self._put_back(taken)
            await workflow.wait_condition(partial(self._has_changed, self._ended, scope))

    def _take_and_keep(
        self, step: str, path: str, first: Usage, wanted: int, keeps: str | None, last: Usage | None
    ) -> list[Reservation]:
        """Does what `_take` does, with room that is kept for a last request of the same conversation.

        Raises:
            Failed: There is no room for both; what was kept is kept still.
        """
        if keeps is None:
            return self._take(step, path, first, wanted)
        spending, before, now = self._record.spending, self._kept.pop(keeps, None), None
        if before is not None:
            spending.release(before, for_itself=True)
        taken: list[Reservation] = []
        try:
            if last is not None:
                now = self._record.reserve(step, path, last, waits=True)
            taken = self._take(step, path, first, wanted)
            return taken
        finally:
            if not taken and now is not None:
                spending.release(now, for_itself=True)
                now = None
            if not taken and before is not None:
                now = spending.reserve(path, before.most, waits=True)
            if now is not None:
                self._kept[keeps] = now

    def _take(self, step: str, path: str, first: Usage, wanted: int) -> list[Reservation]:
        taken: list[Reservation] = []
        comes_back = first.tokens > 0 and self._open > 0
        for _ in range(wanted):
            try:
                taken.append(self._record.reserve(step, path, Usage(model_calls=1) if taken else first))
            except Failed:
                if not taken and not self._spare and not comes_back:
                    raise
                break
        return taken

    def _has_changed(self, ended: int, scope: StopScope) -> bool:
        return self._ended != ended or scope.stopped

    def release(self, room: Room) -> None:
        """Ends what `take` began."""
        self._put_back(room.reserved)
        self._spare -= len(room.reserved) - 1
        self._open -= 1
        self._ended += 1

    def _put_back(self, taken: Iterable[Reservation]) -> None:
        for reserved in taken:
            self._record.spending.release(reserved)
