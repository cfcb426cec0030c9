"""Numbers of things, in words."""

from __future__ import annotations


def counted(number: int, what: str) -> str:
    """Writes ``1 turn`` or ``2 turns``.

    Args:
        number: How many there are.
        what: What there is one of; its plural ends with an s.
    """
    return f"{number} {what}{'' if number == 1 else 's'}"


def times(number: int) -> str:
    """Writes ``once`` or ``2 times``."""
    return "once" if number == 1 else counted(number, "time")
