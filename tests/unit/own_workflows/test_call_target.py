"""What `Saga.call` makes of its target."""

from __future__ import annotations

import pytest

from counterstep.saga.effect import Effect
from counterstep.saga.errors import DefinitionError
from counterstep.saga.own_workflows.call_target import read_action
from counterstep.saga.spec.catalog import AgentEntry, Catalog, ToolEntry

CATALOG = Catalog(
    tools={"shop.set_up": ToolEntry(name="shop.set_up", effect=Effect.READ_ONLY, parameters=("tools",))},
    agents={
        "shop.clerk": AgentEntry(name="shop.clerk", effect=Effect.READ_ONLY, tools=("shop.a", "shop.b")),
        "shop.code": AgentEntry(name="shop.code", effect=Effect.READ_ONLY, python=True),
    },
)


def test_a_call_may_leave_a_model_agent_some_of_its_tools() -> None:
    target, arguments = read_action("shop.clerk", CATALOG).with_tools(["shop.b"], {"what": "tea"})
    assert isinstance(target.entry, AgentEntry)
    assert (target.entry.tools, arguments) == (("shop.b",), {"what": "tea"})
    same, _ = read_action("shop.clerk", CATALOG).with_tools(None, {})
    assert same.entry == CATALOG.agents["shop.clerk"]


def test_all_tools_that_it_does_not_have_are_told() -> None:
    with pytest.raises(DefinitionError) as refused:
        read_action("shop.clerk", CATALOG).with_tools(["shop.bb", "shop.b", "wire"], {})
    first, second = str(refused.value).splitlines()
    assert first == "shop.clerk has no tool 'shop.bb'; did you mean 'shop.b'?"
    assert second.startswith("shop.clerk has no tool 'wire'")


@pytest.mark.parametrize("name", ["shop.set_up", "shop.code", "an.activity"])
def test_for_anything_else_tools_are_an_argument(name: str) -> None:
    target, arguments = read_action(name, CATALOG).with_tools(["hammer"], {"size": 1})
    assert (target, arguments) == (read_action(name, CATALOG), {"size": 1, "tools": ["hammer"]})
