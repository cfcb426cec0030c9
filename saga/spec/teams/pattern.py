"""What all patterns of teams have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, ClassVar, Literal, NamedTuple, Self

from pydantic import SerializerFunctionWrapHandler, model_serializer, model_validator

from ...errors import ExpressionError
from ...expressions.expression import EFFORT_SCOPE, compile_expression, told_where
from ..fields import SpecModel
from .member import Difficulty, MemberIf, Person, agent_or_person, is_agent, key_of
from .number import Bounds, bounds_of

AtTeamLimit = Literal["fail", "finish", "escalate"]
"""What follows when a team has reached a limit: it fails; one last call sums up what there is, and the result
is marked as degraded; or a person is asked."""


DIFFICULTY = "difficulty"
"""The parameter, the variable of expressions, and the purpose of the turn that rates it."""

RATED = Bounds(0, 1, whole=False)
"""From where to where a difficulty goes."""

_OF_STEPS = ("steps", "facts", "item", "index")
"""What the expressions of a team that is written in a step may read as well."""


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

    @property
    def answers(self) -> bool:
        """Whether the member does a part of the team's job: it neither judges others nor rates the job."""
        return not self.independent and self.path != DIFFICULTY


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
        return [(path, told_where(error, scope))]
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
        on_limit: What follows when it has reached a limit of its own; None for what its step or task says.
        difficulty: How difficult its job is, from 0 to 1: an expression, or an agent that rates it. Its
            numbers, and the `when` of its members, may be expressions that read it.
    """

    pattern: str
    name: str = ""
    description: str = ""
    input: Any = None
    output: Any = None
    on_limit: AtTeamLimit | None = None
    difficulty: Difficulty = None

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

    @property
    def models(self) -> tuple[str, ...]:
        """The litellm names of the models that the team itself asks, beside its members."""
        return ()

    def answer_schema(self, output: dict[str, Any]) -> dict[str, Any]:
        """Returns the JSON Schema of the team's answer.

        Args:
            output: The JSON Schema that was declared as the team's output; empty for none.
        """
        return output

    def member_schema(self, answer: dict[str, Any]) -> dict[str, Any]:
        """Returns what the answer of a member has to fit that may become the team's, or a part of it.

        Args:
            answer: What `answer_schema` has returned.
        """
        return answer

    def reads(self) -> dict[str, str | None]:
        """Returns its expressions over the answers of its members, by where they are written."""
        return {}

    # --- effort: what is known only when it starts

    @property
    def rater(self) -> str | None:
        """The agent that rates the difficulty; None where an expression does, or nobody."""
        return self.difficulty if self.difficulty and is_agent(self.difficulty) else None

    def numbers(self) -> Mapping[str, tuple[str, Bounds]]:
        """Returns its numbers that are expressions, by their names, each with its bounds."""
        found = {}
        for name, field in type(self).model_fields.items():
            value, bounds = getattr(self, name), bounds_of(field)
            if bounds is not None and isinstance(value, str):
                found[name] = (value, bounds)
        return found

    @property
    def sometimes(self) -> Mapping[int, MemberIf]:
        """Those of its members that take part in some cases only, by their places."""
        members: Sequence[Any] = getattr(self, "members", ())
        return {at: member for at, member in enumerate(members) if isinstance(member, MemberIf)}

    @property
    def everybody(self) -> tuple[str | Person, ...]:
        """All its members, those that take part in some cases only included."""
        return tuple(agent_or_person(member) for member in getattr(self, "members", ()))

    def narrowed(self, present: Sequence[bool]) -> dict[str, Any]:
        """Returns which of its parameters change, and to what, where not all members take part.

        Args:
            present: For each member whether it takes part.
        """
        return {"members": tuple(m for m, is_there in zip(self.everybody, present, strict=True) if is_there)}

    def effort(self) -> dict[str, str]:
        """Returns its expressions that are evaluated when it starts, by where they are written."""
        found = {} if self.difficulty is None or self.rater else {DIFFICULTY: str(self.difficulty)}
        found |= {name: source for name, (source, _) in self.numbers().items()}
        return found | {f"members[{at}].when": member.when for at, member in self.sometimes.items()}

    @property
    def roots(self) -> frozenset[str]:
        """What those expressions read, e.g. ``input`` and ``task``."""
        sources = self.effort().values()
        return frozenset(path.root for source in sources for path in compile_expression(source).paths)

    @property
    def is_settled(self) -> bool:
        """Whether all of it is known before it starts."""
        return self.difficulty is None and not self.effort()

    def corners(self) -> list[Self]:
        """Returns what it may come to at the extremes, the largest last."""
        numbers = {name: bounds.extremes for name, (_, bounds) in self.numbers().items()}
        crews: list[dict[str, Any]] = [{}]
        if self.sometimes:
            places = range(len(self.everybody))
            always = [at not in self.sometimes for at in places]
            crews = [self.narrowed(always if any(always) else [at == 0 for at in places])]
            crews.append(self.narrowed([True for _ in places]))
        return [
            self.model_copy(update={**dict(zip(numbers, chosen, strict=True)), **crew})
            for crew in crews
            for chosen in product(*numbers.values())
        ]

    def turns(self) -> Cost:
        """Returns how many turns it takes, whatever its expressions come to."""
        costs = [corner.cost() for corner in self.corners()]
        rater = int(self.rater is not None)
        return Cost(
            min(cost.least for cost in costs) + rater,
            max(cost.most for cost in costs) + rater,
            costs[-1].formula + " + 1 for the difficulty" * rater,
        )

    def _effort_faults(self) -> list[tuple[str, str]]:
        sources = self.effort()
        found = [
            fault
            for path, source in sources.items()
            for fault in misread(path, source, (*EFFORT_SCOPE, *_OF_STEPS))
        ]
        if found:
            return found
        readers = [
            path
            for path, source in sources.items()
            if any(read.root == DIFFICULTY for read in compile_expression(source).paths)
        ]
        if DIFFICULTY in readers:
            return [(DIFFICULTY, "a difficulty cannot read itself")]
        rule = sources.get(DIFFICULTY)
        if rule is not None and not compile_expression(rule).paths:
            try:
                RATED.of(rule, compile_expression(rule).evaluate({}))
            except ExpressionError as error:
                return [(DIFFICULTY, str(error))]
        if self.difficulty is None:
            return [
                (path, "difficulty cannot be read: the team does not say its difficulty") for path in readers
            ]
        if not readers:
            return [(DIFFICULTY, "nothing in the team reads it")]
        return []

    # --- all of it

    def places(self) -> tuple[Seat, ...]:
        """Returns everybody who may be asked, and who rates the difficulty."""
        found = tuple(seat._replace(member=agent_or_person(seat.member)) for seat in self.seats())
        return found if self.rater is None else (*found, Seat(DIFFICULTY, self.rater))

    @model_validator(mode="after")
    def _parameters_go_together(self) -> Pattern:
        seats = self.places()
        for at, seat in enumerate(seats):
            for other in seats[:at]:
                if other.key == seat.key and (other.member != seat.member or not self.by_role):
                    both = f"{seat.path} and {other.path} are both called {seat.key!r}"
                    raise ValueError(f"{both}; names in a team are unique")
        faults = [*self.faults(), *self._effort_faults()]
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
    def at_limit(self) -> AtTeamLimit | None:
        """What follows when it has reached a limit of its own; None where it does not say."""
        return self.on_limit

    def member(self, key: str) -> str | Person:
        """Returns who is called `key`."""
        return next(seat.member for seat in self.places() if seat.key == key)

    @property
    def agents(self) -> tuple[str, ...]:
        """The full names of the agents in it, each once."""
        return tuple(dict.fromkeys(s.member for s in self.places() if not isinstance(s.member, Person)))
