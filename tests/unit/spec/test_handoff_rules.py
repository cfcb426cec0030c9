"""Handoffs that cannot work are refused when the bundle is loaded, all faults at once."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from counterstep import Agent, Bundle, Effect, Undo
from counterstep.bundle.registry import Registry
from counterstep.saga.errors import DefinitionError
from counterstep.saga.spec.catalog import Catalog
from counterstep.teams import Concurrent, Handoff, Person


class Case(BaseModel):
    """What is handed over."""

    claim: str
    score: int = 0


class Sum(BaseModel):
    """What has a field of that name."""

    summary: str


def shop() -> Bundle:
    """A bundle with an agent to hand over to, and tools that may be called then."""
    bundle = Bundle("claims")

    @bundle.tool(effect=Effect.RETRIABLE)
    def note(case: Case) -> str:
        return case.claim

    @bundle.tool(effect=Effect.RETRIABLE)
    def file(claim: str, score: int = 0) -> str:
        return claim

    @bundle.tool(effect=Effect.RETRIABLE)
    def rate(claim: str, score: int) -> str:
        return claim

    @bundle.tool(effect=Effect.RETRIABLE)
    def tag(claim: str, place: str) -> str:
        return claim

    @bundle.tool(effect=Effect.PIVOT, approval={"ask": "Pay?"})
    def pay(claim: str) -> str:
        return claim

    @bundle.agent(effect=Effect.READ_ONLY)
    def coded(claim: str) -> str:
        return claim

    @bundle.compensation
    def unsay(undo: Undo[str]) -> None:
        pass

    bundle.add(agent("fraud"))
    bundle.add(agent("payer", tools=["pay"]))
    bundle.add(agent("careful", compensate="unsay", output=str))
    return bundle


def agent(name: str, **said: Any) -> Agent[Any]:
    return Agent(name=name, description=f"{name} works.", instructions="Work.", model="openai/m", **said)


def faults(*agents: Agent[Any]) -> str:
    bundle = shop()
    with pytest.raises(DefinitionError) as caught:
        for one in agents:
            bundle.add(one)
        Registry([bundle])
    return str(caught.value)


@pytest.mark.parametrize(
    ("handoff", "message"),
    [
        ("frud", "handoffs[0].to: there is no agent 'claims.frud'; did you mean 'claims.fraud'?"),
        ("note", "handoffs[0].to: 'claims.note' is a tool of the bundle, and not an agent"),
        ("desk", "handoffs[0].to: it cannot hand over to itself"),
        (Handoff(to="fraud", on_handoff="nte"), "there is no tool 'claims.nte'; did you mean"),
        (Handoff(to="fraud", on_handoff="unsay"), "'claims.unsay' is a compensation of the bundle"),
        (Handoff(to="fraud", on_handoff="pay"), "on_handoff: claims.pay is a pivot"),
        (Handoff(to="fraud", metadata=str), "metadata: must be an object"),
        (Handoff(to="fraud", metadata={"type": "nonsense"}), "metadata.type: is not a JSON Schema"),
        (Handoff(to="fraud", metadata=Sum, filter="summary"), "has a field 'summary'"),
        (Handoff(to="fraud", metadata=Case, on_handoff="rate"), "needs 'score', which the metadata may lack"),
        (Handoff(to="fraud", metadata=Case, on_handoff="tag"), "needs 'place', which the metadata does not"),
        (Handoff(to="fraud", metadata=Case, on_handoff="tag"), "takes no 'score', which is in the metadata"),
        (Handoff(to="coded", metadata=Case), "is Python code, and gets its own input from the model"),
        (Handoff(to="coded", filter="none"), "sees no conversation; leave filter out"),
        (Handoff(to="coded", returns=True), "hands nothing back; name it in tools"),
        ("payer", "claims.payer may call the pivot claims.pay; only a step may call a pivot"),
        (Person(name="eve", ask="?"), "handoffs[0]: a person has no conversation; say may_ask"),
        (object(), "is not registered in a bundle yet"),
    ],
)
def test_a_handoff_that_cannot_work_is_refused(handoff: Any, message: str) -> None:
    assert message in faults(agent("desk", handoffs=[handoff]))


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"max_handoffs": 0}, "max_handoffs must be from 1 to 50, not 0"),
        ({"max_handoffs": 51}, "max_handoffs must be from 1 to 50, not 51"),
        ({"max_handoffs": True}, "max_handoffs must be from 1 to 50, not True"),
        ({"on_limit": "stop"}, "on_limit: 'stop' is not one of fail, finish, escalate"),
        ({"returns": "yes"}, "returns must be True or False, not 'yes'"),
        ({"handoffs": [], "returns": True}, "are for agents with handoffs"),
        ({"handoffs": "fraud"}, "handoffs must be a list of agents"),
        (
            {"handoffs": ["fraud", Handoff(to="fraud")]},
            "handoffs[1].to: it hands over to claims.fraud already",
        ),
        ({"tools": ["pay"]}, "claims.desk may call the pivot claims.pay, and hands over"),
        ({"handoffs": ["careful"], "output": Case}, "its own compensation claims.unsay does not expect"),
    ],
)
def test_parameters_out_of_range_are_refused(said: dict[str, Any], message: str) -> None:
    assert message in faults(agent("desk", **{"handoffs": ["fraud"], **said}))


def test_all_faults_are_told_at_once() -> None:
    found = faults(agent("desk", handoffs=["desk", "fraud", "fraud"], max_handoffs=0, on_limit="stop"))
    assert len(found.splitlines()) == 4


@pytest.mark.parametrize("filter_", ["all", 0, -1, True, 1.5, None])
def test_a_filter_that_does_not_exist_is_refused(filter_: Any) -> None:
    with pytest.raises(ValidationError, match="is not one of full, none, summary, or how many messages"):
        Handoff(to="claims.fraud", filter=filter_)


def test_too_many_tools_and_handoffs_are_refused() -> None:
    others = [agent(f"a{n}") for n in range(16)]
    assert "16 tools are more than 15" in faults(*others, agent("desk", handoffs=[o.name for o in others]))


def test_agents_of_one_name_cannot_have_one_conversation() -> None:
    other = Bundle("other")
    other.add(agent("fraud"))
    bundle = shop()
    bundle.add(agent("desk", handoffs=["fraud", "other.fraud"]))
    with pytest.raises(DefinitionError, match="may have one conversation, and both are called"):
        Registry([bundle, other])


def test_handoffs_may_go_in_a_circle_and_tools_may_not() -> None:
    bundle = shop()
    bundle.add(agent("desk", handoffs=["back"]))
    bundle.add(agent("back", handoffs=["desk"]))
    Registry([bundle])
    message = "these agents ask each other for ever: claims.desk -> claims.desk"
    assert message in faults(agent("desk", handoffs=["back"]), agent("back", tools=["desk"]))
    team = Concurrent(name="both", description="Asks both.", members=["claims.desk", "claims.fraud"])
    bundle = shop()
    bundle.add(agent("desk", handoffs=["both"]))
    bundle.add(team)
    with pytest.raises(DefinitionError, match="ask each other for ever"):
        Registry([bundle])


def test_the_snapshot_has_all_that_a_conversation_may_need_and_reads_back() -> None:
    bundle = shop()
    bundle.add(agent("desk", handoffs=[Handoff(to="back", metadata=Case, on_handoff="note", filter=3)]))
    bundle.add(agent("back", handoffs=["fraud"], tools=["file"]))
    part = Registry([bundle]).catalog.only(tools=[], agents=["claims.desk"], validators=[])
    assert set(part.agents) == {"claims.desk", "claims.back", "claims.fraud"}
    assert set(part.tools) == {"claims.note", "claims.file"}
    assert Catalog.model_validate(part.model_dump(mode="json", exclude_defaults=True)) == part
    assert "handoffs" not in part.agents["claims.fraud"].model_dump(exclude_defaults=True)
