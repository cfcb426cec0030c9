"""What a message asks for: which task with which input, or which answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from a2a.helpers.proto_helpers import new_data_part, new_text_part
from a2a.types import a2a_pb2 as pb
from a2a.utils.errors import ContentTypeNotSupportedError, InvalidParamsError

from counterstep.a2a_server.incoming import SaidAnswer, answered, asked_task
from counterstep.saga.spec.task_spec import TaskSpec

ONE = {"type": "object", "required": ["what"], "properties": {"what": {"type": "string"}}}


def spec(name: str, input: dict[str, Any] | None = None) -> TaskSpec:
    steps = [{"id": "a", "tool": "b.c"}]
    return TaskSpec.model_validate({"name": name, "steps": steps, "input": input or {"type": "object"}})


TASKS = {"shop.order": spec("order", ONE), "shop.tidy": spec("tidy")}
ALONE = {"shop.order": TASKS["shop.order"]}


def said(*parts: pb.Part, **metadata: Any) -> pb.Message:
    message = pb.Message(message_id="m", role=pb.Role.ROLE_USER, parts=parts)
    for name, value in metadata.items():
        message.metadata[name] = value
    return message


@pytest.mark.parametrize(
    ("message", "tasks", "asked"),
    [
        (said(new_data_part({"what": "cup"})), ALONE, ("shop.order", {"what": "cup"})),
        (said(new_text_part("a cup")), ALONE, ("shop.order", {"what": "a cup"})),
        (said(new_text_part('{"what": "cup"}')), ALONE, ("shop.order", {"what": "cup"})),
        (said(new_data_part({"n": 2}), task="shop.tidy"), TASKS, ("shop.tidy", {"n": 2})),
        (said(new_data_part({"task": "shop.tidy", "input": {"n": 1.5}})), TASKS, ("shop.tidy", {"n": 1.5})),
        # With one task alone, these are words of its own input.
        (
            said(new_data_part({"task": "dust"})),
            {"shop.tidy": TASKS["shop.tidy"]},
            ("shop.tidy", {"task": "dust"}),
        ),
        # What names the task in the metadata leaves the data part alone.
        (
            said(new_data_part({"task": "shop.order"}), task="shop.tidy"),
            TASKS,
            ("shop.tidy", {"task": "shop.order"}),
        ),
    ],
)
def test_a_message_names_its_task(message: pb.Message, tasks: Any, asked: Any) -> None:
    assert asked_task(message, {}, tasks) == asked


def test_whole_numbers_are_integers_as_they_were_sent() -> None:
    given = {"n": 2, "of": [1, 2.5, True], "large": 2**53, "value": {"of": -3}}
    _, input = asked_task(said(new_data_part(given), task="shop.tidy"), {}, TASKS)
    assert json.dumps(input, sort_keys=True) == json.dumps(given, sort_keys=True)
    answer = answered(said(new_data_part({"action": "edit", "value": {"n": 2}})), {})
    assert json.dumps(answer.value) == '{"n": 2}'


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_what_is_no_number_of_json_is_refused(number: float) -> None:
    for message in (said(new_data_part({"n": number}), task="shop.tidy"), said(new_data_part({}), n=number)):
        with pytest.raises(InvalidParamsError, match="neither NaN nor Infinity"):
            asked_task(message, {}, TASKS)


@pytest.mark.parametrize("task", [5, ["shop.tidy"], {"a": 1}])
def test_the_name_of_a_task_is_a_text(task: Any) -> None:
    with pytest.raises(InvalidParamsError, match="is the name of a task"):
        asked_task(said(new_data_part({})), {"task": task}, TASKS)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (said(new_data_part({"what": "cup"})), "name the task in the metadata"),
        (said(new_data_part({}), task="shop.ordr"), r"no task 'shop\.ordr'; did you mean 'shop\.order'"),
        (said(new_data_part({}), new_data_part({})), "2 data parts"),
        (said(new_text_part(" ")), "needs one data part"),
        (said(new_text_part("tidy up"), task="shop.tidy"), "takes its input as a data part"),
    ],
)
def test_a_message_that_names_none_is_told_why(message: pb.Message, reason: str) -> None:
    with pytest.raises(InvalidParamsError, match=reason):
        asked_task(message, {}, TASKS)


def test_files_are_not_taken() -> None:
    with pytest.raises(ContentTypeNotSupportedError):
        asked_task(said(pb.Part(url="http://127.0.0.1/")), {}, ALONE)


def test_an_answer_is_data_or_a_word() -> None:
    whole: dict[str, Any] = {"action": "edit", "value": [1], "note": "n", "hash": "h", "step": "s"}
    assert answered(said(new_data_part(whole)), {}) == SaidAnswer(**whole)
    assert answered(said(new_text_part(" approve "), hash="h"), {}) == SaidAnswer(action="approve", hash="h")
    for bad in ({"value": 1}, {"action": 1}, {"action": "a", "other": 1}, [1]):
        with pytest.raises(InvalidParamsError, match="an answer is a data part"):
            answered(said(new_data_part(bad)), {})
