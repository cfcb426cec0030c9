"""The authoring API: what the design writes works, and every wrong use is refused by name."""

from __future__ import annotations

import dataclasses
import enum
import functools
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, RootModel, ValidationError
from temporalio import activity, workflow
from typing_extensions import TypedDict

from counterstep import (
    Agent,
    Bundle,
    DefinitionError,
    Effect,
    SpecError,
    Subject,
    Undo,
    Verdict,
    current_step,
)
from counterstep.bundle.function import Function
from counterstep.bundle.loading import load_bundle, load_bundles
from counterstep.bundle.registry import MAX_TOOLS, Registry
from counterstep.tests.support.bundles.shop import (
    Appraisal,
    Order,
    Reservation,
    Shipment,
    price_of,
    reserve_stock,
    shop,
)


class Item(BaseModel):
    sku: str


class Opaque:
    pass


class Colour(enum.StrEnum):
    RED = "red"


class Point(TypedDict):
    x: int


def refused(declare: Callable[[Bundle], Any]) -> str:
    with pytest.raises(DefinitionError) as caught:
        declare(Bundle("b"))
    return str(caught.value)


# --- the design's bundle


def test_the_designs_bundle_is_what_it_says() -> None:
    catalog = Registry([shop]).catalog
    assert set(catalog.tools) == {
        "shop.reserve_stock",
        "shop.read_plan",
        "shop.change_plan",
        "shop.price_of",
        "shop.hand_to_courier",
        "shop.write_to",
    }
    own = {"shop.release_stock", "shop.restore_plan"}
    assert set(catalog.compensations) == {"counterstep.retract", "counterstep.recover_child", *own}
    assert set(catalog.agents) == {"shop.appraiser", "shop.buyer"}
    assert set(catalog.validators) == {"shop.within_stock", "shop.is_cheap"}

    reserve = catalog.tools["shop.reserve_stock"]
    assert (reserve.effect, reserve.compensate) == (Effect.COMPENSATABLE, "shop.release_stock")
    assert reserve.description == "Reserves an article."
    assert reserve.parameters == ("sku", "quantity")
    assert reserve.input_schema["properties"].keys() == {"sku", "quantity"}
    assert reserve.input_schema["required"] == ["sku", "quantity"]
    assert reserve.input_schema["additionalProperties"] is False
    assert reserve.output_schema["properties"].keys() == {"id", "quantity"}

    change = catalog.tools["shop.change_plan"]
    assert (change.before, change.compensate) == ("shop.read_plan", "shop.restore_plan")
    assert catalog.compensations["shop.restore_plan"].timeout == timedelta(minutes=5)
    assert catalog.tools["shop.hand_to_courier"].effect is Effect.PIVOT
    write = catalog.tools["shop.write_to"]
    assert (write.effect, write.timeout, write.idempotent) == (Effect.RETRIABLE, timedelta(seconds=90), True)
    assert catalog.validators["shop.is_cheap"].fast
    assert not catalog.validators["shop.within_stock"].fast


def test_the_designs_agents() -> None:
    catalog = Registry([shop]).catalog
    appraiser = catalog.agents["shop.appraiser"]
    assert (appraiser.python, appraiser.whole_input, appraiser.effect) == (True, True, Effect.READ_ONLY)
    assert appraiser.compensate == "counterstep.retract"
    assert appraiser.output_schema["properties"].keys() == {"price", "reasons"}
    bought = catalog.agents["shop.buyer"]
    assert (bought.python, bought.models, bought.max_turns) == (False, ("openai/gpt-5-mini",), 8)
    assert bought.tools == ("shop.price_of", "shop.reserve_stock")
    assert (bought.effect, bought.compensate) == (Effect.READ_ONLY, "counterstep.retract")
    assert bought.input_schema["required"] == ["sku"]
    assert bought.output_schema["required"] == ["order_id", "price"]


