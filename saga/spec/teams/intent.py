"""What an agent is asked for: the kinds of requests that it takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from ..fields import SpecModel

MAX_EXAMPLES = 50
"""Examples that one intent may have."""

MAX_INTENTS = 50
"""Intents that one agent may take."""

if TYPE_CHECKING:  # what is taken, and not only what is kept
    Examples = Sequence[str]
else:
    Examples = Annotated[
        tuple[Annotated[str, Field(pattern=r"\S", max_length=500)], ...], Field(max_length=MAX_EXAMPLES)
    ]


class Intent(SpecModel):
    """One kind of requests; several agents may take the same one, and are equals then.

    Attributes:
        name: What it is called, e.g. ``refund``, or a phrase that says it: ``cancel an order``.
        examples: How people say it; a router compares requests with them. None of them for the name alone.
    """

    name: Annotated[str, Field(pattern=r"\S", max_length=100)]
    examples: Examples = ()

    @property
    def phrases(self) -> tuple[str, ...]:
        """What a request is compared with."""
        return tuple(self.examples) or (self.name,)
