"""What all patterns of teams have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, NamedTuple

from pydantic import SerializerFunctionWrapHandler, model_serializer, model_validator

from ...errors import ExpressionError
from ...expressions.expression import SCOPE, compile_expression
from ...names import nearest
from ..fields import SpecModel
from .member import Person, key_of

OnLimit = Literal["fail", "finish", "escalate"]
"""What follows when a team has reached a limit: it fails; one last call sums up what there is, and the result
is marked as degraded; or a person is asked."""


class Seat(NamedTuple):
    """One place in a team.

    Attributes:
        path: Where it is written, e.g. ``members[1]`` or ``judge``.
        member: Who sits there: the full name of an agent, or a person.
        independent: Whether it judges the others, so that its model must not be one of theirs.
    """

    path: str
    member: str | Person
    independent: bool = False

    @property
    def key(self) -> str:
        """What the team calls the member."""
        return key_of(self.member)


class Cost(NamedTuple):
    """How many turns of its members a team takes.

    Attributes:
        least: Where everything goes well at once.
        most: Whatever happens; a call that sums up at the end, and repairs of nonsense, not counted.
        formula: How both come about, e.g. ``members * rounds``.
    """

    least: int
    most: int
    formula: str


def misread(path: str, source: str | None, scope: Sequence[str]) -> list[tuple[str, str]]:
    """Returns what is wrong with an expression of a team, as `Pattern.faults` does.

    Args:
        path: Where it is written.
        source: The expression; None where there is none.
        scope: What it may read.
    """
    if source is None:
        return []
    try:
        paths = compile_expression(source).paths
    except ExpressionError as error:
        if not error.unknown:
            return [(path, str(error))]
        message = str(error).removesuffix(nearest(error.unknown, SCOPE))
        return [(path, f"{message}{nearest(error.unknown, scope)}")]
    return [
        (path, f"{read} cannot be read here; there are {', '.join(scope)}")
        for read in paths
        if read.root not in scope
    ]


class Pattern(SpecModel, ABC):
    """A team: several agents that answer as one, and are used like one agent.

    Attributes:
        name: Its name in the bundle; empty for a team that is written in a step.
        description: What it does, in one sentence.
        input: The type of its input, or a JSON Schema; None for any JSON object.
        output: The type of its answer, or a JSON Schema, which then every member's answer has to fit that may
            become the team's; None for what the members answer.
        on_limit: What follows when it has reached a limit of its own.
    """

    pattern: str
    name: str = ""
    description: str = ""
    input: Any = None
    output: Any = None
    on_limit: OnLimit = "fail"

    by_role: ClassVar[bool] = False
    """Whether one agent may sit in several places."""

    @abstractmethod
    def seats(self) -> tuple[Seat, ...]:
        """Returns everybody who may be asked."""

    @abstractmethod
    def cost(self) -> Cost:
        """Returns how many turns it takes."""

    def faults(self) -> list[tuple[str, str]]:
        """Returns which of its parameters do not go together, each as a path and what is wrong there."""
        return []

    def reads(self) -> dict[str, str | None]:
        """Returns its expressions over the answers of its members, by where they are written."""
        return {}

    @model_validator(mode="after")
    def _parameters_go_together(self) -> Pattern:
        seats = self.seats()
        for at, seat in enumerate(seats):
            for other in seats[:at]:
                if other.key == seat.key and (other.member != seat.member or not self.by_role):
                    both = f"{seat.path} and {other.path} are both called {seat.key!r}"
                    raise ValueError(f"{both}; names in a team are unique")
        faults = [*self.faults()]
        for path, source in self.reads().items():
            faults += misread(path, source, ("output",))
        if faults:
            raise ValueError("; ".join(f"{path}: {message}" for path, message in faults))
        return self

    @model_serializer(mode="wrap")
    def _with_pattern(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # What has its default is left out in histories, and this tells the patterns apart.
        return {"pattern": self.pattern, **write(self)}

    @property
    def at_limit(self) -> OnLimit:
        """What follows when it has reached a limit of its own."""
        return self.on_limit

    def member(self, key: str) -> str | Person:
        """Returns who is called `key`."""
        return next(seat.member for seat in self.seats() if seat.key == key)

    @property
    def agents(self) -> tuple[str, ...]:
        """The full names of the agents in it, each once."""
        return tuple(dict.fromkeys(s.member for s in self.seats() if not isinstance(s.member, Person)))