async def test_functions_stay_functions() -> None:
    assert await reserve_stock("a", 2) == Reservation(id="r-a", quantity=2)
    assert await price_of("a") == 9.5


def test_the_current_step_is_known_inside_a_call_only() -> None:
    with pytest.raises(RuntimeError, match="answers only inside a call made by a Counterstep task"):
        current_step()


def test_names_may_be_functions() -> None:
    bundle = Bundle("b")

    @bundle.compensation
    def take_back(undo: Undo[Any]) -> None: ...

    @bundle.tool(effect=Effect.READ_ONLY)
    def look(what: str) -> str:
        return what

    @bundle.tool(compensate=take_back, before=look)
    def do(what: str) -> None: ...

    @bundle.agent(compensate=take_back, timeout=timedelta(seconds=3))
    def work(what: str, often: int = 1) -> str:
        return what

    bundle.add(Agent(name="model", description="d", instructions="i", tools=[do, "look", "shop.price_of"]))
    catalog = Registry([bundle, shop]).catalog
    assert (catalog.tools["b.do"].compensate, catalog.tools["b.do"].before) == ("b.take_back", "b.look")
    assert catalog.agents["b.model"].tools == ("b.do", "b.look", "shop.price_of")
    agent = catalog.agents["b.work"]
    assert (agent.effect, agent.compensate, agent.whole_input) == (Effect.COMPENSATABLE, "b.take_back", False)
    assert agent.input_schema["properties"].keys() == {"what", "often"}


def test_an_agent_with_a_compensation_of_its_own_is_compensatable() -> None:
    bundle = Bundle("b")
    bundle.add(Agent(name="a", description="d", instructions="i", compensate="undo"))
    bundle.add(Agent(name="c", description="d", instructions="i", effect=Effect.COMPENSATABLE))
    assert bundle.agents["b.a"].effect is Effect.COMPENSATABLE
    assert bundle.agents["b.a"].compensate == "b.undo"
    assert bundle.agents["b.c"].compensate == "counterstep.retract"


@pytest.mark.parametrize(
    ("model", "models"), [(None, ()), ("", ()), ("a/b", ("a/b",)), (["a/b", "c"], ("a/b", "c")), ([], ())]
)
def test_models_of_an_agent(model: Any, models: tuple[str, ...]) -> None:
    bundle = Bundle("b")
    agent = bundle.add(Agent(name="a", description="d", instructions="i", model=model))
    assert bundle.agents["b.a"].models == models
    assert isinstance(agent, Agent)


@workflow.defn(sandboxed=False)
class Flow:
    @workflow.run
    async def run(self) -> None: ...


@workflow.defn(name="Flow", sandboxed=False)
class OtherFlow:
    @workflow.run
    async def run(self) -> None: ...


@activity.defn
async def act() -> None: ...


@activity.defn(name="act")
async def other_act() -> None: ...


def test_temporals_own_workflows_and_activities_are_taken_as_they_are() -> None:
    bundle = Bundle("b")
    assert bundle.add(Flow) is Flow
    assert bundle.add(act) is act
    registry = Registry([bundle, bundle])
    assert registry.workflows == [Flow]
    assert registry.activities == [act]


# --- types

TYPES: list[tuple[Any, Any, Any]] = [
    (int, 1, 1),
    (float, 1, 1.0),
    (str, "a", "a"),
    (bool, True, True),
    (type(None), None, None),
    (list[int], [1], [1]),
    (dict[str, Any], {"a": [1]}, {"a": [1]}),
    (tuple[int, str], [1, "a"], (1, "a")),
    (int | None, None, None),
    (Literal["a", "b"], "a", "a"),
    (Colour, "red", Colour.RED),
    (Item, {"sku": "a"}, Item(sku="a")),
    (list[Item], [{"sku": "a"}], [Item(sku="a")]),
    (Shipment, {"tracking": "t"}, Shipment(tracking="t")),
    (Point, {"x": 1}, {"x": 1}),
    (date, "2026-01-01", date(2026, 1, 1)),
    (Decimal, "1.5", Decimal("1.5")),
    (Annotated[int, Field(ge=1)], 1, 1),
    (Any, {"a": 1}, {"a": 1}),
]


