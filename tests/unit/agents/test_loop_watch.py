"""Which calls of an agent are watched for loops, and what the agent is told of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from counterstep.saga.agents.loop_watch import LoopWatch
from counterstep.saga.agents.model_protocol import ASK_PERSON, ToolCall
from counterstep.saga.agents.tool_answer import ToolAnswer, refusal
from counterstep.saga.effect import Effect
from counterstep.saga.spec.catalog import AgentEntry, ToolEntry

DEFAULTS = {"type": "object", "properties": {"what": {"type": "string"}, "size": {"default": 1}}}

OFFERED: dict[str, ToolEntry | AgentEntry] = {
    "look": ToolEntry(name="desk.look", effect=Effect.READ_ONLY, input_schema=DEFAULTS),
    "poll": ToolEntry(name="desk.poll", effect=Effect.READ_ONLY, repeats="allow"),
    "put": ToolEntry(name="desk.put", effect=Effect.COMPENSATABLE, compensate="desk.take"),
    "tip": ToolEntry(name="till.tip", effect=Effect.COMPENSATABLE, compensate="x", repeats="allow"),
    "ann": AgentEntry(name="crew.ann", effect=Effect.READ_ONLY),
}


def call(name: str, arguments: dict[str, Any] | None = None) -> ToolCall:
    return ToolCall(id="1", name=name, arguments=arguments or {})


def watch(engine: int = 4) -> LoopWatch:
    return LoopWatch("shop.clerk", OFFERED, None, engine)


def twice(watch: LoopWatch, wanted: ToolCall, *answers: ToolAnswer) -> list[str]:
    return [
        watch.note([wanted], [answer], f"w/model.{turn}")[0].text for turn, answer in enumerate(answers, 1)
    ]


@pytest.mark.parametrize(
    ("wanted", "answers"),
    [
        (call("look"), [ToolAnswer('"a"'), ToolAnswer('"a"')]),
        (call("look"), [refusal("gone"), refusal("gone")]),
        (call("put"), [refusal("full"), refusal("very full")]),  # what has failed has changed nothing
        (call("put"), [ToolAnswer('"a"', changed=True), ToolAnswer('{"repeated": "", "result": "a"}')]),
        (call("ann"), [ToolAnswer('"yes"'), ToolAnswer('"well, yes"')]),  # an agent says it in other words
        (call(ASK_PERSON.name, {"question": "?"}), [ToolAnswer('"a"'), ToolAnswer('"a"')]),
    ],
)
def test_the_same_call_twice_is_hinted_at_and_a_third_time_a_loop(
    wanted: ToolCall, answers: list[ToolAnswer]
) -> None:
    watching = watch()
    first, second = twice(watching, wanted, *answers)
    assert first == answers[0].text
    told = json.loads(second)
    assert "another one like it is refused" in told["hint"]
    plain = json.loads(answers[1].text)
    assert {key: part for key, part in told.items() if key != "hint"} == (
        plain if isinstance(plain, dict) else {"result": plain}
    )
    assert "once more (w/model.1, w/model.2 and w/model.3)" in (watching.loop([wanted], "w/model.3") or "")


@pytest.mark.parametrize(
    ("wanted", "answers"),
    [
        (call("look"), [ToolAnswer('"a"'), ToolAnswer('"b"')]),
        (call("poll"), [ToolAnswer('"a"'), ToolAnswer('"a"')]),
        (call("tip"), [ToolAnswer('"a"', changed=True), ToolAnswer('"a"', changed=True)]),
        (call("unknown"), [refusal("there is none"), refusal("there is none")]),
        (ToolCall(id="1", name="look", invalid="not JSON"), [refusal("not JSON"), refusal("not JSON")]),
        (call("ann"), [ToolAnswer('"a"', changed=True), ToolAnswer('"b"', changed=True)]),
    ],
)
def test_what_changes_or_may_be_repeated_is_not_a_loop(wanted: ToolCall, answers: list[ToolAnswer]) -> None:
    watching = watch()
    assert twice(watching, wanted, *answers) == [answer.text for answer in answers]
    assert watching.loop([wanted], "w/model.3") is None


def test_what_may_be_repeated_is_a_change_for_the_others() -> None:
    watching = watch()
    twice(watching, call("look"), ToolAnswer("1"), ToolAnswer("1"))
    watching.note([call("tip")], [ToolAnswer("2", changed=True)], "w/model.3")
    assert watching.loop([call("look")], "w/model.4") is None


def test_defaults_and_the_order_of_arguments_do_not_tell_calls_apart() -> None:
    watching = watch()
    same: list[dict[str, Any]] = [{"what": "x"}, {"size": 1.0, "what": "x"}]
    for turn, arguments in enumerate(same):
        watching.note([call("look", arguments)], [ToolAnswer("1")], f"w/model.{turn}")
    assert watching.loop([call("look", {"what": "x", "size": 1})], "w/model.3") is not None


def test_tasks_that_began_before_there_was_a_guard_go_on_without() -> None:
    watching = watch(engine=3)
    answers = twice(watching, call("look"), ToolAnswer("1"), ToolAnswer("1"))
    assert (answers, watching.loop([call("look")], "w/model.3")) == (["1", "1"], None)
    assert watching.guard.seen == []
