"""The requests of a process whose bodies stay with its host: in memory, and in no history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ....saga.agents.hosted_body import Dialect


@dataclass(frozen=True, slots=True)
class ProviderRefusal:
    """What a provider has said in place of an answer.

    Attributes:
        status: The HTTP status; None where it was not reached, or not in time.
        message: Its words, without anything that could be a key.
    """

    status: int | None
    message: str


@dataclass(slots=True)
class _Request:
    dialect: Dialect
    body: dict[str, Any]
    answer: dict[str, Any] | None = None
    refusal: ProviderRefusal | None = None


class HostedBodies:
    """What one host has to send, and what came back, by the keys of the requests."""

    def __init__(self) -> None:
        """Holds nothing yet."""
        self._requests: dict[str, _Request] = {}

    def put(self, key: str, dialect: Dialect, body: dict[str, Any]) -> None:
        """Takes a request that is about to be announced."""
        self._requests[key] = _Request(dialect, body)

    def body(self, key: str) -> tuple[Dialect, dict[str, Any]]:
        """Returns how a request is written, and its body; raises `KeyError` where it is another host's."""
        request = self._requests[key]
        return request.dialect, request.body

    def keep(self, key: str, answer: dict[str, Any]) -> None:
        """Keeps an answer until the process has it; nothing where nobody waits for it any more."""
        if key in self._requests:
            self._requests[key].answer = answer

    def refuse(self, key: str, refusal: ProviderRefusal) -> None:
        """Keeps why there is none; the last reason counts."""
        if key in self._requests:
            self._requests[key].refusal = refusal

    def take(self, key: str) -> tuple[dict[str, Any] | None, ProviderRefusal | None]:
        """Returns what has become of a request, and forgets it."""
        request = self._requests.pop(key, None)
        return (None, None) if request is None else (request.answer, request.refusal)