@pytest.mark.parametrize(("type_", "json", "value"), TYPES)
def test_types_travel_both_ways(type_: Any, json: Any, value: Any) -> None:
    def same(thing: Any) -> Any:
        return thing

    same.__annotations__ = {"thing": type_, "return": type_}
    function = Function(same, "tool b.same")
    bound = function.bind({"thing": json})
    assert bound == {"thing": value}
    assert type(bound["thing"]) is type(value)
    assert function.dump(value) == json


def test_results_are_checked_before_they_travel() -> None:
    def number() -> int:
        return 1

    def anything():  # type: ignore[no-untyped-def]
        return 1

    for wrong in ("x", None, 1.5):
        with pytest.raises(ValidationError):
            Function(number, "tool b.number").dump(wrong)
    free = Function(anything, "tool b.anything")
    assert free.dump({1: (2, {3})}) == {"1": [2, [3]]}
    for result in (Opaque(), b"\xff", float("nan"), {"a": [float("inf")]}):
        with pytest.raises(ValidationError, match="cannot travel as JSON"):
            free.dump(result)


def test_arguments_are_checked_by_name() -> None:
    def do(sku: str, quantity: int = 1, schema: str = "s", model_config: str = "c", _x: int = 0) -> None:
        """Does

        it.
        """

    function = Function(do, "tool b.do")
    assert function.description == "Does"
    assert function.parameters == ("sku", "quantity", "schema", "model_config", "_x")
    assert function.bind({"sku": "a", "_x": 3}) == {
        "sku": "a",
        "quantity": 1,
        "schema": "s",
        "model_config": "c",
        "_x": 3,
    }
    refusals: list[Any] = [{}, {"sku": "a", "more": 1}, {"sku": "a", "quantity": "x"}, [], "a", None]
    for wrong in refusals:
        with pytest.raises(ValidationError):
            function.bind(wrong)


@pytest.mark.parametrize("type_", [Item, Shipment, Point, dict[str, int], dict])
def test_one_object_is_a_whole_input(type_: Any) -> None:
    def one(thing: Any) -> None: ...

    one.__annotations__ = {"thing": type_}
    function = Function(one, "agent b.one")
    assert function.takes_one_object
    assert function.object_schema.get("type") == "object" or "$ref" in function.object_schema


@pytest.mark.parametrize("type_", [int, list[Item], Item | None, Any])
def test_anything_else_is_arguments_by_name(type_: Any) -> None:
    def one(thing: Any) -> None: ...

    one.__annotations__ = {"thing": type_}
    assert not Function(one, "agent b.one").takes_one_object


# --- wrong use


@pytest.mark.parametrize("name", ["", "Shop", "1shop", "my shop", "shop\n", "counterstep", "shop.x", None])
def test_bundle_names(name: Any) -> None:
    with pytest.raises(DefinitionError, match="names look like"):
        Bundle(name)


def a_tool(sku: str) -> str:
    return sku


def stray(sku: str) -> str:
    return sku


def yields(sku: str) -> Iterator[str]:
    yield sku


async def async_yields(sku: str) -> AsyncIterator[str]:
    yield sku


def opaque_parameter(thing: Opaque) -> None: ...


def opaque_result() -> Opaque:
    return Opaque()


def callable_parameter(thing: Callable[[], int]) -> None: ...


def unresolved(thing: NoSuchType) -> None: ...  # type: ignore[name-defined]  # noqa: F821


def positional_only(sku: str, /) -> None: ...


def many(*skus: str) -> None: ...


def named(**skus: str) -> None: ...


