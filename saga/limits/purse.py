"""What the parent of a workflow lets it spend."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import BaseModel, ConfigDict

from .budget import Budget
from .usage import Usage


class Allotment(BaseModel):
    """A part of the parent's budget, as it travels to a child.

    Attributes:
        most: The most that the child may spend in all its life; what it has spent already counts. No limits
            where the parent has none, and only what earlier runs have spent goes along.
        spent: What earlier runs of it have spent, where its record does not tell.
    """

    model_config = ConfigDict(frozen=True)

    most: Budget
    spent: Usage = Usage()


class Purse:
    """The allotment of the running workflow, which all its sagas spend together.

    Attributes:
        most: See `Allotment`; lower while more is asked for, and higher once that is granted.
    """

    def __init__(self, allotment: Allotment) -> None:
        """Starts with what the parent has given at the start."""
        self.most = allotment.most
        self._spent = allotment.spent
        self._spenders: list[Callable[[], Usage]] = []

    def share(self, total: Callable[[], Usage]) -> None:
        """Lets one more saga spend from it, which says what it has spent and promised."""
        self._spenders.append(total)

    def total(self) -> Usage:
        """Returns what is spent, under way or promised to children."""
        spent = self._spent
        for total in self._spenders:
            spent = spent.joined(total())
        return spent

    def left(self) -> Budget:
        """Returns what may still be spent."""
        return self.most.left(self.total())

    def give_back(self) -> Usage:
        """Keeps no more than what is spent, under way or promised, and returns that."""
        total = self.total()
        self.most = self.most.left(self.most.used_up()).over(total)
        return total
