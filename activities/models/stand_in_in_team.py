"""What the stand-in says in a team, so that it comes to a good end: it accepts, and lets all speak once.

A plan of it has a part for each member, one after the other; as a validator it is sure of every part.

Where a team needs an answer in a form of its own, it tells a purpose with it, and what was said so far.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_WORDS = frozenset({"purpose", "please"})
"""What stands in the word of a team that asks for a form of its own."""


def said_in_team(known: Sequence[Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields in which a team reads how it goes on.

    Args:
        known: What the conversation tells, newest first.
        schema: JSON Schema of the answer.

    Returns:
        Values by field; nothing where no team asks, or it does not read how it goes on.
    """
    word = next((value for value in known if isinstance(value, Mapping) and value.keys() >= _WORDS), None)
    if word is None:
        return {}
    fields = schema.get("properties", {})
    found: dict[str, Any] = {}
    if "accepted" in fields:
        found |= {"accepted": True, "issues": []}
    if "next" in fields:
        found["next"] = _next(fields["next"], word.get("said") or ())
        found["reason"] = "everybody has spoken" if found["next"] is None else "everybody speaks once"
    if "done" in fields:
        found |= {"done": found.get("next") is None, "progress": True, "in_loop": False}
        found["instruction"] = "Do your part."
    if "parts" in fields:
        found["parts"] = _parts(fields["parts"]["items"].get("properties", {}), word, fields["parts"])
    if "to" in fields:
        found["reason"] = "the first that fits"
    return {name: value for name, value in found.items() if name in fields}


def _next(schema: Mapping[str, Any], said: Iterable[Any]) -> Any:
    """Returns the first member that has not spoken; null where everybody has, if that may be said."""
    spoken = {turn.get("member") for turn in said if isinstance(turn, Mapping)}
    names = schema.get("enum", ())
    waiting = [name for name in names if name is not None and name not in spoken]
    if waiting:
        return waiting[0]
    return None if None in names else next(iter(names), None)


def _parts(
    part: Mapping[str, Any], word: Mapping[str, Any], schema: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Returns the parts of a plan, or what is said of those of one."""
    if "score" in part:
        plan = word.get("plan")
        planned = plan.get("parts", ()) if isinstance(plan, Mapping) else ()
        return [{"id": known["id"], "score": 1, "too_large": False} for known in planned]
    members = part.get("who", {}).get("enum", ())[: schema.get("maxItems")]
    return [
        {"id": name, "who": name, "do": "Do your part.", "after": list(members[at - 1 : at]) if at else []}
        for at, name in enumerate(members)
    ]
