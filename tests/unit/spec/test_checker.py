"""The static check: what can run passes, and what cannot is told wholly before anything runs."""

from __future__ import annotations

import re
from typing import Any

import pytest

from counterstep import Agent, Bundle, Effect, Undo
from counterstep.bundle.registry import Registry
from counterstep.bundle.spec_file import parse_spec
from counterstep.bundle.yaml_document import read_document
from counterstep.saga.spec.catalog import Catalog
from counterstep.saga.spec.checker import check_input, check_spec
from counterstep.saga.spec.graph import Graph
from counterstep.tests.support.bundles.shop import ORDER, Purchase, shop

extra = Bundle("extra")


@extra.tool(compensate="take_back")
async def do(what: str = "") -> dict[str, Any]:
    return {}


@extra.compensation
async def take_back(undo: Undo[Any]) -> None: ...


@extra.tool(effect=Effect.READ_ONLY)
async def look(what: str = "") -> str:
    return what


@extra.tool(effect=Effect.READ_ONLY)
async def find(what: str = "") -> Purchase | None:
    return None


@extra.tool(effect=Effect.PIVOT)
async def send(what: str = "") -> str:
    return what


@extra.tool(effect=Effect.RETRIABLE)
async def log(what: str = "") -> str:
    return what


@extra.agent(compensate="take_back")
async def worker(what: str = "") -> str:
    return what


class Tree(Purchase):
    branches: tuple[Tree, ...] = ()


@extra.tool(effect=Effect.READ_ONLY)
async def grow(tree: Tree, often: int | None = None) -> Tree:
    return tree


for agent in (
    Agent(name="free", description="d", instructions="i"),
    Agent(name="writer", description="d", instructions="i", model=["openai/a", "openai/b"], output=Purchase),
    Agent(
        name="strict",
        description="d",
        instructions="i",
        model="m",
        input={"type": "object", "additionalProperties": False},
    ),
    Agent(name="doer", description="d", instructions="i", model="m/doer", tools=[do]),
):
    extra.add(agent)

CATALOG = Registry([shop, extra], ["openai/default"]).catalog
NO_MODEL = Registry([shop, extra]).catalog

INPUT = {
    "type": "object",
    "required": ["sku"],
    "properties": {"sku": {"type": "string"}, "count": {"type": "integer"}, "items": {"type": "array"}},
}


def faults(document: dict[str, Any] | str, catalog: Catalog = CATALOG) -> list[str]:
    read: dict[str, Any] = read_document(document, "spec.yaml") if isinstance(document, str) else document
    spec = parse_spec({"name": "x", "input": INPUT} | read)
    return [str(fault) for fault in check_spec(spec, catalog)]


def steps(*found: dict[str, Any], **more: Any) -> list[str]:
    numbered = [
        {"id": f"s{number}", **({} if _calls(step) else {"tool": "extra.look"})} | step
        for number, step in enumerate(found)
    ]
    return faults({"steps": numbered, **more})


def _calls(step: dict[str, Any]) -> bool:
    return bool({"tool", "agent", "group"} & step.keys())


def test_the_designs_order_passes() -> None:
    assert faults(ORDER) == []