class Desk:
    def method(self, sku: str) -> None: ...

    @classmethod
    def of_class(cls, sku: str) -> None: ...

    def __call__(self, sku: str) -> None: ...


READ: dict[str, Any] = {"effect": Effect.READ_ONLY}


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        # effects
        (lambda b: b.tool(a_tool), "tool b.a_tool: its effect is not said; give compensate"),
        (lambda b: b.tool()(a_tool), "tool b.a_tool: its effect is not said"),
        (lambda b: b.agent(a_tool), "agent b.a_tool: its effect is not said"),
        (
            lambda b: b.tool(effect="safe")(a_tool),
            "tool b.a_tool: 'safe' is not an effect; there are read_only, ",
        ),
        (lambda b: b.tool(effect=5)(a_tool), "tool b.a_tool: 5 is not an effect"),
        (
            lambda b: b.tool(effect=Effect.COMPENSATABLE)(a_tool),
            "tool b.a_tool: it is compensatable but names no",
        ),
        (
            lambda b: b.tool(effect=Effect.PIVOT, compensate="x")(a_tool),
            "tool b.a_tool: it names a compensation, so its effect is compensatable, not pivot",
        ),
        (
            lambda b: b.agent(effect="read_only", compensate="x")(a_tool),
            "agent b.a_tool: it names a compensation",
        ),
        # names
        (lambda b: b.tool(**READ)(lambda x: x), "bundle b: '<lambda>' is not a valid tool name"),
        (lambda b: b.tool(**READ)(functools.partial(a_tool, "x")), "is not a valid tool name"),
        (lambda b: b.tool(**READ)(Desk()), "is not a valid tool name"),
        (
            lambda b: [b.tool(**READ)(a_tool), b.validator(a_tool)],
            "validator b.a_tool: the name is taken by a tool",
        ),
        (
            lambda b: [b.agent(**READ)(a_tool), b.tool(**READ)(a_tool)],
            "tool b.a_tool: the name is taken by an agent",
        ),
        (
            lambda b: b.tool(compensate=stray)(a_tool),
            "tool b.a_tool: 'stray' is not registered in a bundle yet",
        ),
        (lambda b: b.tool(compensate="no good")(a_tool), "tool b.a_tool: 'no good' is not a name"),
        (lambda b: b.tool(compensate="")(a_tool), "tool b.a_tool: '' is not a name"),
        (
            lambda b: b.tool(compensate="x", before=5)(a_tool),
            "tool b.a_tool: 5 is not registered in a bundle yet",
        ),
        # what is not a function
        (lambda b: b.tool(**READ)(Desk), "tool b.Desk: <class"),
        (lambda b: b.tool(**READ)(5), "bundle b: '5' is not a valid tool name"),
        (lambda b: b.tool(**READ)(yields), "tool b.yields: it yields; return the whole result instead"),
        (lambda b: b.agent(**READ)(async_yields), "agent b.async_yields: it yields"),
        (lambda b: b.tool(**READ)(Desk.method), "tool b.method: it is a method; register a function"),
        (
            lambda b: b.tool(**READ)(Desk().method),
            "tool b.method: it is not a plain function; wrap it in one",
        ),
        (lambda b: b.tool(**READ)(Desk.of_class), "tool b.of_class: it is not a plain function"),
        (lambda b: b.tool(**READ)(len), "tool b.len: parameter 'obj' is positional-only"),
        # types
        (
            lambda b: b.tool(**READ)(opaque_parameter),
            "tool b.opaque_parameter: a parameter cannot travel as JSON",
        ),
        (lambda b: b.tool(**READ)(opaque_result), "tool b.opaque_result: its result cannot travel as JSON"),
        (
            lambda b: b.agent(**READ)(callable_parameter),
            "agent b.callable_parameter: its parameters cannot travel",
        ),
        (
            lambda b: b.tool(**READ)(unresolved),
            "tool b.unresolved: its annotations cannot be resolved: name 'NoSuch",
        ),
        (
            lambda b: b.tool(**READ)(positional_only),
            "tool b.positional_only: parameter 'sku' is positional-only",
        ),
        (lambda b: b.tool(**READ)(many), "tool b.many: parameter 'skus' is *args"),
        (lambda b: b.tool(**READ)(named), "tool b.named: parameter 'skus' is **kwargs"),
        # timeouts
        (lambda b: b.tool(**READ, timeout="1 min")(a_tool), "tool b.a_tool: timeout: a duration looks like"),
        (
            lambda b: b.agent(**READ, timeout=timedelta(0))(a_tool),
            "agent b.a_tool: timeout: a duration must be more",
        ),
        (
            lambda b: b.compensation(timeout=5)(stray),
            "compensation b.stray: it must take exactly one parameter",
        ),
        # agents
        (lambda b: b.add(agent(name="a b")), "bundle b: 'a b' is not a valid agent name"),
        (lambda b: b.add(agent(name="a\n")), "is not a valid agent name"),
        (lambda b: b.add(agent(name=5)), "bundle b: 5 is not a valid agent name"),
        (lambda b: [b.add(agent()), b.add(agent())], "agent b.a: the name is taken by an agent"),
        (lambda b: b.add(agent(max_turns=0)), "agent b.a: max_turns must be at least 1"),
        (lambda b: b.add(agent(seed=True)), "agent b.a: seed must be a whole number from 0 to 2147483647"),
        (lambda b: b.add(agent(seed=2**31)), "agent b.a: seed must be a whole number from 0 to"),
        (lambda b: b.add(agent(max_turns="8")), "agent b.a: max_turns must be at least 1"),
        (lambda b: b.add(agent(description=None)), "agent b.a: its description must be text"),
        (lambda b: b.add(agent(instructions=5)), "agent b.a: its instructions must be text"),
        (lambda b: b.add(agent(input=int)), "agent b.a: its input must be an object"),
        (lambda b: b.add(agent(input=list[int])), "agent b.a: its input must be an object"),
        (lambda b: b.add(agent(input=RootModel[list[int]])), "agent b.a: its input must be an object"),
        (lambda b: b.add(agent(output=Opaque)), "agent b.a: its output cannot travel as JSON"),
        (lambda b: b.add(agent(output={"type": "objekt"})), "agent b.a: output.type: is not a JSON Schema"),
        (lambda b: b.add(agent(input={"required": "x"})), "agent b.a: input.required: is not a JSON Schema"),
        (lambda b: b.add(agent(tools=[stray])), "agent b.a: 'stray' is not registered in a bundle yet"),
        (lambda b: b.add(agent(tools="price_of")), "agent b.a: tools must be a list of functions or names"),
        (lambda b: b.add(agent(tools=["x", "b.x"])), "agent b.a: it names b.x twice among its tools"),
        (lambda b: b.add(agent(model=["a", 5])), "agent b.a: model must be a litellm name or a list of them"),
        (lambda b: b.add(agent(effect="safe")), "agent b.a: 'safe' is not an effect"),
        (lambda b: b.add(agent(effect=Effect.PIVOT, compensate="x")), "agent b.a: it names a compensation"),
        (lambda b: b.add(agent(timeout="x")), "agent b.a: timeout: a duration looks like"),
        # what else is added
        (
            lambda b: b.add(a_tool),
            "a workflow or an activity; tools, compensations and validators have decorators",
        ),
        (
            lambda b: b.add(Desk),
            "is not an agent, a team, an McpServer, an HttpTool, a workflow or an activity",
        ),
        (lambda b: b.add("shop.buyer"), "bundle b: 'shop.buyer' is not an agent"),
    ],
)
def test_wrong_use_is_refused_by_name(declare: Callable[[Bundle], Any], message: str) -> None:
    assert message in refused(declare)


