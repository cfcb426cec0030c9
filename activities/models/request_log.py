"""What the requests of one model call have cost, over all attempts of its activity."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError
from temporalio import activity

from ...saga.agents.model_protocol import ModelSpending
from ...saga.limits.cost_bound import RequestBound
from ...saga.limits.usage import CallUsage

_REQUEST = CallUsage(model_calls=1, input_tokens=0, output_tokens=0, usd=0.0)


class RequestLog:
    """Counts the requests of one attempt on top of those of the attempts before it."""

    def __init__(self, most: RequestBound | None = None) -> None:
        """Takes up where the attempt before this one has ended.

        Args:
            most: What a request counts for of which nobody knows what it has cost, and what all of them may
                come to; None where no budget needs it.
        """
        self._most = most
        self._so_far = ModelSpending()
        if not activity.in_activity():
            return
        info = activity.info()
        if info.heartbeat_details:
            self._so_far = _read(info.heartbeat_details[0])
        # A worker that was killed may have said nothing of its last request.
        missing = info.attempt - 1 - self.spent.model_calls
        for _ in range(missing):
            self._add(_REQUEST)
            self._lose()
        if self._so_far.open:
            self._lose()

    @property
    def spent(self) -> CallUsage:
        """What all requests have consumed."""
        return self._so_far.spent

    def may_ask(self, models: Iterable[str]) -> list[str]:
        """Returns those that have not refused for good."""
        return [model for model in models if model not in self._so_far.refused]

    @property
    def has_room(self) -> bool:
        """Whether one more request keeps within what the call may come to."""
        return self._most is None or not (
            self.spent.input_tokens or self.spent.output_tokens or self.spent.usd
        )

    def begin(self) -> None:
        """Counts a request before it leaves."""
        self._add(_REQUEST)
        self._so_far = self._so_far.model_copy(update={"open": self._most is not None})
        self._tell()

    def answered(self, usage: CallUsage) -> None:
        """Adds the tokens of a request that was counted, and what it cost."""
        self._close()
        self._add(usage.model_copy(update={"model_calls": 0}))
        self._tell()

    def failed(self, model: str, usage: CallUsage | None, *, for_good: bool, lost: bool = False) -> None:
        """Notes that a model has not answered, what that has cost, and whether it is worth asking again.

        Args:
            model: Which.
            usage: What its answer has cost, if there was one.
            for_good: Whether it is not worth asking again.
            lost: Whether it may have answered all the same, and nobody knows what that has cost.
        """
        if lost:
            self._lose()
        self._close()
        if usage is not None:
            self._add(usage.model_copy(update={"model_calls": 0}))
        if for_good:
            refused = (*self._so_far.refused, model)
            self._so_far = self._so_far.model_copy(update={"refused": refused})
        self._tell()

    def as_json(self) -> dict[str, Any]:
        """Returns what was spent."""
        return self._so_far.model_dump(mode="json")

    def _lose(self) -> None:
        """Counts a request as dear as it may have been."""
        if self._most is not None:
            self._add(CallUsage(model_calls=0, **self._most.model_dump()))
        self._close()

    def _close(self) -> None:
        self._so_far = self._so_far.model_copy(update={"open": False})

    def _add(self, usage: CallUsage) -> None:
        self._so_far = self._so_far.model_copy(update={"spent": self.spent.joined(usage)})

    def _tell(self) -> None:
        if activity.in_activity():
            activity.heartbeat(self.as_json())


def _read(details: Any) -> ModelSpending:
    try:
        return ModelSpending.model_validate(details)
    except ValidationError:
        return ModelSpending()
