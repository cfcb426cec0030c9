"""Mixture: layers of answers, each made from those of the layer before, and one that sums up."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from .member import AgentName, Members, key_of
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
    """

    pattern: Literal["mixture"] = "mixture"
    members: Members
    aggregator: AgentName
    layers: int = Field(default=2, ge=1, le=5)
    temperature: float | None = Field(default=0.7, ge=0, le=2)
    samples: int | None = Field(default=None, ge=2, le=50)
    window: int | None = Field(default=None, ge=2, le=50)

    by_role: ClassVar[bool] = True

    def seats(self) -> tuple[Seat, ...]:
        """Returns everybody who may be asked."""
        found = [Seat(f"members[{at}]", member) for at, member in enumerate(self.members)]
        return (*found, Seat("aggregator", self.aggregator))

    @property
    def depth(self) -> int:
        """How many layers there are in fact: samples are one."""
        return self.layers if self.samples is None else 1

    def windows_of(self, answers: int) -> int:
        """Returns how often the aggregator is asked where there are so many answers."""
        if self.window is None or answers <= self.window:
            return 1
        return 1 + -(-(answers - self.window) // (self.window - 1))  # one place is for its own last answer

    def cost(self) -> Cost:
        """Returns how many turns it takes."""
        answers = self.samples or len(self.members)
        windows = self.windows_of(answers)
        turns = answers * self.depth + windows
        formula = "samples" if self.samples is not None else "members * layers"
        return Cost(turns, turns, f"{formula} + {'1' if windows == 1 else 'windows'}")

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
        return found
