"""A plan of a team, as its planner writes it down, and what validators say of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from ..forms import TEXT, form, one_of

_NAMES = {"type": "array", "items": TEXT}
_SCORE = {"type": "number", "minimum": 0, "maximum": 1}

VERDICT = form(
    parts={
        "type": "array",
        "items": form(
            id=TEXT,
            score={**_SCORE, "description": "how sure it is that the member can do it"},
            too_large={"type": "boolean", "description": "it has to be split to be judged"},
        ),
    },
    missing={**_NAMES, "description": "what the job needs and no part does"},
    redundant={**_NAMES, "description": "ids of parts that another part does already"},
)
"""JSON Schema of what a validator says of a plan."""

CONSENT = form(approved={"type": "boolean"})
CONSENT["properties"] |= {"note": {"type": ["string", "null"]}}
"""JSON Schema of what a person says of a plan."""


class Part(BaseModel):
    """One part of a plan.

    Attributes:
        id: Its name, in this plan and in the next.
        who: The member that does it, as the team calls it.
        do: What is to be done.
        after: The ids of the parts whose results it needs.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    who: str
    do: str
    after: tuple[str, ...] = ()


def plan_form(members: Sequence[str], most: int) -> dict[str, Any]:
    """Returns the JSON Schema of a plan.

    Args:
        members: Who may do a part.
        most: The most parts.
    """
    part = form(id=TEXT, who=one_of(members), do=TEXT, after=_NAMES)
    part["required"].remove("after")
    return form(parts={"type": "array", "items": part, "minItems": 1, "maxItems": most})


def parts_of(plan: Mapping[str, Any]) -> tuple[Part, ...]:
    """Returns the parts of a plan that fits its form."""
    return tuple(Part.model_validate({**part, "after": part.get("after") or ()}) for part in plan["parts"])


def objections(
    verdicts: Sequence[Mapping[str, Any]], parts: Sequence[Part], solvable: float
) -> Iterator[str]:
    """Yields why a plan is not accepted, from the worst that any validator says.

    Args:
        verdicts: What the validators say; each fits `VERDICT`.
        parts: Those of the plan.
        solvable: How sure a validator has to be of a part.
    """
    for part in parts:
        said = [word for verdict in verdicts for word in verdict["parts"] if word["id"] == part.id]
        worst = min((word["score"] for word in said), default=None)
        if any(word["too_large"] for word in said):
            yield f"plan {part.id!r} in detail: it is too large to be done as one part"
        elif worst is None and verdicts:
            yield f"plan {part.id!r} again: no validator has said whether {part.who} can do it"
        elif worst is not None and worst < solvable:
            sure = f"a validator is sure at {worst} that {part.who} can do it, and not at {solvable}"
            yield f"plan {part.id!r} again: {sure}"
    for verdict in verdicts:
        yield from (f"there is no part for this: {text}" for text in verdict["missing"])
        known = {part.id for part in parts}
        twice = [id_ for id_ in verdict["redundant"] if id_ in known]
        yield from (f"leave {id_!r} out: another part does it" for id_ in twice)
