"""What a process agent has asked for: each request is made once, whichever of its hosts asks for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

from .host_protocol import HostAnswer


@dataclass(frozen=True, slots=True)
class Made:
    """What came of one request.

    Attributes:
        answer: What its host is told.
        is_kept: Whether a host that asks again gets the same answer; else the request is made again.
        entries: The ledger entries of what it has done that stand.
    """

    answer: HostAnswer
    is_kept: bool = True
    entries: frozenset[str] = frozenset()


class RequestBook:
    """The requests of one run, by key.

    Attributes:
        taken: How many were begun.
    """

    def __init__(self) -> None:
        """Begins with an empty book."""
        self.taken = 0
        self._answers: dict[str, HostAnswer] = {}
        self._effects: dict[str, frozenset[str]] = {}
        self._under_way: dict[str, asyncio.Future[Made]] = {}

    @property
    def under_way(self) -> int:
        """How many requests have no answer yet."""
        return len(self._under_way)

    @property
    def known(self) -> tuple[str, ...]:
        """The keys of the requests whose answers are kept."""
        return tuple(self._answers)

    @property
    def effects(self) -> Mapping[str, frozenset[str]]:
        """By key, the ledger entries of requests that have some."""
        return self._effects

    def answer(self, key: str) -> HostAnswer | None:
        """Returns the answer that is kept; None where there is none."""
        return self._answers.get(key)

    async def once(self, key: str, make: Callable[[], Awaitable[Made]]) -> HostAnswer:
        """Returns the answer to a request, which is made unless it was, or is being made.

        Args:
            key: The request's key.
            make: Makes it; raises nothing but where the workflow ends.
        """
        if key in self._answers:
            return self._answers[key]
        if key in self._under_way:
            return (await asyncio.shield(self._under_way[key])).answer
        self.taken += 1
        future = self._under_way[key] = asyncio.get_running_loop().create_future()
        try:
            made = await make()
        except BaseException:
            future.cancel()
            raise
        finally:
            del self._under_way[key]
        if made.is_kept:
            self._answers[key] = made.answer
        if made.entries:
            self._effects[key] = made.entries
        future.set_result(made)
        return made.answer

    def forget(self, keys: Iterable[str]) -> None:
        """Forgets requests that are undone: who asks for one of them again has it made again."""
        for key in keys:
            self._answers.pop(key, None)
            self._effects.pop(key, None)