def agent(**changes: Any) -> Agent[Any]:
    said: dict[str, Any] = {"name": "a", "description": "d", "instructions": "i"} | changes
    return Agent(**said)


def takes_undo(undo: Undo[Item]) -> None: ...


def takes_plain_undo(undo: Undo) -> None: ...  # type: ignore[type-arg]


def takes_anything(undo) -> None: ...  # type: ignore[no-untyped-def]


def takes_output(item: Item) -> None: ...


def takes_two(undo: Undo[Item], item: Item) -> None: ...


def takes_none() -> None: ...


def judges(subject: Subject) -> Verdict:
    return Verdict.accept()


def judges_loosely(subject):  # type: ignore[no-untyped-def]
    return Verdict.accept()


def judges_item(item: Item) -> Verdict:
    return Verdict.accept()


def says_yes(subject: Subject) -> bool:
    return True


def test_compensations_take_an_undo() -> None:
    for right in (takes_undo, takes_plain_undo, takes_anything):
        Bundle("b").compensation(right)
    for wrong in (takes_output, takes_two, takes_none):
        with pytest.raises(DefinitionError) as caught:
            Bundle("b").compensation(wrong)
        assert str(caught.value) == (
            f"compensation b.{wrong.__name__}: it must take exactly one parameter, (undo: Undo[...])"
        )


