"""Mixture: layers of answers, each made from those of the layer before, and one that sums up."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from ..fields import BareExpression
from .member import AgentName, Members, key_of
from .number import Bounds, Number
from .pattern import Cost, Pattern, Seat


class Mixture(Pattern):
    """A mixture of agents (arXiv 2406.04692): every layer sees the answers of the one before.

    Those are superseded then, and what was done for them is undone. A member that has failed is left out.

    Attributes:
        members: Who answers in each layer.
        aggregator: Who makes the team's answer of those of the last layer.
        layers: How many layers there are, the aggregator's not counted (the public implementation,
            togethercomputer/MoA, has one or two).
        temperature: The sampling temperature of the members; None for their own (0.7 there, too).
        samples: With one member, how often it answers instead: Self-MoA (arXiv 2502.00674 has six).
        window: How many answers the aggregator sees at once, with its own last one (Self-MoA-Seq, section 4
            there); None for all at once.
        stop: The part of a layer that has to agree for its answer to be the team's at once, without further
            layers and without the aggregator (DyLAN, arXiv 2310.02170, has two thirds); None for all layers.
        by: What they agree on: an expression over ``output``; the whole answer where not given.
        importance: Whether members and aggregator rate, with their own answers, those that they are shown.
            How much each member has added to the answer (DyLAN's Agent Importance Score) is recorded, and
            told to the pool.
    """

    pattern: Literal["mixture"] = "mixture"
    members: Members
    aggregator: AgentName
    layers: Annotated[Number, Bounds(1, 5)] = 2
    temperature: Annotated[Number, Bounds(0, 2, whole=False)] | None = 0.7
    samples: Annotated[Number, Bounds(2, 50)] | None = None
    window: Annotated[Number, Bounds(2, 50)] | None = None
    stop: Annotated[Number, Bounds(0, 1, whole=False, above=True)] | None = None
    by: BareExpression | None = None
    importance: bool = False

    by_role: ClassVar[bool] = True

    def seats(self) -> tuple[Seat, ...]:
        """Returns everybody who may be asked."""
        found = [Seat(f"members[{at}]", member) for at, member in enumerate(self.members)]
        return (*found, Seat("aggregator", self.aggregator))

    @property
    def depth(self) -> int:
        """How many layers there are in fact: samples are one."""
        return int(self.layers) if self.samples is None else 1

    def windows_of(self, answers: int) -> int:
        """Returns how often the aggregator is asked where there are so many answers."""
        if self.window is None or answers <= self.window:
            return 1
        size = int(self.window)
        return 1 + -(-(answers - size) // (size - 1))  # one place is for its own last answer

    def cost(self) -> Cost:
        """Returns how many turns it takes."""
        answers = self.samples or len(self.members)
        windows = self.windows_of(answers)
        turns = answers * self.depth + windows
        formula = "samples" if self.samples is not None else "members * layers"
        least = turns if self.stop is None else answers
        return Cost(least, turns, f"{formula} + {'1' if windows == 1 else 'windows'}")

    def faults(self) -> list[tuple[str, str]]:
        """Returns which of its parameters do not go together."""
        found = []
        if self.samples is not None and len(self.members) != 1:
            found.append(("samples", f"Self-MoA samples one member, and there are {len(self.members)}"))
        if self.samples is not None and "layers" in self.model_fields_set and self.layers != 1:
            found.append(("layers", "Self-MoA has one layer of samples; leave layers out"))
        keys = [key_of(member) for member in self.members]
        found += [
            (f"members[{at}]", f"{key!r} is there already; to ask one agent several times, say samples")
            for at, key in enumerate(keys)
            if key in keys[:at]
        ]
        if self.samples is None and len(self.members) < 2:
            found.append(("members", "a mixture has two members or more; with one, say samples"))
        if self.by is not None and self.stop is None and not self.importance:
            found.append(("by", "it is for stop and for importance"))
        if self.importance and self.window is not None:
            found.append(("importance", "with a window nobody sees all answers, to rate them"))
        return found

    def reads(self) -> dict[str, str | None]:
        """Returns its expressions over answers, by where they are written."""
        return {"by": self.by}
