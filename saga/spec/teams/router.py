"""Router: rules, and then a classifier, say who does the job."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from ..fields import BareExpression, SpecModel
from .member import AgentName, Member, Members, key_of
from .pattern import Cost, Pattern, Seat, misread


class Route(SpecModel):
    """One rule of a router.

    Attributes:
        when: An expression over ``input``, the team's input.
        to: The member that does the job where it is true.
    """

    when: BareExpression
    to: str = Field(min_length=1)


if TYPE_CHECKING:  # what is taken, and not only what is kept
    Routes = Sequence[Any]
else:
    Routes = tuple[Route, ...]


class Router(Pattern):
    """One member does the job: whom a rule names, or else a classifier that is sure enough.

    Attributes:
        members: Who may do the job.
        rules: The first whose `when` is true counts; nobody is asked then.
        classifier: Who says which member it is for, and how sure it is of that.
        better: Who is asked again where the classifier is less sure than `sure`: the same, with a better
            model.
        second: Who is asked for a second opinion where that one is less sure than `unsure`; both have to
            agree.
        sure: How sure the classifier has to be (0.85 and 0.7: published practice of support desks).
        unsure: How sure the better one has to be.
        default: Who does it where nobody is sure: a member's name, or a person who chooses.
    """

    pattern: Literal["router"] = "router"
    members: Members
    rules: Routes = ()
    classifier: AgentName | None = None
    better: AgentName | None = None
    second: AgentName | None = None
    sure: float = Field(default=0.85, gt=0, le=1)
    unsure: float = Field(default=0.7, gt=0, le=1)
    default: Member | None = None

    by_role: ClassVar[bool] = True

    @property
    def fallback(self) -> str | None:
        """The key of the member that does what nobody is sure of; None where a person chooses, or nobody."""
        return key_of(self.default) if isinstance(self.default, str) else None

    def seats(self) -> tuple[Seat, ...]:
        """Returns everybody who may be asked."""
        found = [Seat(f"members[{at}]", member) for at, member in enumerate(self.members)]
        named = [("classifier", self.classifier), ("better", self.better), ("second", self.second)]
        found += [Seat(path, member) for path, member in named if member is not None]
        if self.default is not None and not isinstance(self.default, str):
            found.append(Seat("default", self.default))
        return tuple(found)

    def cost(self) -> Cost:
        """Returns how many turns it takes."""
        asked = sum(seat is not None for seat in (self.classifier, self.better, self.second))
        person = int(self.default is not None and self.fallback is None)
        least = 1 if self.rules or not asked else 2
        more = [f"{asked} to classify at most"] * bool(asked) + ["1 for the person"] * person
        return Cost(least, 1 + asked + person, " + ".join(["1", *more]))

    def faults(self) -> list[tuple[str, str]]:
        """Returns which of its parameters do not go together."""
        keys = [key_of(member) for member in self.members]
        found = [
            (f"rules[{at}].to", f"there is no member {rule.to!r}; there are {', '.join(keys)}")
            for at, rule in enumerate(self.rules)
            if rule.to not in keys
        ]
        if not self.rules and self.classifier is None:
            found.append(("rules", "say rules or a classifier"))
        if self.classifier is None and (self.better is not None or self.second is not None):
            found.append(("classifier", "better and second are asked after it"))
        if self.fallback is not None and self.fallback not in keys:
            found.append(("default", f"there is no member {self.fallback!r}; there are {', '.join(keys)}"))
        return found + [
            fault
            for at, rule in enumerate(self.rules)
            for fault in misread(f"rules[{at}].when", rule.when, ("input",))
        ]