def test_validators_take_a_subject_and_give_a_verdict() -> None:
    for right in (judges, judges_loosely):
        Bundle("b").validator(right)
    for wrong in (judges_item, takes_none, takes_two):
        with pytest.raises(DefinitionError) as caught:
            Bundle("b").validator(wrong)
        assert str(caught.value) == (
            f"validator b.{wrong.__name__}: it must take exactly one parameter, (subject: Subject)"
        )
    assert refused(lambda b: b.validator(says_yes)) == "validator b.says_yes: it must return a Verdict"


def test_an_undo_carries_the_outputs_type() -> None:
    function = Function(takes_undo, "compensation b.takes_undo")
    said = {"input": {}, "idempotency_key": "k", "reason": "r", "step": "s", "task_id": "t"}
    assert function.bind({"undo": said | {"output": {"sku": "a"}}})["undo"].output == Item(sku="a")
    assert function.bind({"undo": said})["undo"].output is None


# --- all bundles of a worker


def test_all_faults_of_a_worker_come_at_once() -> None:
    one, other, same = Bundle("one"), Bundle("other"), Bundle("one")
    one.tool(compensate="take_bak")(a_copy("do"))
    one.compensation(a_copy("take_back", takes_plain_undo))
    one.tool(**READ)(a_copy("look"))
    one.tool(effect=Effect.PIVOT)(a_copy("send"))
    one.tool(compensate="look")(a_copy("do_it"))
    one.tool(compensate="take_back", before="send")(a_copy("with_pivot"))
    one.tool(compensate="take_back", before="lok")(a_copy("with_unknown"))
    one.tool(**READ, before="look")(a_copy("with_nothing"))
    one.tool(compensate="take_back", before="look")(a_copy("with_others", takes_output))
    other.add(agent(tools=["one.look", "one.send", "nope", "one.take_back"], compensate="one.take_bakc"))
    other.add(agent(name="busy", tools=[f"one.u{n}" for n in range(MAX_TOOLS + 1)], many_tools=True))
    other.add(agent(name="busier", tools=[f"one.u{n}" for n in range(MAX_TOOLS + 1)]))
    with pytest.raises(DefinitionError) as caught:
        Registry([one, other, same])
    faults = [line for line in str(caught.value).splitlines() if "there is no tool 'one.u" not in line]
    assert faults == [
        "two bundles are named 'one'; a name must be unique on a worker",
        "tool one.do: there is no compensation 'one.take_bak'; did you mean 'one.take_back'?",
        "tool one.do_it: 'one.look' is a tool of the bundle, and not a compensation",
        "tool one.with_pivot: before=one.send must be read_only, and it is pivot",
        "tool one.with_unknown: before: there is no tool 'one.lok'; did you mean 'one.look'?",
        "tool one.with_nothing: before is for an undo or an approval, and it has neither",
        "tool one.with_others: before=one.look must take the same parameters (item)",
        "agent other.a: there is no compensation 'one.take_bakc'; did you mean 'one.take_back'?",
        "agent other.a: there is no tool 'other.nope'; there are one.do, one.do_it, one.look, one.send, "
        "one.with_nothing, one.with_others, one.with_pivot, one.with_unknown",
        "agent other.a: 'one.take_back' is a compensation of the bundle; it runs by itself when a "
        "call is undone",
        "agent other.a: one.send is a pivot; an agent may choose it only with a person's approval=",
        "agent other.busier: 16 tools are more than 15; split it, or say many_tools=True",
    ]


