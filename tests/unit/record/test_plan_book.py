"""What a task remembers of its plans, over continued runs."""

from __future__ import annotations

from counterstep.saga.errors import FailureType
from counterstep.saga.failure import Failure
from counterstep.saga.ledger.entry import Entry
from counterstep.saga.record.plan_book import CarriedPlans, Doubt, EarlierRun, ItemRecord, PlanBook
from counterstep.saga.record.step_record import StepState

FAILURE = Failure(step="", type=FailureType.AMENDED, message="the hotel is full")


def book() -> PlanBook:
    made = PlanBook()
    made.begun_at("ops")["a"] = ItemRecord("x", ("b",), {"id": "a"}, StepState.COMPLETED, {"n": 1})
    made.begun_at("g[2]/ops")["c"] = ItemRecord("y")
    made.begun_at("opsx")
    made.doubts[""] = Doubt(
        failure=FAILURE,
        steps={"ops", "end"},
        again={"ops"},
        feedback=[{"step": "", "message": "full"}],
        earlier={"plan": EarlierRun({"items": []}, ("plan#1",))},
    )
    return made


def test_it_is_the_same_after_a_continued_run() -> None:
    made = book()
    again = PlanBook()
    again.restore(CarriedPlans.model_validate_json(made.carried().model_dump_json()))
    assert again.items == {path: begun for path, begun in made.items.items() if begun}
    assert again.doubts == made.doubts
    assert again.spared == made.spared == {"plan#1"}


def test_an_empty_book_carries_nothing() -> None:
    made = PlanBook()
    made.begun_at("ops")
    assert made.carried().model_dump(exclude_defaults=True) == {}


def test_what_is_forgotten_is_what_is_at_the_path_and_inside_of_it() -> None:
    made = book()
    made.forget("op")
    made.forget("g[1]")
    assert set(made.items) == {"ops", "g[2]/ops", "opsx"}
    made.forget("ops")
    made.forget("g[2]")
    assert set(made.items) == {"opsx"}
    made.begun_at("g[3]/ops")
    made.forget("g")
    assert set(made.items) == {"opsx"}


def test_calls_build_on_what_has_replaced_what_they_were_to_build_on() -> None:
    made = PlanBook()
    entry = Entry("c#1", "c", "undo", "key", frozenset({"plan#1", "x#1"}))
    assert made.current(entry) is entry
    made.replace({"plan#1"}, {"plan#2"})
    made.replace({"plan#2"}, {"plan#3", "plan/tool.1#1"})
    assert made.current(entry).depends_on == {"plan#3", "plan/tool.1#1", "x#1"}
    made.replace({"plan#3", "plan/tool.1#1"}, set())
    assert made.current_ids({"plan#1", "x#1"}) == {"x#1"}