@pytest.mark.parametrize(
    "document",
    [
        """
        steps:
          - {id: a, agent: shop.buyer, input: "${{ {'sku': task.sku} }}"}
          - {id: b, agent: shop.buyer, input: {sku: "${{ task.sku }}", quantity: 2}}
          - {id: c, agent: extra.free, input: {anything: {goes: "${{ steps.b.output.price }}"}}}
        """,
        """
        steps:
          - id: all
            for_each: task.items
            when: item > index && has(task.count)
            max_parallel: 2
            tool: extra.look
            input: {what: "${{ item }} of ${{ index }}"}
            validate: [{rule: "output == input.what && index >= 0", message: "${{ item }}: ${{ output }}"}]
          - id: after
            tool: extra.look
            input: {what: "${{ steps.all.output[0] }} ${{ steps.all.state }}"}
        output: {first: "${{ steps.all.output[0] }}", count: "${{ size(steps.all.output) }}"}
        validate: [{rule: "output.count == 1 && has(input.sku)"}]
        """,
        """
        steps:
          - {id: before, tool: extra.look}
          - id: g
            for_each: task.items
            group:
              steps:
                - {id: one, tool: extra.do, input: {what: "${{ item }} ${{ steps.before.output }}"}}
                - {id: two, tool: extra.do, needs: [one], input: {what: "${{ steps.one.output.x }}"}}
                - {id: rows, for_each: "[item, index]", tool: extra.look, input: {what: "${{ item }}"}}
              output: {last: "${{ steps.two.output }}", of: "${{ item }}"}
            validate: [{rule: "output.last != null && index >= 0"}]
          - {id: after, tool: extra.look, input: {what: "${{ steps.g.output[0].last }}"}}
        """,
        """
        steps:
          - {id: g, group: {steps: [{id: one, tool: extra.do}]}}
          - {id: h, group: {steps: [{id: two, tool: extra.do}], output: {a: 1}}}
          - {id: i, group: {steps: [{id: three, tool: extra.do}], output: "${{ steps.three.output }}"}}
          - id: x
            tool: extra.look
            input: {what: "${{ steps.g.output.one.k }} ${{ steps.h.output.a }} ${{ steps.i.output.q }}"}
        """,
        """
        steps:
          - id: a
            tool: "${{ task.count > 1 ? 'extra.look' : 'extra.log' }}"
            one_of: [extra.look, extra.log]
          - {id: b, tool: "extra.${{ task.sku }}", one_of: [extra.do]}
        """,
        # what the task's input says of other fields is taken at its word
        """
        input: {type: object, additionalProperties: true, properties: {a: {}}}
        steps: [{id: a, tool: extra.look, input: {what: "${{ task.b }}"}}]
        """,
        """
        input: {type: object, additionalProperties: {type: string}, properties: {a: {}}}
        steps: [{id: a, tool: extra.look, input: {what: "${{ task.b }}"}}]
        """,
        """
        input: {anyOf: [{properties: {b: {}}}], properties: {a: {}}}
        steps: [{id: a, tool: extra.look, input: {what: "${{ task.b }}"}}]
        """,
        """
        input: {$ref: "#/$defs/in", $defs: {in: {type: object, properties: {b: {type: string}}}}}
        steps: [{id: a, tool: extra.look, input: {what: "${{ task.b }}"}}]
        """,
        """
        input: {type: object}
        steps: [{id: a, tool: extra.look, input: {what: "${{ task.b }}"}}]
        """,
        # values of references, and null where it is allowed
        """
        steps:
          - id: a
            tool: extra.grow
            input: {tree: {order_id: x, price: 1, branches: [{order_id: y, price: 2.5}]}, often: null}
          - {id: b, tool: extra.grow, input: {tree: "${{ steps.a.output.branches[0] }}", often: 3}}
        """,
        # judges that differ from every author
        """
        steps:
          - id: a
            agent: extra.writer
            validate: [{judge: {model: other, criteria: "like ${{ output.price }}"}}]
        validate: [{judge: {model: [other, another], criteria: good}}, {check: shop.within_stock}]
        """,
        # what a spec may say about effects
        """
        steps:
          - {id: a, tool: extra.look, compensate: extra.take_back}
          - {id: b, tool: extra.look, compensate: extra.take_back, effect: compensatable}
          - {id: c, tool: extra.do, effect: compensatable}
          - {id: d, agent: extra.free, effect: compensatable}
          - {id: e, tool: extra.log, needs: [a, b, c, d], effect: pivot}
          - {id: f, tool: extra.look, needs: [e]}
          - {id: g, tool: extra.log}
        """,
        # a pivot in a group, after all that can be undone
        """
        steps:
          - {id: a, tool: extra.do}
          - id: g
            needs: [a]
            group:
              steps:
                - {id: b, tool: extra.do}
                - {id: each, for_each: task.items, tool: extra.do}
                - {id: c, tool: extra.send, needs: [b, each]}
                - {id: d, tool: extra.log, needs: [c]}
        """,
    ],
)
def test_what_can_run_passes(document: str) -> None:
    assert faults(document) == []


def test_without_a_schema_a_bare_name_is_taken_for_a_part_of_the_input() -> None:
    document = {"input": {"type": "object"}, "steps": [{"id": "a", "tool": "extra.look"} | reads("sku")]}
    assert faults(document) == [
        "steps[0].input.what: 'sku': there is no 'sku' to read; if it is part of the task's input, "
        "write task.sku"
    ]


def test_a_model_is_needed_only_by_models() -> None:
    document = {"steps": [{"id": "a", "agent": "extra.free"}, {"id": "b", "agent": "extra.worker"}]}
    assert faults(document) == []
    assert faults(document, NO_MODEL) == [
        "steps[0].agent: extra.free names no model; set COUNTERSTEP_MODEL or give its Agent a model"
    ]


def needs(*names: str) -> dict[str, Any]:
    return {"needs": list(names)}


def reads(expression: str, **more: Any) -> dict[str, Any]:
    return {"input": {"what": f"${{{{ {expression} }}}}"}, **more}


def group(*inner: dict[str, Any], output: Any = None, **more: Any) -> dict[str, Any]:
    return {"group": {"steps": list(inner), "output": output}, **more}


def judged(model: Any, **more: Any) -> dict[str, Any]:
    return {"validate": [{"judge": {"model": model, "criteria": "good"}}], **more}


