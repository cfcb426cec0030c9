"""The stand-in model: every tool once, everything filled by name, then an answer of the right schema."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import BaseModel, Field

from counterstep.activities.models.stand_in import StandInReply, stand_in_reply
from counterstep.saga.agents.model_protocol import GIVE_UP


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def tool(name: str, **properties: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "description": "", "parameters": schema}}


def answered(reply: StandInReply, result: Any) -> list[dict[str, Any]]:
    """The two messages that follow a tool call."""
    function = {"name": reply.tool, "arguments": json.dumps(reply.arguments)}
    content = result if isinstance(result, str) else json.dumps(result)
    call_id = f"id-of-{reply.tool}"
    return [
        {"role": "assistant", "content": None, "tool_calls": [{"id": call_id, "function": function}]},
        {"role": "tool", "tool_call_id": call_id, "content": content},
    ]


def object_of(required: list[str] | None = None, **properties: Any) -> dict[str, Any]:
    names = list(properties) if required is None else required
    return {"type": "object", "properties": properties, "required": names}


def answer(messages: list[dict[str, Any]], schema: dict[str, Any]) -> Any:
    reply = stand_in_reply(messages, [], schema)
    assert reply.content is not None
    return json.loads(reply.content)


TEXT = {"type": "string"}
NUMBER = {"type": "number"}


def test_each_tool_is_called_once_in_order_and_then_it_answers() -> None:
    tools = [tool("find", city=TEXT), tool("book", flight=TEXT, city=TEXT)]
    messages = [user('Book. {"city": "Rome"} Thank you.')]
    first = stand_in_reply(messages, tools, object_of(booking=TEXT))
    assert first == StandInReply(None, "find", {"city": "Rome"})
    messages += answered(first, {"flights": [{"flight": "AZ1"}, {"flight": "AZ2"}]})
    second = stand_in_reply(messages, tools, object_of(booking=TEXT))
    assert second == StandInReply(None, "book", {"flight": "AZ1", "city": "Rome"})
    messages += answered(second, {"booking": "B-7"})
    assert json.loads(stand_in_reply(messages, tools, object_of(booking=TEXT)).content or "") == {
        "booking": "B-7"
    }


def test_the_newest_value_wins() -> None:
    messages = [user('{"price": 1}'), *answered(StandInReply(None, "t"), {"offer": {"price": 2}})]
    assert answer(messages, object_of(price=NUMBER)) == {"price": 2}


def test_within_one_value_the_outermost_wins() -> None:
    assert answer([user('{"old": {"price": 1}, "price": 2}')], object_of(price=NUMBER)) == {"price": 2}
    deep = user('{"new": {"price": 2}, "old": {"offer": {"price": 1}}}')
    assert answer([deep], object_of(price=NUMBER)) == {"price": 2}


def test_a_value_of_another_type_is_passed_over() -> None:
    messages = [user('{"price": 1}'), *answered(StandInReply(None, "t"), {"price": "on request"})]
    assert answer(messages, object_of(price=NUMBER)) == {"price": 1}


def test_a_result_that_is_no_object_is_known_by_its_tools_name() -> None:
    assert answer(answered(StandInReply(None, "price"), 12.5), object_of(price=NUMBER)) == {"price": 12.5}
    assert answer(answered(StandInReply(None, "note"), "plain words"), object_of(note=TEXT)) == {
        "note": "plain words"
    }


def test_json_is_found_between_words_and_braces() -> None:
    text = 'Use {curly} braces, {"a": {"sku": "A1"}} and ```json\n{"quantity": 3}\n``` {"broken": '
    schema = object_of(sku=TEXT, quantity={"type": "integer"})
    assert answer([user(text)], schema) == {"sku": "A1", "quantity": 3}


def test_only_users_and_tools_are_believed() -> None:
    messages = [{"role": "system", "content": '{"sku": "from the system"}'}, user("{}")]
    assert answer(messages, object_of(sku=TEXT)) == {"sku": ""}


def test_an_error_ends_the_tool_calls() -> None:
    tools = [tool("find", city=TEXT), tool("book", city=TEXT)]
    messages = [user('{"city": "Rome"}')]
    messages += answered(stand_in_reply(messages, tools, None), {"error": "sold out"})
    reply = stand_in_reply(messages, tools, object_of(city=TEXT, price=NUMBER))
    assert json.loads(reply.content or "") == {"city": "Rome", "price": 0}


def test_it_gives_up_after_an_error_where_it_may_and_never_otherwise() -> None:
    tools = [
        {"type": "function", "function": GIVE_UP.model_dump()},
        tool("find", city=TEXT),
        tool("book", city=TEXT),
    ]
    messages = [user('{"city": "Rome"}')]
    first = stand_in_reply(messages, tools, None)
    assert first.tool == "find"
    failed = stand_in_reply(messages + answered(first, {"error": "sold out"}), tools, None)
    assert (failed.tool, failed.arguments) == ("give_up", {"reason": "a tool failed: sold out"})
    messages += answered(first, {"flight": "AZ1"})
    messages += answered(stand_in_reply(messages, tools, None), {"booking": "B-7"})
    assert stand_in_reply(messages, tools, None).content == '{"booking": "B-7"}'


def test_an_empty_error_is_none() -> None:
    tools = [tool("find"), tool("book")]
    messages = answered(StandInReply(None, "find"), {"error": None})
    assert stand_in_reply(messages, tools, None).tool == "book"


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string", "default": "d", "examples": ["e"]}, "d"),
        ({"type": "string", "enum": ["first", "second"]}, "first"),
        ({"type": "string", "examples": ["e", "f"]}, "e"),
        ({"const": "fixed"}, "fixed"),
        ({"type": "string"}, ""),
        ({"type": "string", "minLength": 3}, "xxx"),
        ({"type": "string", "format": "date"}, "2000-01-01"),
        ({"type": "integer"}, 0),
        ({"type": "integer", "minimum": 4}, 4),
        ({"type": "integer", "exclusiveMinimum": 4}, 5),
        ({"type": "number", "maximum": -2}, -2),
        ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, 0.5),
        ({"type": "boolean"}, False),
        ({"type": "null"}, None),
        ({"type": ["string", "null"]}, None),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, None),
        ({"oneOf": [{"type": "integer"}, {"type": "string"}]}, 0),
        ({"type": "array", "items": {"type": "string"}}, []),
        ({"type": "array", "items": {"type": "string"}, "minItems": 2}, ["", ""]),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, {}),
    ],
)
def test_what_is_not_known_gets_a_value_of_its_type(schema: dict[str, Any], value: Any) -> None:
    assert answer([], object_of(field=schema)) == {"field": value}
    reply = stand_in_reply([], [tool("t", field=schema)], None)
    assert reply.arguments == {"field": value}


def test_a_known_value_comes_before_a_default_and_must_fit_an_enum() -> None:
    schema = object_of(
        size={"type": "string", "enum": ["S", "M"]}, colour={"type": "string", "default": "red"}
    )
    assert answer([user('{"size": "M", "colour": "blue"}')], schema) == {"size": "M", "colour": "blue"}
    assert answer([user('{"size": "XXL"}')], schema) == {"size": "S", "colour": "red"}


def test_what_is_optional_and_unknown_is_left_out() -> None:
    assert answer([user('{"b": 1}')], object_of([], a=NUMBER, b=NUMBER)) == {"b": 1}


def test_without_a_schema_it_answers_in_text() -> None:
    assert stand_in_reply([user("hello")], [], None).content == "Nothing to say."
    assert stand_in_reply([user('{"a": 1}')], [], None).content == '{"a": 1}'


class Size(StrEnum):
    SMALL = "small"
    LARGE = "large"


class Leg(BaseModel):
    city: str
    nights: int = Field(ge=1)


class Trip(BaseModel):
    """Everything pydantic commonly writes into a schema."""

    kind: Literal["trip"]
    size: Size
    first: Leg
    rest: list[Leg]
    chosen: Leg | None
    note: str | None = None
    place: Leg | Size
    parent: Trip | None
    tags: dict[str, str]
    pair: tuple[int, int] = (1, 2)


@given(
    known=st.dictionaries(
        st.sampled_from(["city", "nights", "first", "size"]), st.one_of(st.integers(), st.text())
    )
)
def test_an_answer_always_satisfies_its_schema(known: dict[str, Any]) -> None:
    made = answer([user(json.dumps(known))], Trip.model_json_schema())
    Draft202012Validator(Trip.model_json_schema()).validate(made)
    Trip.model_validate(made)


def test_a_known_list_is_taken_whole_if_it_fits_its_definition() -> None:
    legs = [{"city": "Rome", "nights": 3}, {"city": "Bari", "nights": 1}]
    assert answer([user(json.dumps({"rest": legs}))], Trip.model_json_schema())["rest"] == legs
    assert answer([user(json.dumps({"rest": [{"city": "Rome"}]}))], Trip.model_json_schema())["rest"] == []


def test_a_schema_without_end_is_given_up() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}, "required": ["next"]}
    assert "next" in answer([], {"$defs": {"node": node}, "$ref": "#/$defs/node"})


def test_nested_objects_are_filled_by_name() -> None:
    made = answer([user('{"city": "Rome", "nights": 3}')], Trip.model_json_schema())
    assert made["first"] == {"city": "Rome", "nights": 3}
    assert made["rest"] == [] and made["size"] == "small" and made["kind"] == "trip"
