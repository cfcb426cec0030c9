"""What a new plan changes of one that was begun."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..record.plan_book import ItemRecord
from .plan_faults import ancestors_of
from .planned_item import PlannedItem


@dataclass(frozen=True, slots=True)
class PlanChange:
    """What becomes of the items of a plan when another one takes its place.

    Attributes:
        kept: The keys of those that stay untouched.
        changed: Of those that are in both plans and are undone and done again.
        vanished: Of those that are in the old plan only, and are undone.
        new: Of those that are in the new plan only.
    """

    kept: tuple[str, ...]
    changed: tuple[str, ...]
    vanished: tuple[str, ...]
    new: tuple[str, ...]

    @property
    def undone(self) -> tuple[str, ...]:
        """The keys of all that are undone."""
        return (*self.changed, *self.vanished)

    def __str__(self) -> str:
        said = {
            "keeps": self.kept,
            "does again": self.changed,
            "undoes": self.vanished,
            "adds": self.new,
        }
        return "; ".join(f"{word} {', '.join(keys)}" for word, keys in said.items() if keys)


def plan_change(
    begun: Mapping[str, ItemRecord], items: Sequence[PlannedItem], *, closure: bool
) -> PlanChange:
    """Compares a plan with what was begun of the one before.

    Early cut-off as in build systems (Mokhov, Mitchell, Peyton Jones: Build Systems a la Carte, section 2.3):
    what would be called with the same input is not called again.

    Args:
        begun: What runs or has ended, by key.
        items: The new plan, without faults.
        closure: Whether what comes after something that is done again is done again, too; else only where
            it is given that one's result.
    """
    ancestors = ancestors_of(items)
    vanished = tuple(key for key in begun if key not in ancestors)
    anew = {item.key for item in items if item.key not in begun}
    changed: set[str] = set()
    # What comes after an item has more before it than that: so this is an order in which they may run.
    for item in sorted(items, key=lambda item: len(ancestors[item.key])):
        if item.key in anew:
            continue
        differs = begun[item.key].likeness != item.likeness
        follows = closure or item.uses_results
        fed = follows and not (anew | changed).isdisjoint(item.after)
        left = follows and not set(vanished).isdisjoint(begun[item.key].after)
        if differs or fed or left:
            changed.add(item.key)
    return PlanChange(
        kept=tuple(item.key for item in items if item.key in begun and item.key not in changed),
        changed=tuple(item.key for item in items if item.key in changed),
        vanished=vanished,
        new=tuple(item.key for item in items if item.key in anew),
    )
