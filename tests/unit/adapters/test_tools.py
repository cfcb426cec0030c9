"""What cannot be a tool for an agent of a framework is told at once, all of it, and in words."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any, cast

import pytest

from counterstep import DefinitionError, Saga
from counterstep.adapters.saga_tool import SagaTool, tools_of
from counterstep.bundle.registry import Registry
from counterstep.saga.history_format import ENGINE
from counterstep.saga.own_workflows.agent_calls import AgentCalls
from counterstep.tests.support.bundles.agents import team
from counterstep.tests.support.bundles.desk import announce, desk, hand_over, look, put, put_async
from counterstep.tests.support.bundles.till import pay


def calls() -> AgentCalls:
    """Those of a saga whose worker has the bundle `desk`, and another one with agents."""
    context: Any = SimpleNamespace(catalog=Registry([desk, team]).catalog, record=None, engine=ENGINE)
    unused = cast(Any, None)
    return AgentCalls(context, unused, unused, unused)


def test_tools_are_given_as_functions_or_by_name() -> None:
    found = calls().tools([put, "desk.look"])
    assert [tool.name for tool in found] == ["desk.put", "desk.look"]


def test_all_faults_are_told_in_a_sentence_each() -> None:
    agent = next(iter(Registry([desk, team]).catalog.agents))
    with pytest.raises(DefinitionError) as caught:
        calls().tools([put, pay, "desk.putt", hand_over, len, agent, put, announce])
    foreign, misspelt, pivot, plain, other_kind, twice = str(caught.value).splitlines()
    assert foreign.startswith("this worker does not offer 'till.pay'")
    assert misspelt == "this worker does not offer 'desk.putt'; did you mean 'desk.put'?"
    assert pivot.startswith("'desk.hand_over' is a pivot") and "saga.call(hand_over" in pivot
    assert plain.startswith("'len' is not a tool of a bundle; declare it with @bundle.tool")
    assert other_kind == f"{agent!r} is an agent of the bundle, and not a tool"
    assert twice == "'desk.put' is given twice; give it once"


def test_a_saga_that_is_not_open_has_no_tools() -> None:
    with pytest.raises(DefinitionError, match="the saga is not open"):
        tools_of(Saga(), [put])


def test_a_single_tool_is_not_a_list_of_tools() -> None:
    for given in (put, "desk.put"):
        with pytest.raises(DefinitionError, match="give saga_tools a list of tools"):
            tools_of(Saga(), cast(Any, given))


def test_models_see_a_schema_of_an_object_also_where_there_are_no_arguments() -> None:
    entry = calls().tools([look])[0].model_copy(update={"input_schema": {}, "description": ""})
    tool = SagaTool("look", entry, calls(), None)
    assert tool.parameters == {"type": "object", "properties": {}} and tool.description == "desk.look"
    assert SagaTool("put_async", calls().tools([put_async])[0], calls(), None).parameters["required"] == [
        "what"
    ]


def test_a_framework_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "agents", None)
    monkeypatch.delitem(sys.modules, "counterstep.adapters.openai_agents", raising=False)
    with pytest.raises(DefinitionError, match=r"^[^\n]*pip install[^\n]*$"):
        __import__("counterstep.adapters.openai_agents")
