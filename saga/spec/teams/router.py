"""Router: rules, and then what an input is like, or a classifier, say who does the job."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from ...expressions.json_values import Whole
from ..fields import BareExpression, ModelName, SpecModel
from .member import AgentName, Member, Members, key_of
from .number import Bounds, Number
from .pattern import Cost, Pattern, Seat, misread


class Route(SpecModel):
    """One rule of a router.

    Attributes:
        when: An expression over ``input``, the team's input.
        to: The member that does the job where it is true.
        intent: In place of `to`: an intent, whose members are equals.
    """

    when: BareExpression
    to: str | None = Field(default=None, min_length=1)
    intent: str | None = Field(default=None, min_length=1)


if TYPE_CHECKING:  # what is taken, and not only what is kept
    Routes = Sequence[Any]
    Names = Sequence[str]
else:
    Routes = tuple[Route, ...]
    Names = tuple[Annotated[str, Field(min_length=1)], ...]


class Router(Pattern):
    """One member does the job: whom a rule names, or else what is sure enough.

    Attributes:
        members: Who may do the job.
        rules: The first whose `when` is true counts; nobody is asked then.
        embedding: The litellm name of an embedding model: the input is compared with the examples of the
            intents that members take, and the confidence that follows has to reach `sure`.
        similar: How similar (a cosine) the input has to be to an intent to be taken for it at all; what is
            not similar differs from model to model.
        classifier: Who says which member or intent it is for, and how sure it is of that.
        better: Who is asked again where that is less sure than `sure`: the same, with a better model.
        second: Who is asked for a second opinion where that one is less sure than `unsure`; both have to
            agree.
        sure: How sure the embedding or the classifier has to be (0.85 and 0.7: published practice of support
            desks).
        unsure: How sure the better one has to be.
        default: Who does it where nobody is sure: a member's name, or a person who chooses.
        splitter: Who splits an input into its requests, and says how urgent each is. Each is routed for
            itself, then they are done one after the other, and the answer is the list of their answers.
        parts: The most requests that one input may be split into.
        order: Intents, or members, whose requests are done in this order, whatever is urgent, e.g.
            ``cancel`` before ``refund``.
        ahead: Of members that take the same intent one is drawn by how well each has done so far. Who has
            more calls under way than the least busy, by more than this, is left out of the draw.
    """

    pattern: Literal["router"] = "router"
    members: Members
    rules: Routes = ()
    embedding: ModelName | None = None
    similar: float = Field(default=0.3, ge=0, lt=1, strict=True)
    classifier: AgentName | None = None
    better: AgentName | None = None
    second: AgentName | None = None
    sure: Annotated[Number, Bounds(0, 1, whole=False, above=True)] = 0.85
    unsure: Annotated[Number, Bounds(0, 1, whole=False, above=True)] = 0.7
    default: Member | None = None
    splitter: AgentName | None = None
    parts: Whole[int] = Field(default=5, ge=2, le=10, strict=True)
    order: Names = ()
    ahead: Annotated[Number, Bounds(0, 1000)] = 3

    by_role: ClassVar[bool] = True

    @property
    def fallback(self) -> str | None:
        """The key of the member that does what nobody is sure of; None where a person chooses, or nobody."""
        return key_of(self.default) if isinstance(self.default, str) else None

    @property
    def models(self) -> tuple[str, ...]:
        """See `Pattern`."""
        return () if self.embedding is None else (self.embedding,)

    def seats(self) -> tuple[Seat, ...]:
        """Returns everybody who may be asked."""
        found = [Seat(f"members[{at}]", member) for at, member in enumerate(self.members)]
        named = [("classifier", self.classifier), ("better", self.better), ("second", self.second)]
        named.append(("splitter", self.splitter))
        found += [Seat(path, member) for path, member in named if member is not None]
        if self.default is not None and not isinstance(self.default, str):
            found.append(Seat("default", self.default))
        return tuple(found)

    def cost(self) -> Cost:
        """Returns how many turns it takes; to compare with intents counts as one."""
        asked = sum(one is not None for one in (self.embedding, self.classifier, self.better, self.second))
        person = int(self.default is not None and self.fallback is None)
        more = [f"{asked} to classify at most"] * bool(asked) + ["1 for the person"] * person
        one, formula = 1 + asked + person, " + ".join(["1", *more])
        least = 1 if self.rules or not asked else 2
        if self.splitter is None:
            return Cost(least, one, formula)
        return Cost(
            least + (not self.rules), 1 + self.parts * one, f"1 to split + {self.parts} * ({formula})"
        )

    def answer_schema(self, output: dict[str, Any]) -> dict[str, Any]:
        """See `Pattern`: a list of answers where an input is split."""
        if self.splitter is None:
            return output
        fields = {"request": {"type": "string"}, "to": {"type": "string"}, "output": output}
        return {
            "type": "array",
            "items": {"type": "object", "properties": fields, "required": list(fields)},
            "minItems": 1,
            "maxItems": self.parts,
        }

    def member_schema(self, answer: dict[str, Any]) -> dict[str, Any]:
        """See `Pattern`."""
        if self.splitter is None:
            return answer
        output: dict[str, Any] = answer.get("items", {}).get("properties", {}).get("output", {})
        return output

    def faults(self) -> list[tuple[str, str]]:
        """Returns which of its parameters do not go together."""
        keys = [key_of(member) for member in self.members]
        found = [
            (f"rules[{at}].to", f"there is no member {rule.to!r}; there are {', '.join(keys)}")
            for at, rule in enumerate(self.rules)
            if rule.to is not None and rule.to not in keys
        ]
        found += [
            (f"rules[{at}]", "say to, a member, or intent, and not both")
            for at, rule in enumerate(self.rules)
            if (rule.to is None) == (rule.intent is None)
        ]
        asks = self.classifier is not None or self.embedding is not None
        if not self.rules and not asks:
            found.append(("rules", "say rules, an embedding or a classifier"))
        if not asks and (self.better is not None or self.second is not None):
            found.append(("classifier", "better and second are asked after it, or after an embedding"))
        if self.fallback is not None and self.fallback not in keys:
            found.append(("default", f"there is no member {self.fallback!r}; there are {', '.join(keys)}"))
        if self.embedding is None and "similar" in self.model_fields_set:
            found.append(("similar", "it is about an embedding; say which"))
        if self.splitter is None:
            alone = [name for name in ("parts", "order") if name in self.model_fields_set]
            found += [(name, "it is about the parts of an input; say who is the splitter") for name in alone]
        twice = sorted({name for name in self.order if self.order.count(name) > 1})
        found += [("order", f"{name!r} is there twice") for name in twice]
        return found + [
            fault
            for at, rule in enumerate(self.rules)
            for fault in misread(f"rules[{at}].when", rule.when, ("input",))
        ]
