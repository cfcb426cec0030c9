"""Types of answers, and parameters of tools, as model providers take them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest
from pydantic import BaseModel, TypeAdapter
from temporalio.testing import ActivityEnvironment

from counterstep.activities.models.answer_schema import AnswerForm, strict_schema, tool_parameters
from counterstep.activities.models.litellm_client import call_model
from counterstep.saga.agents.model_protocol import ChatMessage, ModelReply, ModelRequest, ToolSchema
from counterstep.testing.model_behaviour import Behaviour, call
from counterstep.testing.model_server import ModelServer

TOOL = ToolSchema(name="look", description="Looks. " * 300, parameters={"type": "object"})


class Item(BaseModel):
    sku: str


class Node(BaseModel):
    name: str
    children: list[Node]


class Only(BaseModel):
    answer: str


def schema_of(type_: Any) -> dict[str, Any]:
    schema: dict[str, Any] = TypeAdapter(type_).json_schema()
    return schema


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        (list[Item], [{"sku": "A"}]),
        (Literal["good", "bad"], "good"),
        (Item | None, None),
        (Item | None, {"sku": "A"}),
        (int, 7),
        (dict[str, int] | list[int], {"a": 1}),
        (tuple[int, str], [1, "a"]),
        (Only | None, {"answer": "x"}),
        (Any, {"answer": 1, "b": 2}),
    ],
)
def test_an_answer_that_is_no_object_is_a_field_of_one(type_: Any, value: Any) -> None:
    form = AnswerForm.of(schema_of(type_))
    assert form.wrapped
    assert (form.sent["type"], form.sent["required"]) == ("object", ["answer"])
    assert form.read({"answer": value}) == (value, [])
    assert form.read(value) == (value, []), "some models leave the object away"


def test_a_root_that_refers_to_a_type_which_contains_itself_is_written_out() -> None:
    form = AnswerForm.of(schema_of(Node))
    assert not form.wrapped
    assert form.sent["type"] == "object"
    assert form.sent["properties"]["children"]["items"] == {"$ref": "#/$defs/Node"}
    assert strict_schema(form.sent) is not None
    assert form.read({"name": "a", "children": [{"name": "b", "children": []}]})[1] == []
    assert "children" in form.read({"name": "a", "children": [{"name": "b"}]})[1][0]


def test_a_list_that_contains_itself_still_does_so_as_a_field() -> None:
    form = AnswerForm.of({"type": "array", "items": {"anyOf": [{"type": "string"}, {"$ref": "#"}]}})
    items = form.sent["properties"]["answer"]["items"]
    assert items["anyOf"][1] == {"$ref": "#/properties/answer"}
    assert form.read({"answer": ["a", ["b"]]}) == (["a", ["b"]], [])


def field(**keywords: Any) -> dict[str, Any]:
    one = {"type": "string", **keywords}
    return {"type": "object", "properties": {"a": one}, "required": ["a"], "additionalProperties": False}


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"a": schema}, "required": ["a"]}
    return schema


@pytest.mark.parametrize(
    "schema",
    [
        field(pattern=r"^(?=.*\d)[A-Z0-9]{4}$"),
        field(pattern=r"(?P<year>\d+)-\1"),
        field(format="path"),
        field(format="binary"),
        field(format="uri"),
        field(minLength=1),
        field(enum=[str(number) for number in range(1001)]),
        field(pattern=r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$"),
        nested(11),
        {**field(), "anyOf": [{"required": ["a"]}]},
        {**field(), "required": ["a", "b"]},
        {**field(), "properties": {"a": {"enum": [1, "a", None]}}},
        {**field(), "properties": {"a": {"properties": {"b": {"type": "string"}}, "required": ["b"]}}},
        {**field(), "properties": {"a": {"type": ["object", "null"], "additionalProperties": True}}},
        {**field(), "properties": {"a": {"type": ["array", "null"]}}},
        field(enum=["x" * 1000 + str(number) for number in range(120)]),
    ],
)
def test_what_strict_mode_cannot_have_is_not_strict(schema: dict[str, Any]) -> None:
    assert strict_schema(schema) is None


@pytest.mark.parametrize("schema", [field(pattern="^[A-Z]{4}$"), field(format="date-time"), nested(5)])
def test_what_strict_mode_can_have_stays_strict(schema: dict[str, Any]) -> None:
    assert strict_schema(schema) is not None


def test_parameters_say_what_lists_are_made_of_and_are_an_object() -> None:
    pair = {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "array"}], "maxItems": 2}
    schema = {"properties": {"items": pair, "enum": {"enum": [{"type": "array"}]}}}
    parameters = tool_parameters(schema)
    assert parameters["type"] == "object"
    assert parameters["properties"]["items"] == {
        "type": "array",
        "items": {"anyOf": [{"type": "integer"}, {"type": "array", "items": {}}]},
        "maxItems": 2,
        "description": "In this order: integer, array.",
    }
    assert parameters["properties"]["enum"] == {"enum": [{"type": "array"}]}, "a value is not a schema"
    assert tool_parameters({"type": "object"})["properties"] == {}


def test_an_object_or_null_is_narrowed_as_an_object() -> None:
    inner = {"type": ["object", "null"], "properties": {"b": {"type": "string"}}, "required": ["b"]}
    narrowed = strict_schema({**field(), "properties": {"a": inner}})
    assert narrowed is not None
    assert narrowed["properties"]["a"] == {**inner, "additionalProperties": False}


def test_a_choice_at_the_root_of_parameters_is_written_as_one_object() -> None:
    text, number, kind = {"type": "string"}, {"type": "integer"}, {"const": "b"}
    by_name = {
        "type": "object",
        "properties": {"name": text, "kind": {"const": "a"}},
        "required": ["kind", "name"],
    }
    by_number = {"properties": {"number": number, "kind": kind}, "required": ["number", "kind"]}
    schema = {
        "anyOf": [by_name, {"$ref": "#/$defs/by~1number"}, {"type": "null"}],
        "allOf": [{"properties": {"all": {"type": "boolean"}}, "required": ["all"]}],
        "properties": {"limit": number},
        "additionalProperties": False,
        "$defs": {"by/number": by_number},
    }
    assert tool_parameters(schema) == {
        "type": "object",
        "properties": {
            "limit": number,
            "all": {"type": "boolean"},
            "name": text,
            "kind": {"anyOf": [{"const": "a"}, kind]},
            "number": number,
        },
        "required": ["all", "kind"],
        "$defs": {"by/number": by_number},
    }
    endless = {"$ref": "#/$defs/A", "$defs": {"A": {"anyOf": [{"$ref": "#/$defs/A"}, by_name]}}}
    assert tool_parameters(endless)["properties"]["name"] == text
    assert tool_parameters({"type": ["object", "null"]})["type"] == "object"


def test_lists_of_older_drafts_and_what_may_be_anything_are_written_as_providers_take_them() -> None:
    pair = {"type": "array", "items": [{"type": "string"}, {"type": "integer"}], "additionalItems": False}
    fields = {"pair": pair, "any": True, "list": {"type": "array", "items": True}}
    assert tool_parameters({"properties": fields})["properties"] == {
        "pair": {
            "type": "array",
            "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
            "maxItems": 2,
            "description": "In this order: string, integer.",
        },
        "any": {},
        "list": {"type": "array", "items": {}},
    }


class Point(NamedTuple):
    """A place."""

    x: int
    y: int


class Way(BaseModel):
    at: Point
    size: tuple[int, int]
    named: tuple[str, Item]


def test_tuples_are_lists_of_what_may_stand_in_them_and_are_held_to_their_places() -> None:
    form = AnswerForm.of(schema_of(Way))
    assert "prefixItems" not in json.dumps(form.sent)
    assert strict_schema(form.sent) is not None
    sizes = {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2}
    assert form.sent["properties"]["size"] == {**sizes, "title": "Size"}
    named = form.sent["properties"]["named"]
    assert named["items"] == {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/Item"}]}
    assert named["description"] == "In this order: string, Item."
    assert "In this order: X, Y." in json.dumps(form.sent)
    right = {"at": [1, 2], "size": [3, 4], "named": ["a", {"sku": "A"}]}
    assert form.read(right) == (right, [])
    assert form.read({**right, "named": [{"sku": "A"}, "a"]})[1], "the type itself knows the order"
    open_ended = {"type": "array", "prefixItems": [{"type": "integer"}]}
    assert tool_parameters({"properties": {"a": open_ended}})["properties"]["a"] == {
        **open_ended,
        "items": {},
    }


# --- over HTTP


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ModelServer]:
    async with ModelServer() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server


async def ask(model: str, type_: Any, **fields: Any) -> ModelReply:
    asked = ModelRequest(
        agent="shop.buyer",
        models=(model,),
        messages=(ChatMessage(role="user", content="x"),),
        output_schema=None if type_ is str else schema_of(type_),
        **fields,
    )
    return ModelReply.model_validate(
        await ActivityEnvironment().run(call_model, asked.model_dump(mode="json"))
    )


async def test_a_list_is_asked_for_as_an_object_and_comes_back_as_a_list(server: ModelServer) -> None:
    server.reply(Behaviour.json({"answer": [{"sku": "A"}]}))
    reply = await ask("openai/gpt-4o-mini", list[Item], output_name="n" * 70)
    described = server.requests[0].body["response_format"]["json_schema"]
    assert (described["schema"]["type"], described["strict"], len(described["name"])) == ("object", True, 64)
    assert reply.output == [{"sku": "A"}]


async def test_a_type_with_a_format_of_its_own_is_sent_without_strict(server: ModelServer) -> None:
    class File(BaseModel):
        path: Path

    server.reply(Behaviour.json({"path": "/a"}))
    assert (await ask("openai/gpt-4o-mini", File)).output == {"path": "/a"}
    described = server.requests[0].body["response_format"]["json_schema"]
    assert (described["strict"], described["schema"]["properties"]["path"]["format"]) == (False, "path")


@pytest.mark.parametrize(
    ("type_", "arguments", "output"),
    [(Item, {"sku": "A"}, {"sku": "A"}), (list[str], {"answer": ["a"]}, ["a"]), (str, {"answer": "a"}, "a")],
)
async def test_a_server_that_only_speaks_like_openais_is_given_a_tool_for_the_answer(
    server: ModelServer, type_: Any, arguments: dict[str, Any], output: Any
) -> None:
    server.reply(Behaviour.calls(call("final_answer", **arguments)))
    reply = await ask("openai/a-local-model", type_, tools=(TOOL,))
    body = server.requests[0].body
    assert [tool["function"]["name"] for tool in body["tools"]] == ["look", "final_answer"]
    assert all(tool["function"]["parameters"]["type"] == "object" for tool in body["tools"])
    assert len(body["tools"][0]["function"]["description"]) == 1024
    assert "response_format" not in body
    assert "As soon as the job is done, call final_answer" in body["messages"][0]["content"]
    assert (reply.output, reply.tool_calls, reply.invalid) == (output, (), None)


async def test_a_model_that_holds_both_together_gets_no_such_tool(server: ModelServer) -> None:
    server.reply(Behaviour.json({"sku": "A"}))
    assert (await ask("openai/gpt-4o-mini", Item, tools=(TOOL,))).output == {"sku": "A"}
    body = server.requests[0].body
    assert [tool["function"]["name"] for tool in body["tools"]] == ["look"]
    assert body["response_format"]["json_schema"]["strict"] is True
    assert "give the final answer as JSON and call no more tools" in body["messages"][0]["content"]


async def test_an_answer_by_tool_that_does_not_fit_says_what_to_correct(server: ModelServer) -> None:
    server.reply(Behaviour.calls(call("final_answer", sku=7)))
    reply = await ask("openai/a-local-model", Item, tools=(TOOL,))
    assert "answer.sku: 7 is not of type 'string'" in (reply.invalid or "")
    assert (reply.content, reply.tool_calls) == (json.dumps({"sku": 7}), ())


async def test_an_answer_beside_calls_waits_until_they_are_made(server: ModelServer) -> None:
    server.reply(Behaviour.calls(call("look"), call("final_answer", sku="A")))
    reply = await ask("openai/a-local-model", Item, tools=(TOOL,))
    assert ([made.name for made in reply.tool_calls], reply.output) == (["look"], None)


async def test_a_tool_of_that_name_is_left_alone(server: ModelServer) -> None:
    server.reply(Behaviour.calls(call("final_answer"), call("final_answer_2", sku="A")))
    reply = await ask("openai/x", Item, tools=(TOOL.model_copy(update={"name": "final_answer"}),))
    assert [made.name for made in reply.tool_calls] == ["final_answer"]
