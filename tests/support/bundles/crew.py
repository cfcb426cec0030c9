"""A bundle of teams whose members put things on the desk; each member has a model of its own name."""

from __future__ import annotations

from typing import Any, cast

from pydantic import BaseModel
from temporalio import workflow

from counterstep import Agent, Bundle, Saga, Undo
from counterstep.teams import Concurrent, Person
from counterstep.tests.support.bundles.desk import Placed, look, put, take_back

crew = Bundle("crew")


class Opinion(BaseModel):
    """What a member thinks."""

    verdict: str
    confidence: float = 1.0


def member(name: str, **changes: Any) -> Agent[Any]:
    """Adds an agent that can put things on the desk, and is played by a model of its own name."""
    said: dict[str, Any] = {
        "description": f"{name} has an opinion.",
        "instructions": "You have an opinion.",
        "model": f"openai/{name}",
        "tools": [put, look],
        "output": Opinion,
    }
    return crew.add(Agent(name=name, **{**said, **changes}))


ann, bob, cid = member("ann", seed=7), member("bob"), member("cid")
chair = member("chair", tools=[])
editor = member("editor")

poll = crew.add(
    Concurrent(
        name="poll",
        description="Votes on a thing.",
        members=[ann, bob, cid],
        combine="vote",
        by="output.verdict",
        judge=chair,
        output=Opinion,
    )
)
survey = crew.add(Concurrent(name="survey", description="Collects opinions.", members=[ann, bob, cid]))
edited = crew.add(
    Concurrent(name="edited", description="Makes one opinion of several.", members=[ann, bob], combine=editor)
)
torn = crew.add(
    Concurrent(
        name="torn",
        description="Asks a person where it does not agree.",
        members=[ann, bob],
        combine="vote",
        by="output.verdict",
        on_limit="escalate",
        output=Opinion,
    )
)
hasty = crew.add(
    Concurrent(
        name="hasty",
        description="Sums up where it does not agree.",
        members=[ann, bob],
        combine="vote",
        by="output.verdict",
        on_limit="finish",
        output=Opinion,
    )
)
mixed = crew.add(
    Concurrent(
        name="mixed",
        description="Has a person among its members.",
        members=[ann, Person(name="expert", ask="What do you think?")],
        combine="vote",
        by="output.verdict",
        quorum=2,
        output=Opinion,
    )
)
boss = member("boss", tools=[put, poll, ann])
crew.add_task(poll)


@crew.agent(compensate="move_back")
def mover(what: str, team: dict[str, Any] | None = None) -> Opinion:
    """Puts a thing on the desk, and says how many have told it something."""
    put(what)
    return Opinion(verdict=str(len((team or {}).get("answers", ()))))


@crew.compensation
def move_back(undo: Undo[Opinion]) -> None:
    """Takes it off again."""
    take_back(cast("Undo[Placed]", undo))


relay = crew.add(
    Concurrent(name="relay", description="Hands answers to Python code.", members=[ann, bob], combine=mover)
)
lead = member("lead", tools=[mover, poll])


@crew.add
@workflow.defn(name="crew.asks_a_team")
class AsksTeam:
    """Asks a team by itself."""

    @workflow.run
    async def run(self, what: str, fails: bool = False) -> str:
        """Returns the verdict."""
        async with Saga() as saga:
            opinion = await saga.call(poll, {"what": what})
            if fails:
                raise ValueError("a bug behind the team")
            return str(opinion.verdict)
