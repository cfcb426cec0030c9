"""The limits of the pool, as calls meet them: the buckets of a call, and what it takes from them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from ..saga.expressions.expression import Path, compile_expression
from ..saga.limits.usage import CallUsage
from .rules import MOST_AT_ONCE, NANO, Limit, Unit
from .store import Charge, Full, PoolStore

_MILLISECOND = timedelta(milliseconds=1)


class SharedLimits:
    """The limits of one pool over one store.

    Attributes:
        of_calls: Those that model calls meet.
        of_tasks: Those that tasks meet when they begin.
    """

    def __init__(self, limits: Iterable[Limit], store: PoolStore) -> None:
        """Takes limits.

        Args:
            limits: What is bounded.
            store: Where it is counted.
        """
        found = tuple(limits)
        self.of_calls = tuple(limit for limit in found if limit.unit != "tasks")
        self.of_tasks = tuple(limit for limit in found if limit.unit == "tasks")
        self._store = store
        self._paths = [
            path
            for limit in found
            if limit.key is not None
            for path in compile_expression(limit.key).paths
            if path.root == "task"
        ]

    @property
    def binds(self) -> bool:
        """Whether there are any."""
        return bool(self.of_calls or self.of_tasks)

    @property
    def bounds_costs(self) -> bool:
        """Whether it matters how many tokens a call may come to."""
        return any(limit.unit in ("usd", "tokens") for limit in self.of_calls)

    def read_of(self, task: Any) -> Any:
        """Returns the part of a task's input that keys read, and nothing else of it."""
        part: dict[str, Any] = {}
        for path in self._paths:
            if not path.parts:
                return task
            _copy(path, task, part)
        return part

    async def take_task(self, call: str, task: Any) -> Full | None:
        """Counts a task that begins, for good; returns the bucket that has no room for it.

        Args:
            call: The name of its beginning; the same one counts once.
            task: Its input.

        Raises:
            ExpressionError: A key cannot be evaluated.
            StoreUnreachable: Nobody knows whether there is room.
        """
        charges = [_charge(limit, {"task": task}, 1) for limit in self.of_tasks]
        return await self._store.reserve(call, charges, 0) if charges else None

    async def reserve(
        self, call: str, scope: Mapping[str, Any], most: CallUsage, lease: timedelta
    ) -> Full | None:
        """Reserves what a model call may cost at most; returns the bucket that has no room for it.

        Args:
            call: The name of the call.
            scope: ``task`` and ``agent``.
            most: What it may cost at most.
            lease: How long it may take until it settles.

        Raises:
            ExpressionError: A key cannot be evaluated.
            StoreUnreachable: Nobody knows whether there is room.
        """
        charges = [_charge(limit, scope, amount_of(most, limit.unit)) for limit in self.of_calls]
        return await self._store.reserve(call, charges, lease // _MILLISECOND)

    async def settle(self, call: str, spent: CallUsage) -> None:
        """Replaces what a model call has reserved by what it has cost, once.

        Raises:
            StoreUnreachable: It stays reserved until its windows end.
        """
        amounts = {limit.name: amount_of(spent, limit.unit) for limit in self.of_calls}
        await self._store.settle(call, amounts)

    @property
    def names(self) -> Sequence[str]:
        """What messages call them."""
        return [limit.name for limit in (*self.of_calls, *self.of_tasks)]


def amount_of(usage: CallUsage, unit: Unit) -> int:
    """Returns how much of a unit a call has used; an unknown price is nothing."""
    match unit:
        case "usd":
            usd = min(usage.usd or 0.0, MOST_AT_ONCE / NANO)
            return math.ceil(round(usd * NANO, 3))
        case "tokens":
            return min(usage.input_tokens + usage.output_tokens, MOST_AT_ONCE)
        case _:
            return usage.model_calls


def _charge(limit: Limit, scope: Mapping[str, Any], amount: int) -> Charge:
    per = limit.per // _MILLISECOND
    return Charge(limit.name, limit.label(scope), limit.unit, per, amount, limit.cap)


def _copy(path: Path, source: Any, target: dict[str, Any]) -> None:
    """Copies what is at a path as far as there are mappings; what is below is copied as it is."""
    parts = path.parts
    for depth, part in enumerate(parts):
        if not isinstance(source, Mapping) or part not in source:
            return
        source = source[part]
        if depth == len(parts) - 1 or not isinstance(source, Mapping):
            target[str(part)] = source
            return
        inner = target.setdefault(str(part), {})
        if inner is source:
            return  # another path has all of it
        target = inner
