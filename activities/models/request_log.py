"""What the requests of one model call have cost, over all attempts of its activity."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from temporalio import activity

from ...saga.limits.usage import CallUsage

_REQUEST = CallUsage(model_calls=1, input_tokens=0, output_tokens=0, usd=0.0)


class ModelSpending(BaseModel):
    """What was spent so far: travels in heartbeats to the next attempt, and with the last failure.

    Attributes:
        spent: Requests, and the tokens of those that were answered.
        refused: The models that will not answer this request, however often they are asked.
    """

    model_config = ConfigDict(frozen=True)

    spent: CallUsage = CallUsage(model_calls=0, input_tokens=0, output_tokens=0, usd=0.0)
    refused: tuple[str, ...] = ()


class RequestLog:
    """Counts the requests of one attempt on top of those of the attempts before it."""

    def __init__(self) -> None:
        """Takes up where the attempt before this one has ended."""
        self._so_far = ModelSpending()
        if not activity.in_activity():
            return
        info = activity.info()
        if info.heartbeat_details:
            self._so_far = _read(info.heartbeat_details[0])
        # A worker that was killed may have said nothing of its last request.
        missing = info.attempt - 1 - self.spent.model_calls
        if missing > 0:
            self._add(_REQUEST.model_copy(update={"model_calls": missing}))

    @property
    def spent(self) -> CallUsage:
        """What all requests have consumed."""
        return self._so_far.spent

    def may_ask(self, models: Iterable[str]) -> list[str]:
        """Returns those that have not refused for good."""
        return [model for model in models if model not in self._so_far.refused]

    def begin(self) -> None:
        """Counts a request before it leaves."""
        self._add(_REQUEST)
        self._tell()

    def answered(self, usage: CallUsage) -> None:
        """Adds the tokens of a request that was counted, and what it cost."""
        self._add(usage.model_copy(update={"model_calls": 0}))
        self._tell()

    def failed(self, model: str, usage: CallUsage | None, *, for_good: bool) -> None:
        """Notes that a model has not answered, what that has cost, and whether it is worth asking again."""
        if usage is not None:
            self._add(usage.model_copy(update={"model_calls": 0}))
        if for_good:
            refused = (*self._so_far.refused, model)
            self._so_far = self._so_far.model_copy(update={"refused": refused})
        self._tell()

    def as_json(self) -> dict[str, Any]:
        """Returns what was spent."""
        return self._so_far.model_dump(mode="json")

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