INNER = {"id": "inner", "tool": "extra.look"}
UNDOABLE = {"tool": "extra.do"}
PIVOT = {"tool": "extra.send"}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        # order
        ([needs("s1"), needs("s0")], ["steps: these steps wait for each other: s0 -> s1 -> s0"]),
        (
            [needs("s1"), needs("s0"), needs("s3"), reads("steps.s2.output"), {}],
            [
                "steps: these steps wait for each other: s0 -> s1 -> s0",
                "steps: these steps wait for each other: s2 -> s3 -> s2",
            ],
        ),
        (
            [
                group(
                    needs("b") | {"id": "a", "tool": "extra.look"},
                    needs("a") | {"id": "b", "tool": "extra.look"},
                )
            ],
            ["steps[0].group.steps: these steps wait for each other: a -> b -> a"],
        ),
        (
            [group(INNER | reads("steps.s1.output")), needs("s0")],
            ["steps: these steps wait for each other: s0 -> s1 -> s0"],
        ),
        ([needs("s0")], ["steps[0].needs[0]: a step cannot wait for itself"]),
        (
            [needs("s1", "zzz"), {}],
            ["steps[0].needs[1]: there is no step 'zzz' to wait for; there is only s1"],
        ),
        ([needs("s11"), {}], ["steps[0].needs[0]: there is no step 's11' to wait for; did you mean 's1'?"]),
        (
            [{}, group(INNER | needs("s0", "s1"))],
            [
                "steps[1].group.steps[0].needs[0]: 's0' is outside the group 's1'; let the group need it",
                "steps[1].group.steps[0].needs[1]: 's1' is outside the group 's1'; let the group need it",
            ],
        ),
        (
            [group(INNER), needs("inner")],
            ["steps[1].needs[0]: there is no step 'inner' to wait for; there is only s0"],
        ),
        (
            [{}, {"id": "s0"}, group(INNER | {"id": "s0"})],
            [
                "steps[1].id: 's0' is the id of steps[0] already; ids are unique",
                "steps[2].group.steps[0].id: 's0' is the id of steps[0] already; ids are unique",
            ],
        ),
        # names
        (
            [{"tool": "extra.lok"}],
            ["steps[0].tool: there is no tool 'extra.lok'; did you mean 'extra.look'?"],
        ),
        ([{"agent": "writer"}], ["steps[0].agent: there is no agent 'writer'; did you mean 'extra.writer'?"]),
        ([{"agent": "extra.look"}], ["steps[0].agent: 'extra.look' is a tool; write tool: extra.look"]),
        (
            [{"tool": "extra.writer"}],
            ["steps[0].tool: 'extra.writer' is an agent; write agent: extra.writer"],
        ),
        (
            [UNDOABLE | {"compensate": "extra.take"}],
            ["steps[0].compensate: there is no compensation 'extra.take'; did you mean 'extra.take_back'?"],
        ),
        (
            [{"tool": "no.such", "compensate": "no.undo", "validate": [{"check": "shop.in_stock"}]}],
            [
                "steps[0].tool: there is no tool 'no.such'",
                "steps[0].compensate: there is no compensation 'no.undo'",
                "steps[0].validate[0].check: there is no validator 'shop.in_stock'; did you",
            ],
        ),
        (
            [{"on_failure": {"fallback": "extra.writr"}, "on_reject": {"fallback": "extra.do"}}],
            [
                "steps[0].on_failure.fallback: there is no agent 'extra.writr'; did you mean 'extra.writer'?",
                "steps[0].on_reject.fallback: 'extra.do' is a tool; a fallback is an agent",
            ],
        ),
        (
            [group(INNER, on_failure={"fallback": "extra.worker"})],
            ["steps[0].on_failure.fallback: a group has no fallback agent; give its steps one"],
        ),
        # a name that is something else
        (
            [{"tool": "extra.take_back"}],
            ["steps[0].tool: 'extra.take_back' is a compensation of the bundle; it runs by itself"],
        ),
        (
            [{"agent": "shop.within_stock"}],
            ["steps[0].agent: 'shop.within_stock' is a validator of the bundle; name it under validate, as"],
        ),
        (
            [UNDOABLE | {"compensate": "extra.look", "validate": [{"check": "extra.log"}]}],
            [
                "steps[0].compensate: 'extra.look' is a tool of the bundle, and not a compensation",
                "steps[0].validate[0].check: 'extra.log' is a tool of the bundle, and not a validator",
            ],
        ),
        ([{"tool": "${{ task.sku }}"}], ["steps[0].one_of: list what the name of the tool may come to"]),
        (
            [{"one_of": ["extra.look"]}],
            ["steps[0].one_of: 'extra.look' is one name already; leave one_of out"],
        ),
        (
            [{"tool": "${{ task.sku }}", "one_of": ["extra.look", "extra.nope"], "compensate": "no.undo"}],
            [
                "steps[0].one_of[1]: there is no tool 'extra.nope'; did you mean 'extra.do'?",
                "steps[0].compensate: there is no compensation 'no.undo'",
            ],
        ),
        # what is not filled in
        (
            [
                {"input": {"what": "for {{ task.sku }} and ${task.count}, ${{ '{{ sku }}' }}"}},
                {"input": {"what": ["${{ task.sku }}", {"${{ task.sku }}": "$ {{task.sku}}"}]}},
            ],
            [
                "steps[0].input.what: '{{ task.sku }}' is not filled in; write ${{ task.sku }}, or",
                "steps[0].input.what: '${task.count}' is not filled in; write ${{ task.count }}, or",
                "steps[1].input.what[1]: the key '${{ task.sku }}' is not filled in: only values are",
                "steps[1].input.what[1].${{ task.sku }}: '$ {{task.sku}}' is not filled in; write",
            ],
        ),
        (
            [
                {"input": {"what": "{task.sku} $task.sku $(task.sku), and (task.sku) and {sku}"}},
                {"input": {"what": ["steps.s0.output", "see steps.s0.output", "${{ 'steps.s0.output' }}"]}},
                {"when": "$task.sku"},
            ],
            [
                "steps[0].input.what: '{task.sku}' is not filled in; write ${{ task.sku }}, or",
                "steps[0].input.what: '$task.sku' is not filled in; write ${{ task.sku }}, or",
                "steps[0].input.what: '$(task.sku)' is not filled in; write ${{ task.sku }}, or",
                "steps[1].input.what[0]: 'steps.s0.output' is not filled in; write ${{ steps.s0.output }}",
                "steps[2].when: '$task.sku' does not parse",
            ],
        ),
        # a part of what has none
        (
            [
                {},
                reads("steps.s0.output.length"),
                reads("task.sku.name"),
                reads("task.count[0]"),
                {"validate": [{"rule": "output.size() > 0 && output.text == ''"}]},
            ],
            [
                "steps[1].input.what: steps.s0.output.length: the output of 's0' is text, and has no",
                "steps[2].input.what: task.sku.name: task.sku is text, and has no 'name'",
                "steps[3].input.what: task.count[0]: task.count is a number, and has no 0",
                "steps[4].validate[0].rule: output.text: the output of 's4' is text, and has no 'text'",
            ],
        ),
        (
            [
                {"tool": "extra.find", "input": {"what": "x"}},
                reads("steps.s0.output.prise"),
                reads("steps.s0.output.price"),
            ],
            ["steps[1].input.what: steps.s0.output.prise: the output of 's0' has no 'prise'; did you mean"],
        ),
        (
            [
                {"when": "{{ task.count > 1 }}", "task_queue": "of-${{ task.sku }}"},
                judged("m", tool="extra.look")
                | {"validate": [{"rule": "output != ''", "message": "{{ output }}"}, {"rule": "${output}"}]},
            ],
            [
                "steps[0].when: '{{ task.count > 1 }}' does not parse",
                "steps[0].task_queue: 'of-${{ task.sku }}' is taken as it is: nothing is filled in here",
                "steps[1].validate[1].rule: '${output}' does not parse: ",
                "steps[1].validate[0].message: '{{ output }}' is not filled in; write ${{ output }}",
            ],
        ),
        # inputs
        (
            [{"tool": "shop.reserve_stock", "input": {"skuu": "x"}}],
            [
                "steps[0].input: shop.reserve_stock needs 'sku', which is missing",
                "steps[0].input: shop.reserve_stock needs 'quantity', which is missing",
                "steps[0].input.skuu: shop.reserve_stock takes no 'skuu'; did you mean 'sku'?",
            ],
        ),
        (
            [{"agent": "shop.buyer", "input": {"quantiti": 2}}],
            [
                "steps[0].input: shop.buyer needs 'sku', which is missing",
                "steps[0].input.quantiti: shop.buyer takes no 'quantiti'; did you mean 'quantity'?",
            ],
        ),
        (
            [{"agent": "shop.appraiser", "input": {"sku": 5}}],
            ["steps[0].input.sku: 5 is not of type 'string'"],
        ),
        (
            [{"agent": "extra.strict", "input": {"a": 1}}],
            ["steps[0].input.a: extra.strict takes no 'a'; there are none"],
        ),
        (
            [
                {
                    "tool": "extra.grow",
                    "input": {"tree": {"price": "x", "branches": [{"order_id": 1}]}, "often": "y"},
                }
            ],
            [
                "steps[0].input.tree: 'order_id' is missing",
                "steps[0].input.tree.branches[0]: 'price' is missing",
                "steps[0].input.tree.branches[0].order_id: 1 is not of type 'string'",
                "steps[0].input.tree.price: 'x' is not of type 'number'",
                "steps[0].input.often: 'y' is not integer or null",
            ],
        ),
        ([{"input": "all"}], ["steps[0].input: must be a mapping, or one ${{ }} that gives one"]),
        (
            [{"input": "x ${{ task.sku }}"}],
            ["steps[0].input: must be a mapping, or one ${{ }} that gives one"],
        ),
        ([{"input": [1]}], ["steps[0].input: must be a mapping, or one ${{ }} that gives one"]),
        (
            [{"tool": "${{ task.sku }}", "one_of": ["extra.look", "extra.log"], "input": [1]}],
            ["steps[0].input: must be a mapping, or one ${{ }} that gives one"],
        ),
        ([{"input": None}], ["steps[0].input: must be a mapping, or one ${{ }} that gives one"]),
        (
            [{"agent": "extra.worker", "on_failure": {"fallback": "shop.buyer"}}],
            ["steps[0].input: shop.buyer needs 'sku', which is missing"],
        ),
        # expressions
        ([reads("task.")], ["steps[0].input.what: 'task.' does not parse: line 1, column 6: "]),
        ([{"when": "task.sku ="}], ["steps[0].when: 'task.sku =' does not parse"]),
        (
            [{"when": "${{ a }} && ${{ b }}"}],
            ["steps[0].when: '${{ a }} && ${{ b }}': a ${{ is not closed by }}"],
        ),
        (
            [{"input": {"what": "${{ task.sku }"}}],
            ["steps[0].input.what: '${{ task.sku }': a ${{ is not closed"],
        ),
        (
            [{"for_each": "tusk.items"}],
            ["steps[0].for_each: 'tusk.items': there is no 'tusk' to read; did you mean 'task'?"],
        ),
        (
            [reads("sku"), reads("s0"), reads("skus + 1"), reads("[1].map(i, i)[0] + i")],
            [
                "steps[0].input.what: 'sku': there is no 'sku' to read; the task's input is read as task.sku",
                "steps[1].input.what: 's0': there is no 's0' to read; a step is read as steps.s0.output",
                "steps[2].input.what: 'skus + 1': there is no 'skus' to read; did you mean task.sku?",
                "steps[3].input.what: '[1].map(i, i)[0] + i': there is no 'i' to read",
            ],
        ),
        (  # a word that only other expressions know
            [{"id": "last"}, reads("last.price")],
            ["steps[1].input.what: last.price cannot be read here; a step is read as steps.last.output"],
        ),
        # lists, at any depth
        (
            [{"for_each": "task.items"}, reads("steps.s0.output.price")],
            [
                "steps[1].input.what: steps.s0.output.price: steps.s0.output is a list: it has one output "
                "for each item; write steps.s0.output[0].price for its first item, or "
                "steps.s0.output.map(each, each.price) for all"
            ],
        ),
        (
            [
                {
                    "tool": "shop.reserve_stock",
                    "input": {"sku": "a", "quantity": 1},
                    "for_each": "task.items",
                },
                reads("steps.s0.output[0].ids"),
                reads("task.items.price"),
                reads("steps.s0.output[0].id"),
            ],
            [
                "steps[1].input.what: steps.s0.output[0].ids: the output of 's0' has no 'ids'; did you mean",
                "steps[2].input.what: task.items.price: task.items is a list; write task.items[0].price for",
            ],
        ),
        (
            [
                {"tool": "extra.grow", "input": {"tree": {"order_id": "x", "price": 1}}},
                reads("steps.s0.output.branches.price + steps.s0.output.branches[0].prise"),
            ],
            [
                "steps[1].input.what: steps.s0.output.branches.price: steps.s0.output.branches is a list;",
                "steps[1].input.what: steps.s0.output.branches[0].prise: steps.s0.output.branches[0] has no "
                "'prise'; did you mean 'price'?",
            ],
        ),
        ([{"when": "avg(1, 2) > 1"}], ["steps[0].when: 'avg(1, 2) > 1': there is no function 'avg'"]),
        (
            [reads("task.skus + task.skus")],
            ["steps[0].input.what: task.skus: the task's input has no 'skus'; did you mean 'sku'?"],
        ),
        ([reads("has(task.limit)")], ["steps[0].input.what: task.limit: the task's input has no 'limit'"]),
        (
            [reads("steps.s3.output"), {}],
            ["steps[0].input.what: steps.s3.output: there is no step 's3'; did you mean 's1'?"],
        ),
        ([reads("steps.s0.output")], ["steps[0].input.what: steps.s0.output: a step cannot read itself"]),
        (
            [{"validate": [{"rule": "steps.s0.output == 1"}]}],
            ["steps[0].validate[0].rule: steps.s0.output: a step cannot read itself; write output"],
        ),
        (
            [{}, reads("steps")],
            ["steps[1].input.what: steps alone cannot be read; name one, e.g. steps.ID.output"],
        ),
        (
            [{}, reads("steps.s0")],
            ["steps[1].input.what: steps.s0: of a step there is steps.s0.output and steps.s0.state"],
        ),
        (
            [{}, reads("steps.s0.result")],
            ["steps[1].input.what: steps.s0.result: of a step there is steps.s0.output"],
        ),
        (
            [{}, reads("steps.s0.state.x")],
            ["steps[1].input.what: steps.s0.state.x: the state of a step is text"],
        ),
        (
            [
                {"tool": "shop.reserve_stock", "input": {"sku": "a", "quantity": 1}},
                reads("steps.s0.output.ids"),
            ],
            ["steps[1].input.what: steps.s0.output.ids: the output of 's0' has no 'ids'; did you mean 'id'?"],
        ),
        (
            [group(INNER, output={"total": 1}), reads("steps.s0.output.sum")],
            ["steps[1].input.what: steps.s0.output.sum: the output of 's0' has no 'sum'; there is "],
        ),
        (
            [group(INNER), reads("steps.s0.output.innr")],
            ["steps[1].input.what: steps.s0.output.innr: the output of 's0' has no 'innr'"],
        ),
        (
            [group(INNER), reads("steps.inner.output")],
            ["steps[1].input.what: steps.inner.output: 'inner' is inside the group 's0'"],
        ),
        (
            [group(INNER | reads("steps.s0.output"))],
            ["steps[0].group.steps[0].input.what: steps.s0.output: the group 's0' has no output"],
        ),
        ([reads("item")], ["steps[0].input.what: item can be read under for_each only"]),
        ([{"for_each": "[item]"}], ["steps[0].for_each: item can be read under for_each only"]),
        (
            [group(INNER, output="${{ index }}")],
            ["steps[0].group.output: index can be read under for_each only"],
        ),
        (
            [{"validate": [{"rule": "index == 0", "message": "${{ item }}"}]}],
            [
                "steps[0].validate[0].rule: index can be read under for_each only",
                "steps[0].validate[0].message: item can be read under for_each only",
            ],
        ),
        ([reads("output.x")], ["steps[0].input.what: output.x can be read in a validation only"]),
        ([{"when": "input.what == ''"}], ["steps[0].when: input.what can be read in a validation only"]),
        ([reads("feedback")], []),
        ([{"on_failure": {"retry_from": "s0", "rounds": 2}}], []),
        (
            [{"on_failure": {"retry_from": "s1"}}, needs("s0")],
            ["steps[0].on_failure.retry_from: 's1' is not 's0' and not a step that it waits for"],
        ),
        (
            [{"on_reject": {"retry_from": "s0", "then": {"fallback": "extra.nobody"}}}],
            ["steps[0].on_reject.then.fallback: there is no agent 'extra.nobody'"],
        ),
        (
            [{"agent": "extra.writer", "validate": [{"rule": "output.prise > 1.0 && input.x == 1"}]}],
            ["steps[0].validate[0].rule: output.prise: the output of 's0' has no 'prise'; did you mean"],
        ),
        (
            [
                reads("'x'")
                | {"validate": [{"rule": "input.waht != ''"}], "guard": [{"rule": "input.whta != ''"}]}
            ],
            [
                "steps[0].guard[0].rule: input.whta: the input of 's0' has no 'whta'; did you mean",
                "steps[0].validate[0].rule: input.waht: the input of 's0' has no 'waht'; did you mean",
            ],
        ),
        (
            [group(INNER, validate=[{"rule": "output.innr != ''"}, {"rule": "size(output) > 0"}])],
            ["steps[0].validate[0].rule: output.innr: the output of 's0' has no 'innr'"],
        ),
        ([{"precondition": "facts.open"}], []),
        (
            [{"precondition": "output.ready"}],
            ["steps[0].precondition: output.ready can be read in a validation only"],
        ),
        (
            [{"validate": [{"rule": "output <"}, {"judge": {"model": "m", "criteria": "${{ tusk }}"}}]}],
            [
                "steps[0].validate[0].rule: 'output <' does not parse",
                "steps[0].validate[1].judge.criteria: 'tusk': there is no 'tusk' to read",
            ],
        ),
        # judges
        (
            [judged(["openai/c", "openai/b"], agent="extra.writer")],
            ["steps[0].validate[0].judge.model: openai/b is the author's model too; a judge must differ"],
        ),
        (
            [judged("openai/default", agent="extra.free")],
            ["steps[0].validate[0].judge.model: openai/default is the author's model too"],
        ),
        (
            [judged("openai/b", on_failure={"fallback": "extra.writer"})],
            ["steps[0].validate[0].judge.model: openai/b is the author's model too"],
        ),
        (
            [judged("openai/a", agent="${{ task.sku }}", one_of=["extra.worker", "extra.writer"])],
            ["steps[0].validate[0].judge.model: openai/a is the author's model too"],
        ),
        (
            [group({"id": "inner", "agent": "extra.writer"}, **judged("openai/a"))],
            ["steps[0].validate[0].judge.model: openai/a is the author's model too"],
        ),
        # effects
        (
            [{"tool": "extra.look", "effect": "compensatable"}],
            ["steps[0].effect: it is compensatable and names no compensation"],
        ),
        (
            [UNDOABLE | {"effect": "pivot", "compensate": "extra.take_back"}],
            ["steps[0].effect: it is pivot and names a compensation; leave one of them out"],
        ),
        (
            [UNDOABLE | {"effect": "read_only"}],
            ["steps[0].effect: extra.do is compensatable; a spec cannot make it read_only"],
        ),
        (
            [PIVOT | {"effect": "retriable"}],
            ["steps[0].effect: extra.send is pivot; a spec cannot make it retriable"],
        ),
        # the pivot
        ([PIVOT, PIVOT], ["steps[1]: 's0' is the pivot already; a task has one"]),
        (
            [PIVOT | {"for_each": "task.items"}],
            ["steps[0]: a pivot cannot stand under for_each: it would be several points of no return"],
        ),
        (
            [group(PIVOT | {"id": "inner"}, for_each="task.items")],
            ["steps[0].group.steps[0]: a pivot cannot stand under for_each"],
        ),
        (
            [UNDOABLE, PIVOT, UNDOABLE | needs("s1")],
            [
                "steps[1]: 's0' can be undone and may still run beside the pivot 's1'; the",
                "steps[1]: 's2' can be undone and comes after the pivot 's1'; the pivot must need it",
            ],
        ),
        (
            [group(UNDOABLE | {"id": "a"}, PIVOT | {"id": "b"}, UNDOABLE | {"id": "c"} | needs("b"))],
            [
                "steps[0].group.steps[1]: 'a' can be undone and may still run beside the pivot 'b'",
                "steps[0].group.steps[1]: 'c' can be undone and comes after the pivot 'b'",
            ],
        ),
        (
            [{"agent": "extra.doer"}, PIVOT],
            ["steps[1]: 's0' can be undone and may still run beside the pivot 's1'"],
        ),
        (
            [{"agent": "extra.worker"}, PIVOT],
            ["steps[1]: 's0' can be undone and may still run beside the pivot 's1'"],
        ),
        ([{"compensate": "extra.take_back"}, PIVOT], ["steps[1]: 's0' can be undone and may still run"]),
        (
            [{"on_failure": {"fallback": "extra.worker"}}, PIVOT],
            ["steps[1]: 's0' can be undone and may still run"],
        ),
        (
            [{"tool": "${{ task.sku }}", "one_of": ["extra.look", "extra.send"]}, PIVOT],
            ["steps[1]: 's0' is the pivot already; a task has one"],
        ),
    ],
)
def test_faults(found: list[dict[str, Any]], expected: list[str]) -> None:
    seen = steps(*found)
    assert len(seen) == len(expected), seen
    for fault, start in zip(seen, expected, strict=True):
        assert fault.startswith(start)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (
            {"output": {"a": ["${{ steps.x.output }}"]}},
            ["output.a[0]: steps.x.output: there is no step 'x'; there is only s0"],
        ),
        ({"output": "${{ output }}"}, ["output: output can be read in a validation only"]),
        ({"output": "${{ item }}"}, ["output: item can be read under for_each only"]),
        (
            {"output": {"sum": 1}, "validate": [{"rule": "output.sun == 1 && output.sum == 1"}]},
            ["validate[0].rule: output.sun: the task's output has no 'sun'; did you mean 'sum'?"],
        ),
        (
            {"input": {"properties": {"a": {}}}, "validate": [{"rule": "input.b == input.a"}]},
            ["validate[0].rule: input.b: the task's input has no 'b'; there is only a"],
        ),
        ({"validate": [{"rule": "output.x ="}]}, ["validate[0].rule: 'output.x =' does not parse"]),
        ({"validate": [{"rule": "index == 1"}]}, ["validate[0].rule: index can be read under for_each only"]),
        ({"validate": [{"check": "shop.nope"}]}, ["validate[0].check: there is no validator 'shop.nope'"]),
        (
            {"validate": [{"judge": {"model": "openai/b", "criteria": "x"}}]},
            ["validate[0].judge.model: openai/b is the author's model too; a judge must differ"],
        ),
        (
            {"input": {"type": "objekt"}},
            ["input.type: is not a JSON Schema: 'objekt' is not a type; did you mean 'object'?"],
        ),
        (
            {"input": {"properties": {"a": {"type": "txt"}, "b": 5}, "required": "a"}},
            [
                "input.properties.a.type: is not a JSON Schema: 'txt' is not a type",
                "input.properties.b: is not a JSON Schema: 5 is not of type 'object', 'boolean'",
                "input.required: is not a JSON Schema: 'a' is not of type 'array'",
            ],
        ),
        (
            {"input": {"what": "string"}},
            ["input: has no keyword of JSON Schema; fields stand under properties: {NAME: {type: string}}"],
        ),
        (
            {"input": {"propertys": {}, "type": "object", "x-require": []}},
            ["input.propertys: is no keyword of JSON Schema; did you mean 'properties'?"],
        ),
        (
            {
                "input": {
                    "properties": {"a": {"type": "string", "minLenght": 1}, "b": {"items": {"enums": []}}}
                }
            },
            [
                "input.properties.a.minLenght: is no keyword of JSON Schema; did you mean 'minLength'?",
                "input.properties.b.items: has no keyword of JSON Schema",
                "input.properties.b.items.enums: is no keyword of JSON Schema; did you mean 'enum'?",
            ],
        ),
        ({"input": {"$ref": "#/$defs/a"}}, ["input.$ref: '#/$defs/a' leads nowhere"]),
        (
            {"input": {"properties": {"a": {"$ref": "http://127.0.0.1:9/a"}}}},
            ["input.properties.a.$ref: 'http://127"],
        ),
        (
            {"input": {"properties": {"a": {"pattern": "("}}}},
            ["input.properties.a: '(' is not a regular expression"],
        ),
        ({"input": {"patternProperties": {"[": {}}}}, ["input: '[' is not a regular expression"]),
        ({"input": {"$schema": 5}}, ["input.$schema: must be text"]),
    ],
)
def test_faults_of_the_whole_task(more: dict[str, Any], expected: list[str]) -> None:
    seen = steps({"agent": "extra.writer"}, **more)
    assert len(seen) == len(expected), seen
    for fault, start in zip(seen, expected, strict=True):
        assert fault.startswith(start)


