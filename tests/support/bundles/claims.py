"""A bundle of agents that hand a conversation over to each other; each has a model of its own name."""

from __future__ import annotations

from typing import Any, cast

from pydantic import BaseModel

from counterstep import Agent, Bundle, Undo
from counterstep.teams import Concurrent, Handoff
from counterstep.tests.support.bundles.desk import Placed, look, put, take_back

claims = Bundle("claims")


class Settlement(BaseModel):
    """What a claim comes to."""

    decision: str
    by: str = ""


class FraudCase(BaseModel):
    """What is suspected."""

    claim: str
    score: int = 0


@claims.tool(compensate="tear_up")
def note_case(case: FraudCase) -> Placed:
    """Notes a case; one of a score of 100 is noted, and the call fails all the same."""
    return put(f"case {case.claim}", fail="final" if case.score == 100 else "")


@claims.compensation
def tear_up(undo: Undo[Placed]) -> None:
    """Takes the note off again."""
    case = undo.input["case"]
    undo = undo.model_copy(update={"input": {"what": f"case {case['claim']}"}})
    take_back(undo)


def member(name: str, **changes: Any) -> Agent[Any]:
    """Adds an agent that can put things on the desk."""
    said: dict[str, Any] = {
        "description": f"{name} knows about claims.",
        "instructions": f"You are {name}.",
        "model": f"openai/{name}",
        "tools": [put, look],
        "output": Settlement,
    }
    return claims.add(Agent(name=name, **{**said, **changes}))


fraud = member("fraud", output=str)
medic = member("medic", tools=[], handoffs=["triage"])
lawyer = member("lawyer")


@claims.agent(compensate="move_back")
def archive(claim: str) -> Settlement:
    """Files a claim away."""
    put(f"file {claim}")
    return Settlement(decision="filed", by="archive")


@claims.compensation
def move_back(undo: Undo[Settlement]) -> None:
    """Takes it out of the files."""
    moved = undo.model_copy(update={"input": {"what": f"file {undo.input['claim']}"}})
    take_back(cast("Undo[Placed]", moved))


board = claims.add(
    Concurrent(
        name="board",
        description="Decides together.",
        members=[lawyer, "doctor"],
        combine="vote",
        by="output.decision",
        output=Settlement,
    )
)
member("doctor", tools=[])
desk_agent = member(
    "desk",
    handoffs=[
        Handoff(to=fraud, metadata=FraudCase, on_handoff=note_case, description="For what smells."),
        medic,
        archive,
        board,
    ],
)
member("quiet", handoffs=[Handoff(to=fraud, filter="none")])
member("brief", handoffs=[Handoff(to=fraud, filter=1)])
member("summing", handoffs=[Handoff(to=fraud, filter="summary")])
member("polite", handoffs=[fraud, lawyer], returns=True)
member("lender", handoffs=[Handoff(to=fraud, returns=True), lawyer])
member("triage", handoffs=[medic, lawyer], max_handoffs=2)
member("finisher", handoffs=["pong"], max_handoffs=1, on_limit="finish")
member("asker", handoffs=["pong"], max_handoffs=1, on_limit="escalate")
member("pong", tools=[], handoffs=["finisher", "asker", lawyer])
member("boss", tools=[desk_agent, put])
member("tireless", max_turns=60, handoffs=[lawyer])
