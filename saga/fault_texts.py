"""What pydantic finds wrong with a value, in one line."""

from __future__ import annotations

from pydantic import ValidationError

MOST_FAULTS = 10
"""Faults of one value that are told at once."""


def faults_in(error: ValidationError, whole: str = "value", most: int = MOST_FAULTS) -> str:
    """Writes ``PATH: MESSAGE; PATH: MESSAGE; ...``.

    Args:
        error: What pydantic has found.
        whole: What the value itself is called where all of it is wrong.
        most: How many faults are named at the most.

    Returns:
        One line; it says how many faults it leaves out.
    """
    found = error.errors(include_url=False)
    parts = [f"{'.'.join(map(str, fault['loc'])) or whole}: {fault['msg']}" for fault in found[:most]]
    if len(found) > most:
        parts.append(f"and {len(found) - most} more")
    return "; ".join(parts)