def test_all_faults_come_at_once_and_once() -> None:
    seen = faults(
        """
        input: {type: object, properties: {sku: {type: strin}}}
        steps:
          - {id: a, tool: extra.lok, needs: [b, z], when: "task.skuu == 1"}
          - {id: b, tool: extra.do, needs: [a], input: {wat: 1}, on_failure: {fallback: x.y}}
          - id: b
            agent: extra.writer
            validate: [{rule: "+"}, {check: x.y}, {judge: {model: openai/a, criteria: x}}]
          - {id: c, tool: extra.send, for_each: task.sku}
        output: "${{ steps.q.output }}"
        """
    )
    assert [re.split(": ", fault)[0] for fault in seen] == [
        "input.properties.sku.type",
        "steps[0].needs[1]",
        "steps[0].when",
        "steps[0].tool",
        "steps[1].input.wat",
        "steps[1].on_failure.fallback",
        "steps[2].id",
        "steps[2].validate[0].rule",
        "steps[2].validate[1].check",
        "steps[2].validate[2].judge.model",
        "output",
        "steps[3]",
        "steps[3]",
    ]


def test_a_long_chain_is_checked() -> None:
    """Neither a chain of a thousand steps nor a cycle through them is too deep."""
    chain: list[dict[str, Any]] = [{"id": "s0", "tool": "extra.look"}]
    chain += [{"id": f"s{n}", "tool": "extra.look", "needs": [f"s{n - 1}"]} for n in range(1, 1000)]
    assert faults({"steps": chain}) == []
    assert faults({"steps": list(reversed(chain))}) == []
    (fault,) = faults({"steps": [{**chain[0], "needs": ["s999"]}, *chain[1:]]})
    assert fault.startswith("steps: these steps wait for each other: s0 -> s999 -> s998")


