"""A bundle of teams that work in turns; their members are those of `crew`."""

from __future__ import annotations

from typing import Any

from counterstep import Bundle, Effect
from counterstep.teams import GroupChat, Magentic, MakerChecker, Person, Router
from counterstep.tests.support.bundles.crew import Opinion, ann, bob, chair, cid, editor

circle = Bundle("circle")


@circle.agent(effect=Effect.READ_ONLY)
def scribe(what: str, team: dict[str, Any] | None = None) -> dict[str, Any]:
    """Drafts in Python code, and answers each issue where it is told of any."""
    draft = {"verdict": what, "confidence": 1}
    if not team:
        return draft
    return {"output": draft, "answers": {issue["id"]: "done" for issue in team["issues"]}}


pair = circle.add(
    MakerChecker(name="pair", description="Drafts and checks.", maker=ann, checker=bob, output=Opinion)
)
scribed = circle.add(MakerChecker(name="scribed", description="Drafts in code.", maker=scribe, checker=bob))
chat = circle.add(
    GroupChat(name="chat", description="Talks.", members=[ann, bob, cid], speaker=chair, summary=editor)
)
front = circle.add(
    Router(
        name="front",
        description="Knows whom it is for.",
        members=[ann, bob],
        rules=[{"when": "input.what == 'tea'", "to": "ann"}],
        classifier=cid,
        better=chair,
        default=Person(name="porter", ask="Whose is it?"),
        output=Opinion,
    )
)
crowd = circle.add(
    Magentic(
        name="crowd", description="Plans.", manager=chair, members=[ann, bob], max_stalls=2, output=Opinion
    )
)
