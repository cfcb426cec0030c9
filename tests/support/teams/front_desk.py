"""A bundle with a router whose members take intents, and put what they do on the desk."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from counterstep import Agent, Bundle, Subject, Verdict
from counterstep.teams import Intent, Router
from counterstep.tests.support.bundles.desk import put

front_desk = Bundle("front_desk")

REFUND = Intent(name="refund", examples=["give me my money back", "I want a refund"])


class Answer(BaseModel):
    """What a customer is told."""

    text: str


def clerk(name: str, *intents: Any, **changes: Any) -> Any:
    """Adds an agent that is played by a model of its own name."""
    said = {
        "description": f"{name} answers.",
        "instructions": "You answer.",
        "model": f"openai/{name}",
        "tools": [put],
        "output": Answer,
        "intents": intents,
    }
    return front_desk.add(Agent(name=name, **{**said, **changes}))


ann, ben = clerk("ann", REFUND), clerk("ben", REFUND)
cleo = clerk("cleo", "cancel my order")
quick, clever, splitter = (clerk(name, tools=[]) for name in ("quick", "clever", "splitter"))

front_desk.add(
    Router(
        name="desk",
        description="Answers customers.",
        members=[ann, ben, cleo],
        embedding="openai/text-embedding-3-small",
        classifier=quick,
        better=clever,
        splitter=splitter,
        order=["cancel my order", "refund"],
        default="cleo",
        output=Answer,
    )
)

front_desk.add(
    Router(
        name="hall",
        description="Answers crowds.",
        members=[ann, ben],
        embedding="openai/text-embedding-3-small",
        splitter=splitter,
        parts=10,
        ahead=1000,
        output=Answer,
    )
)


@front_desk.validator
def polite(subject: Subject) -> Verdict:
    """Finds what Ben says rude."""
    texts = [answer["output"]["text"] for answer in subject.output]
    rude = [text for text in texts if text.startswith("ben")]
    return Verdict.reject("rude") if rude else Verdict.accept("fine")