def test_reading_a_step_is_waiting_for_it() -> None:
    spec = parse_spec(
        {
            "name": "x",
            "steps": [
                {"id": "a", "tool": "t.t"},
                {"id": "b", "tool": "t.t"},
                {"id": "c", "tool": "t.t", "when": "steps.a.state == 'completed'"},
                {
                    "id": "d",
                    "tool": "t.t",
                    "input": {"x": ["${{ steps['c'].output }} ${{ 'steps.b.output' }}"]},
                },
                {"id": "e", "tool": "t.t", "for_each": "steps.a.output", "needs": ["b"]},
                {"id": "f", "tool": "t.${{ steps.e.output[0] }}", "one_of": ["t.t"]},
                {"id": "g", "group": {"steps": [{"id": "inner", "tool": "t.t", "when": "steps.f.output"}]}},
                {
                    "id": "h",
                    "tool": "t.t",
                    "validate": [{"rule": "output == steps.g.output", "message": "${{ steps.d.output }}"}],
                },
            ],
        }
    )
    graph = Graph(spec.steps)
    assert graph.needs == {
        "a": (),
        "b": (),
        "c": ("a",),
        "d": ("c",),
        "e": ("b", "a"),
        "f": ("e",),
        "g": ("f",),
        "h": ("g", "d"),
    }
    assert graph.ancestors("h") == set("abcdefg")
    assert graph.ancestors("d") == {"a", "c"}
    assert graph.cycles() == []


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        (INPUT, {"sku": "a"}, []),
        (INPUT, {"sku": "a", "count": 2.0, "more": 1}, []),
        (INPUT, {}, ["input: 'sku' is missing"]),
        (INPUT, [], ["input: [] is not of type 'object'"]),
        (
            INPUT,
            {"sku": 1, "count": "x"},
            ["input.count: 'x' is not of type 'integer'", "input.sku: 1 is not of type 'string'"],
        ),
        (
            {"properties": {"sku": {}}, "additionalProperties": False},
            {"skuu": 1, "z": 2},
            ["input: there is no 'skuu' here; did you mean 'sku'?; there is no 'z' here; there is only sku"],
        ),
        (
            {"items": {"type": "integer"}},
            ["a"] * 11,
            [f"input[{n}]: 'a' is not of type 'integer'" for n in range(11)],
        ),
        ({"type": "integer"}, "x" * 500, [f"input: '{'x' * 56}... is not of type 'integer'"]),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "x", ["input: 'x' is not integer or null"]),
        (
            {"anyOf": [{"required": ["a"], "type": "object"}, {"type": "string"}]},
            {},
            ["input: 'a' is missing"],
        ),
        ({"enum": ["a", "b"]}, "c", ["input: 'c' is not one of ['a', 'b']"]),
        # schemas that cannot be used are refusals, not crashes, and nothing is fetched
        (
            {"$ref": "http://127.0.0.1:9/a"},
            1,
            ["input: cannot be checked, because its schema cannot be used"],
        ),
        ({"$ref": "#/$defs/none"}, 1, ["input: cannot be checked, because its schema cannot be used"]),
        (
            {"$ref": "#"},
            1,
            ["input: cannot be checked, because its schema cannot be used: it refers to itself"],
        ),
        (
            {"type": "objekt"},
            1,
            ["input: cannot be checked, because its schema cannot be used: there is no type"],
        ),
        ({"pattern": "("}, "a", ["input: cannot be checked, because its schema cannot be used: missing )"]),
        ({"multipleOf": 0}, 1, ["input: cannot be checked, because its schema cannot be used"]),
    ],
)
def test_inputs(schema: dict[str, Any], value: Any, expected: list[str]) -> None:
    seen = [str(fault) for fault in check_input(schema, value)]
    assert len(seen) == len(expected), seen
    for fault, start in zip(seen, expected, strict=True):
        assert fault.startswith(start)


def test_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    """A schema comes from whoever starts a task; a worker must not open addresses for them."""
    import urllib.request

    opened: list[object] = []
    monkeypatch.setattr(urllib.request, "urlopen", lambda *args, **kwargs: opened.append(args))
    assert check_input({"$ref": "https://example.com/schema.json"}, 1)
    assert steps({}, input={"$ref": "https://example.com/schema.json"})
    assert opened == []
