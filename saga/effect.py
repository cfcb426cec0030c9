"""What a call does to the world, in the classes of the saga literature."""

from __future__ import annotations

from enum import StrEnum


class Effect(StrEnum):
    """The effect of one call.

    The last three are the transaction classes of Garcia-Molina & Salem, "Sagas" (SIGMOD 1987) as
    sharpened by Richardson, "Microservices Patterns" (2018), section 4.2.
    """

    READ_ONLY = "read_only"
    """Changes nothing: may be cancelled and repeated at will."""
    COMPENSATABLE = "compensatable"
    """Changes something that a compensation takes back."""
    PIVOT = "pivot"
    """Cannot be taken back: the point of no return."""
    RETRIABLE = "retriable"
    """Safe to repeat, and nothing has to be taken back."""
