"""What models call the agents that they are offered: no two things are called the same."""

from __future__ import annotations

from typing import Any

from counterstep.saga.agents.assignment import Assignment
from counterstep.saga.agents.delegates import Delegates
from counterstep.saga.agents.model_names import taken_names
from counterstep.saga.agents.transfers import Transfers, TransferTool
from counterstep.saga.effect import Effect
from counterstep.saga.spec.catalog import AgentEntry
from counterstep.teams import Person

NOBODY: Any = None


def agent(name: str, **more: Any) -> AgentEntry:
    return AgentEntry(name=name, effect=Effect.READ_ONLY, input_schema={}, output_schema={}, **more)


def names(asking: AgentEntry, transfers: Transfers | None) -> frozenset[str]:
    others = [agent("a.ask_person"), agent("a.transfer_to_fraud"), agent("a.abandon"), agent("a.look")]
    job = Assignment(step="s", path="s", round=1, input={}, depends_on=frozenset(), compensation="c")
    return Delegates(others, job, NOBODY, NOBODY, NOBODY, taken_names(asking, transfers)).names


def test_a_delegate_is_not_called_like_what_its_caller_is_offered_beside_it() -> None:
    transfers = Transfers([TransferTool(to="fraud", description="d", parameters={})])
    asking = agent("a.desk", may_ask=Person(name="ann", ask="?"))
    assert {"a__ask_person", "a__transfer_to_fraud", "look"} < names(asking, transfers)
    assert not names(asking, transfers) & {"ask_person", "transfer_to_fraud"}


def test_a_delegate_keeps_its_name_where_nothing_else_has_it() -> None:
    assert {"ask_person", "transfer_to_fraud", "look"} < names(agent("a.desk"), None)