def a_copy(name: str, function: Callable[..., Any] = a_tool) -> Callable[..., Any]:
    @functools.wraps(function)
    def copy(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    copy.__name__ = name
    return copy


def test_temporal_names_are_unique_on_a_worker() -> None:
    one, other = Bundle("one"), Bundle("other")
    one.add(Flow)
    one.add(act)
    other.add(OtherFlow)
    other.add(other_act)
    with pytest.raises(DefinitionError) as caught:
        Registry([one, other])
    assert str(caught.value).splitlines() == [
        "two workflows are named 'Flow'; a name must be unique on a worker",
        "two activities are named 'act'; a name must be unique on a worker",
    ]


def test_an_empty_worker_still_retracts() -> None:
    assert list(Registry([]).catalog.compensations) == ["counterstep.retract", "counterstep.recover_child"]


def test_the_stand_in_plays_only_where_no_model_is_set() -> None:
    bundle = Bundle("b", stand_in=True)
    bundle.add(agent())
    entry = Registry([bundle]).catalog.agents["b.a"]
    assert Registry([bundle]).catalog.models_of(entry) == ("stand-in/echo",)
    assert Registry([bundle], ["m"]).catalog.models_of(entry) == ("m",)


# --- registered tasks

TASK = "name: order\nsteps: [{id: a, tool: shop.price_of, input: {sku: x}}]\n"


def test_tasks_are_registered_from_files_and_values(tmp_path: Path) -> None:
    (tmp_path / "order.yaml").write_text(TASK)
    bundle = Bundle("b")
    first = bundle.add_task(tmp_path / "order.yaml")
    second = bundle.add_task({"name": "other", "steps": [{"id": "a", "tool": "x.y"}]})
    third = bundle.add_task(first.model_copy(update={"name": "third"}))
    assert bundle.tasks == {"b.order": first, "b.other": second, "b.third": third}
    assert set(Registry([bundle]).catalog.tasks) == {"b.order", "b.other", "b.third"}


def test_a_relative_file_is_beside_the_module_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "elsewhere"
    package.mkdir()
    (package / "order.yaml").write_text(TASK)
    (package / "told_shop.py").write_text(
        "from counterstep import Bundle\nshop = Bundle('told')\nshop.add_task('order.yaml')\n"
    )
    monkeypatch.syspath_prepend(str(package))
    assert set(load_bundle("told_shop:shop").tasks) == {"told.order"}


def test_a_task_with_faults_says_which_task_it_is(tmp_path: Path) -> None:
    (tmp_path / "order.yaml").write_text("name: order\nsteps: [{id: a}, {id: B, tool: x.y}]")
    with pytest.raises(SpecError) as caught:
        Bundle("b").add_task(tmp_path / "order.yaml")
    assert {fault.path for fault in caught.value.faults} == {
        "bundle b, task order.yaml: steps[0]",
        "bundle b, task order.yaml: steps[1].id",
    }
    with pytest.raises(SpecError, match=r"bundle b, task order: steps: must not be empty"):
        Bundle("b").add_task({"name": "order", "steps": []})
    with pytest.raises(SpecError, match="cannot be read: No such file"):
        Bundle("b").add_task(tmp_path / "none.yaml")


def test_a_tasks_name_is_taken_once(tmp_path: Path) -> None:
    bundle = Bundle("b")
    document = {"name": "order", "steps": [{"id": "a", "tool": "x.y"}]}
    bundle.add_task(document)
    with pytest.raises(DefinitionError, match=r"task b\.order: the name is taken by a task"):
        bundle.add_task(document)


# --- loading


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


def test_bundles_are_loaded_by_reference(modules: Path) -> None:
    (modules / "loaded_a.py").write_text("from counterstep import Bundle\na = Bundle('a')\nb = Bundle('b')\n")
    one, other = load_bundles(["loaded_a:a", "loaded_a:b", "loaded_a:a"])
    assert (one.name, other.name) == ("a", "b")
    assert load_bundle("loaded_a:a") is one


def test_a_bundle_in_the_working_directory_is_found_last(modules: Path) -> None:
    (modules / "json.py").write_text("raise RuntimeError('not this one')")
    with pytest.raises(DefinitionError, match="json has no 'shop'"):
        load_bundle("json:shop")


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("", "bundle '': write it as module:attribute, e.g. shop.bundle:shop"),
        ("shop", "bundle 'shop': write it as module:attribute"),
        (":shop", "write it as module:attribute"),
        ("shop:", "write it as module:attribute"),
        (
            "no_such_module_here:shop",
            "no_such_module_here cannot be imported: ModuleNotFoundError: No module named",
        ),
        ("loaded_broken:shop", "loaded_broken cannot be imported: ZeroDivisionError: division by zero"),
        ("loaded_syntax:shop", "loaded_syntax cannot be imported: SyntaxError"),
        ("loaded_exit:shop", "loaded_exit cannot be imported: SystemExit: 3"),
        (".relative:shop", "write it as module:attribute"),
        ("loaded_b:shp", "loaded_b has no 'shp'; it has other, shop"),
        (
            "loaded_request:shop",
            "HttpRequest: method: 'PSOT' is not one of 'GET', 'POST', 'PUT', 'PATCH' or 'DELETE'; "
            "boody: there is no key 'boody' here (loaded_request.py, line 2)",
        ),
        ("colorsys:shop", "colorsys has no 'shop'; it is "),
        ("loaded_b:number", "bundle 'loaded_b:number': it is of type int, not a counterstep.Bundle"),
        ("loaded_wrong:shop", "tool w.do: its effect is not said"),
    ],
)
def test_references_that_lead_nowhere(modules: Path, reference: str, message: str) -> None:
    (modules / "loaded_broken.py").write_text("1 / 0")
    (modules / "loaded_syntax.py").write_text("def")
    (modules / "loaded_exit.py").write_text("raise SystemExit(3)")
    (modules / "loaded_request.py").write_text(
        "from counterstep.stock import HttpRequest\nHttpRequest(method='PSOT', url='https://a.b/', boody=1)\n"
    )
    (modules / "loaded_b.py").write_text(
        "from counterstep import Bundle\nshop = Bundle('shop')\nother = Bundle('other')\nnumber = 5\n"
    )
    (modules / "loaded_wrong.py").write_text(
        "from counterstep import Bundle\nshop = Bundle('w')\n@shop.tool\ndef do(): ...\n"
    )
    with pytest.raises(DefinitionError) as caught:
        load_bundle(reference)
    assert message in str(caught.value)


def test_what_the_types_are_for() -> None:
    """The result types of the support bundle are all three kinds that users write."""
    assert issubclass(Appraisal, BaseModel)
    assert issubclass(Order, BaseModel)
    assert dataclasses.is_dataclass(Shipment)
