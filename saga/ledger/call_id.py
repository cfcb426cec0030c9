"""The id of a call: where in its task it is made, and for which time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

_UNDO = "undo"
_BEFORE = "before"


@dataclass(frozen=True, slots=True)
class CallId:
    """Names one call of a task; written as ``PATH#ROUND``.

    It is the activity id of the call and the id of its ledger entry, so recorded histories hold it. A path
    has one segment for each step and call around it: ``trip/book[2]/tool.1`` is the first tool call of the
    agent that runs as the third item of the step ``book`` in the group ``trip``. An undo is
    ``PATH/undo#ROUND``. In the ledger of a parent, the call of a child workflow has the child's path and
    round in front of its own: ``CHILD/ROUND/PATH#ROUND``.

    Attributes:
        path: Where the call is made.
        round: 1 for the first call at the path, plus 1 for each one after an undo.
    """

    path: str
    round: int = 1

    @classmethod
    def parse(cls, text: str) -> CallId:
        """Reads ``PATH#ROUND``.

        Raises:
            ValueError: It is not written like that.
        """
        path, _, round_ = text.rpartition("#")
        return cls(path, int(round_))

    def __str__(self) -> str:
        return f"{self.path}#{self.round}"

    def within(self, segment: str) -> CallId:
        """Returns the id of a call that is made inside of this one, in the same round."""
        return CallId(f"{self.path}/{segment}", self.round)

    @property
    def undo(self) -> CallId:
        """The id of the call that undoes this one."""
        return self.within(_UNDO)

    @property
    def before(self) -> CallId:
        """The id of the call that reads, before this one, what its undo will put back."""
        return self.within(_BEFORE)

    @property
    def forward(self) -> CallId:
        """The id of the call that this one undoes, or reads for."""
        return CallId(self.path.rpartition("/")[0], self.round)

    @property
    def is_undo(self) -> bool:
        """Whether this is the undo of a call."""
        return self.segments[-1] == _UNDO and len(self.segments) > 1

    @property
    def is_before(self) -> bool:
        """Whether this call reads what an undo will put back."""
        return self.segments[-1] == _BEFORE and len(self.segments) > 1

    @property
    def segments(self) -> list[str]:
        """The parts of the path, the outermost first."""
        return self.path.split("/")

    @property
    def step_ids(self) -> list[str]:
        """The parts of the path without the numbers of items."""
        return [segment.partition("[")[0] for segment in self.segments]

    def is_inside(self, other: CallId) -> bool:
        """Says whether this call is made by `other`, as a tool call is made by its agent."""
        return self.path.startswith(f"{other.path}/")

    def is_under(self, path: str) -> bool:
        """Says whether this is the call at `path`, an item of it, or inside of it."""
        return self.path == path or self.path.startswith((f"{path}/", f"{path}["))

    def in_child(self, id_: str) -> str:
        """Returns what a call of the child that this call has started is named by the parent."""
        return f"{self.path}/{self.round}/{id_}"

    def with_children(self) -> Iterator[CallId]:
        """Yields this id, and that of each child workflow that the call was made in."""
        yield self
        segments = self.segments
        for at, segment in enumerate(segments):
            if segment.isdecimal():
                yield CallId("/".join(segments[:at]), int(segment))


def label_of(id_: str) -> str:
    """Returns how people are told of a call: by its path, and by its round where that is not the first."""
    return id_.removesuffix("#1")


def in_ledger_of_root(children: str, id_: str) -> str:
    """Returns what the ledger of a task names a call of its child, or of a child of that.

    Args:
        children: What the workflow id of the child has behind the id of the task, e.g. ``trip#1/book#2``.
        id_: The id of the call in the child.
    """
    return f"{children.replace('#', '/')}/{id_}"
