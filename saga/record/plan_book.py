"""What a task remembers of plans: what was begun of them, and which steps may have to be done again."""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_serializer

from ..failure import Failure
from ..ledger.entry import Entry
from ..ledger.rewiring import with_replaced
from .step_record import StepState


@dataclass(slots=True)
class ItemRecord:
    """One item that was begun; it stays until it is undone, also while the plan is made anew.

    Attributes:
        likeness: What it is compared by with the item of the same key in another plan.
        after: The keys of those that it came after.
        value: The item itself.
        state: Running, or how it has ended.
        output: Its output; None while it runs, and where it was skipped.
        index: Its place in the plan.
    """

    likeness: str
    after: tuple[str, ...] = ()
    value: Any = None
    state: StepState = StepState.RUNNING
    output: Any = None
    index: int = 0


@dataclass(slots=True)
class EarlierRun:
    """What a step came to before it was done again: whoever reads it is asked only where that differs.

    Attributes:
        output: Its output.
        entries: Its ledger entries, which are undone when it has come to something new.
    """

    output: Any
    entries: tuple[str, ...] = ()


class Doubt(BaseModel):
    """Steps of one graph of which it is not known yet whether they have to be done again.

    Attributes:
        failure: Why they may have to.
        steps: Their ids.
        again: Those of them of which that is known.
        feedback: What those that are done again are told.
        earlier: What the steps that are done again just now came to before.
    """

    failure: Failure
    steps: set[str] = Field(default_factory=set)
    again: set[str] = Field(default_factory=set)
    feedback: list[dict[str, Any]] = Field(default_factory=list)
    earlier: dict[str, EarlierRun] = Field(default_factory=dict)

    @field_serializer("steps", "again")
    def _in_order(self, ids: set[str]) -> list[str]:
        return sorted(ids)


class CarriedPlans(BaseModel):
    """A `PlanBook` on its way into a continued run; the attributes are those of the book."""

    model_config = ConfigDict(frozen=True)

    items: dict[str, dict[str, ItemRecord]] = Field(default_factory=dict)
    doubts: dict[str, Doubt] = Field(default_factory=dict)


class PlanBook:
    """What a task remembers of its plans.

    Attributes:
        items: By the path of a step, what was begun of its plan and stands, by key.
        doubts: By the path of a group, with a slash at the end (empty for the task itself), which of its
            steps may have to be done again.
    """

    def __init__(self) -> None:
        """Opens an empty book."""
        self.items: dict[str, dict[str, ItemRecord]] = {}
        self.doubts: dict[str, Doubt] = {}
        self._replaced: dict[str, frozenset[str]] = {}

    @property
    def spared(self) -> frozenset[str]:
        """The ledger entries of steps from before they are done again."""
        earlier = [run for doubt in self.doubts.values() for run in doubt.earlier.values()]
        return frozenset(entry_id for run in earlier for entry_id in run.entries)

    def begun_at(self, path: str) -> dict[str, ItemRecord]:
        """Returns what was begun of the plan at a path, by key; what is changed there is remembered."""
        return self.items.setdefault(path, {})

    def forget(self, path: str) -> None:
        """Forgets the plans at a path and inside of it: what was done of them is undone."""
        inside = (f"{path}/", f"{path}[")
        self.items = {at: b for at, b in self.items.items() if at != path and not at.startswith(inside)}

    def forget_items(self, paths: Iterable[str]) -> None:
        """Forgets single items, each by its path: what was done of them is undone."""
        gone = set(paths)
        for at, begun in self.items.items():
            for key in [key for key in begun if f"{at}[{key}]" in gone]:
                del begun[key]

    def replace(self, old: Set[str], new: Set[str]) -> None:
        """Has calls that were about to build on entries `old` build on `new` ones."""
        self._replaced.update(dict.fromkeys(old, frozenset(new)))

    def current(self, entry: Entry) -> Entry:
        """Returns an entry that builds on nothing that was replaced."""
        if not self._replaced or self._replaced.keys().isdisjoint(entry.depends_on):
            return entry
        return replace(entry, depends_on=self.current_ids(entry.depends_on))

    def current_ids(self, ids: Set[str]) -> frozenset[str]:
        """Returns ids with those that were replaced by what has replaced them."""
        return with_replaced(ids, self._replaced)

    def carried(self) -> CarriedPlans:
        """Returns it for a continued run."""
        return CarriedPlans(items={path: b for path, b in self.items.items() if b}, doubts=self.doubts)

    def restore(self, carried: CarriedPlans) -> None:
        """Takes over what an earlier run remembered."""
        self.items = {path: dict(begun) for path, begun in carried.items.items()}
        self.doubts = dict(carried.doubts)
