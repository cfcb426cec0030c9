"""What an entry of the ledger depends on, directly or not, without a set of its own for each entry."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Any, TypeVar

T = TypeVar("T")


class Needs(Set[str]):
    """The ids that an entry depends on: an immutable set.

    It holds only those that follow from no other one; the rest is found through these when somebody asks.
    Entries that depend on the same share one of these, so that n calls after n others cost n and not n * n,
    and neither do n calls one after another.

    Attributes:
        direct: The ids that follow from no other one, newest first, each with what it depends on itself.
    """

    __slots__ = ("direct",)

    def __init__(self, direct: Mapping[str, Needs]) -> None:
        """Makes the set of what these ids are and depend on."""
        self.direct = direct

    def __iter__(self) -> Iterator[str]:
        seen: set[str] = set()
        for needs in self.walk():
            for name in needs.direct:
                if name not in seen:
                    seen.add(name)
                    yield name

    def walk(self) -> Iterator[Needs]:
        """Yields this one and all that it is made of, each once."""
        visited: set[int] = set()
        stack = [self]
        while stack:
            needs = stack.pop()
            if id(needs) not in visited:
                visited.add(id(needs))
                yield needs
                stack += needs.direct.values()

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return any(name in needs.direct for needs in self.walk())

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Set) and frozenset(self) == frozenset(other))

    def __and__(self, other: Set[Any]) -> frozenset[str]:
        return frozenset(self) & frozenset(other)

    @classmethod
    def _from_iterable(cls, it: Iterable[T]) -> Set[T]:
        return frozenset(it)


NOTHING = Needs({})
"""What the first calls of a task depend on."""
