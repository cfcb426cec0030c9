"""Loops of tool calls: what counts as the same, what as a change, and how a loop is named."""

from __future__ import annotations

import pytest

from counterstep.saga.limits.loop_guard import WINDOW, LoopGuard, SeenCall


def call(tool: str, turn: int, told: str = "same", agent: str = "shop.clerk") -> SeenCall:
    return SeenCall.of(agent, tool, "{}", f"w/model.{turn}").answered(told)


def guard_after(*tools: str, told: str = "same") -> LoopGuard:
    guard = LoopGuard()
    for turn, tool in enumerate(tools, 1):
        guard.note(call(tool, turn, told), changed=False)
    return guard


def test_the_third_equal_call_is_a_loop_and_the_second_one_is_told_so() -> None:
    guard = LoopGuard()
    assert guard.loop(call("look", 1)) is None
    assert not guard.note(call("look", 1), changed=False)
    assert guard.loop(call("look", 2)) is None
    assert guard.note(call("look", 2), changed=False)
    assert guard.loop(call("look", 3)) == (
        "calls look {} once more (w/model.1, w/model.2 and w/model.3), and nothing has changed in between"
    )


@pytest.mark.parametrize("other", [call("look", 3, agent="shop.buyer"), call("find", 3)])
def test_another_agent_or_another_tool_is_not_the_same_call(other: SeenCall) -> None:
    assert guard_after("look", "look").loop(other) is None


def test_arguments_tell_calls_apart() -> None:
    guard = LoopGuard()
    for turn, arguments in enumerate(['{"what":"tea"}', '{"what":"milk"}'], 1):
        guard.note(SeenCall.of("a", "look", arguments, str(turn)), changed=False)
    assert guard.loop(SeenCall.of("a", "look", '{"what":"tea"}', "3")) is None


def test_a_change_in_between_makes_it_another_call() -> None:
    guard = guard_after("look", "look")
    guard.note(call("put", 3), changed=True)
    assert guard.loop(call("look", 4)) is None
    assert not guard.note(call("look", 4), changed=False)
    assert guard.loop(call("put", 5)) is None


def test_what_has_changed_something_counts_itself() -> None:
    guard = LoopGuard()
    guard.note(call("put", 1), changed=True)
    assert guard.note(call("put", 2), changed=False)
    assert guard.loop(call("put", 3)) is not None


def test_another_answer_is_a_change_for_that_call_alone() -> None:
    guard = guard_after("look", "find", "look", "find")
    assert guard.loop(call("find", 5)) is not None
    guard.note(call("look", 5, "another"), changed=False)
    assert guard.loop(call("look", 6)) is None
    assert guard.loop(call("find", 6)) is not None


def test_equal_calls_of_one_turn_are_one() -> None:
    guard = guard_after("look")
    for _ in range(3):
        guard.note(call("look", 1), changed=False)
    assert len(guard.seen) == 1


def test_only_the_last_calls_count() -> None:
    others = [f"tool{number}" for number in range(WINDOW - 2)]
    assert guard_after("look", "look", *others[:-1]).loop(call("look", 99)) is not None
    assert guard_after("look", "look", *others).loop(call("look", 99)) is None
    assert len(guard_after(*others, *others).seen) == WINDOW - 1


@pytest.mark.parametrize(
    ("tools", "circle"),
    [
        (
            "abab",
            "calls a {} and then b {} once more (w/model.1, w/model.3 and w/model.5)",
        ),
        ("abcabc", "calls a {} and then b {} and then c {} once more"),
        ("xaba", "calls a {} once more (w/model.2, w/model.4 and w/model.5)"),
    ],
)
def test_longer_circles_are_named_whole(tools: str, circle: str) -> None:
    loop = guard_after(*tools).loop(call("a", len(tools) + 1))
    assert loop is not None and circle in loop


def test_a_loop_goes_on_where_the_conversation_does() -> None:
    carried = [SeenCall.model_validate_json(call.model_dump_json()) for call in guard_after("a", "a").seen]
    assert LoopGuard(carried).loop(call("a", 3)) is not None


def test_long_arguments_are_cut() -> None:
    assert len(SeenCall.of("a", "look", "x" * 5000, "1").said) == 200
