"""Handoffs in a conversation: which counts, and what the next one sees, as pure values."""

from __future__ import annotations

import json
from typing import Any

import pytest

from counterstep.activities.models.stand_in import stand_in_reply
from counterstep.saga.agents.model_protocol import ChatMessage, ToolCall
from counterstep.saga.agents.thread import Thread
from counterstep.saga.agents.transfers import (
    Transfer,
    Transfers,
    TransferTool,
    last_messages,
    without_transfers,
)
from counterstep.teams import Handoff

CASE = {"type": "object", "properties": {"claim": {"type": "string"}}, "required": ["claim"]}
HAND = "transfer_to_fraud"


def wants(name: str, arguments: dict[str, Any] | None = None, invalid: str | None = None) -> ToolCall:
    return ToolCall(id="same", name=name, arguments=arguments, invalid=invalid)


def asks(*names: str, content: str | None = None) -> ChatMessage:
    calls = tuple(wants(name, {}) for name in names)
    return ChatMessage(role="assistant", content=content, tool_calls=calls, extras={"x": 1}, model="m")


def told(text: str) -> ChatMessage:
    return ChatMessage(role="tool", content=text, tool_call_id="same")


def says(text: str) -> ChatMessage:
    return ChatMessage(role="user", content=text)


def texts(messages: Any) -> list[str | None]:
    return [message.content for message in messages]


def offered(**said: Any) -> Transfers:
    handoff = Handoff(to="a.fraud", **said)
    tool = TransferTool(
        to="fraud",
        description="d",
        parameters=handoff.parameters(),
        sums_up=handoff.filter == "summary",
    )
    return Transfers([tool, tool.model_copy(update={"to": "law yer"})])


def test_the_first_handoff_counts_and_the_others_are_told_which_that_was() -> None:
    transfers = offered(metadata=CASE)
    assert [tool.name for tool in transfers.offered()] == [HAND, "transfer_to_law_yer"]
    answers = transfers.use([wants(HAND, {"claim": "c"}), wants("transfer_to_law_yer", {"claim": "d"})])
    assert transfers.made == Transfer(to="fraud", arguments={"claim": "c"})
    assert [answer.fault for answer in answers] == [None, None]
    assert HAND in json.loads(answers[1].text)["ignored"]


def test_agents_whose_names_are_alike_to_a_provider_can_all_be_handed_over_to() -> None:
    long = "a" * 70
    names = ["büro", "bäro", "bero", f"{long}1", f"{long}2"]
    tools = [TransferTool(to=name, description=name, parameters={"type": "object"}) for name in names]
    shown = Transfers(tools).offered()
    assert [tool.description for tool in shown] == names
    assert max(len(tool.name) for tool in shown) <= 64
    for tool in shown:
        transfers = Transfers(tools)
        transfers.use([wants(tool.name, {})])
        assert transfers.made == Transfer(to=tool.description)


@pytest.mark.parametrize(
    ("first", "fault"),
    [
        (wants(HAND, {}), "'claim' is missing"),
        (wants(HAND, {"claim": 3}), "claim: 3 is not of type 'string'"),
        (wants(HAND, None, "not JSON"), "not JSON"),
    ],
)
def test_a_first_handoff_that_cannot_be_used_is_told_and_no_other_is_made(
    first: ToolCall, fault: str
) -> None:
    transfers = offered(metadata=CASE)
    answers = transfers.use([first, wants(HAND, {"claim": "c"})])
    assert transfers.made is None
    assert answers[0].fault is not None and fault in answers[0].fault


def test_a_summary_is_an_argument_of_its_own() -> None:
    transfers = offered(metadata=CASE, filter="summary")
    (answer,) = transfers.use([wants(HAND, {"claim": "c"})])
    assert answer.fault is not None and "'summary' is missing" in answer.fault
    transfers.use([wants(HAND, {"claim": "c", "summary": "all"})])
    assert transfers.made == Transfer(to="fraud", arguments={"claim": "c"}, summary="all")


def test_handoffs_are_taken_out_of_what_was_said_with_their_answers_alone() -> None:
    said = [asks("look"), told("seen"), asks(HAND, "put", HAND), told("over"), told("put"), told("ignored")]
    kept = without_transfers(said, {HAND})
    assert texts(kept) == [None, "seen", None, "put"]
    assert [call.name for call in kept[2].tool_calls] == ["put"]
    assert (kept[2].extras, kept[0].extras) == ({}, {"x": 1})
    assert without_transfers([asks(HAND), told("over")], {HAND}) == []
    assert texts(without_transfers([asks(HAND, content="I pass."), told("over")], {HAND})) == ["I pass."]


@pytest.mark.parametrize(
    ("count", "kept"),
    [
        (1, [None, "x", "y"]),
        (2, [None, "x", "y"]),
        (3, [None, "x", "y"]),
        (4, ["b", None, "x", "y"]),
        (9, ["a", "b", None, "x", "y"]),
    ],
)
def test_the_last_messages_have_the_call_of_each_answer(count: int, kept: list[str | None]) -> None:
    said = [says("a"), says("b"), asks("look", "look"), told("x"), told("y")]
    assert texts(last_messages(said, count)) == kept


def test_one_who_gets_the_conversation_back_sees_what_it_saw_and_all_that_was_said_since() -> None:
    thread = Thread()
    thread.transfers = offered()
    thread.hear("desk", [says("mine"), asks(HAND), told("over")], 1)
    thread.hand_to("none", "note for fraud")
    assert texts(thread.shown) == ["note for fraud"]
    thread.hear("fraud", [says("theirs")], 2)
    thread.hand_to(1, "note for lawyer")
    assert texts(thread.shown) == ["theirs", "note for lawyer"]
    thread.hear("lawyer", [], 1)
    thread.hand_back("desk", "note for desk")
    everything = ["mine", "note for fraud", "theirs", "note for lawyer", "note for desk"]
    assert texts(thread.shown) == everything
    assert thread.turns == 4


def test_the_stand_in_hands_over_once_and_answers_what_was_handed_to_it() -> None:
    tools: list[dict[str, Any]] = [
        {"function": {"name": HAND, "parameters": CASE}},
        {"function": {"name": "abandon_and_undo_everything"}},
    ]
    begun = [{"role": "user", "content": '{"claim": "c"}'}]
    first = stand_in_reply(begun, tools, None)
    assert (first.tool, first.arguments) == (HAND, {"claim": "c"})
    handed = [*begun, {"role": "user", "content": "desk has handed this conversation over to you: {}"}]
    assert stand_in_reply(handed, tools, None).tool is None
