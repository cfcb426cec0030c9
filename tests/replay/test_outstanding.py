"""What is left is read off events alone: these are written by hand, the rest of the tests reads real ones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.api.enums.v1 import EventType
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.converter import DataConverter
from temporalio.exceptions import ApplicationError, TimeoutError, TimeoutType

from counterstep.histories.outstanding import DecodedResolution, Outstanding, PassedPivot, left_behind
from counterstep.histories.payload_reader import PayloadReader
from counterstep.histories.run_history import RunHistory
from counterstep.saga.calls.headers import CallHeader, CallOwner
from counterstep.saga.calls.timeouts_and_retries import GRACE
from counterstep.saga.children.handover import HandedEntry, HandOver
from counterstep.saga.effect import Effect
from counterstep.saga.history_format import HEADER, RECOVER_CHILD
from counterstep.saga.ledger.effect_to_undo import EffectToUndo

BEGIN = datetime(2030, 1, 1, tzinfo=UTC)
TIMEOUT = timedelta(seconds=60)
FIRST = {"attempt": 1}


def at(seconds: float) -> datetime:
    return BEGIN + timedelta(seconds=seconds)


class History:
    """Writes the history of one run, an event a second.

    Attributes:
        trail: What is read from it.
    """

    def __init__(self, run_id: str = "run", *, begin: float = 0, superseded: bool = False) -> None:
        self.history = RunHistory("task", run_id, superseded=superseded)
        self.seconds = begin
        self._events = 0
        self._scheduled: dict[str, int] = {}
        started = self._event(EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED)
        started.workflow_execution_started_event_attributes.task_queue.name = "queue"
        self._add(started)

    def schedule(
        self, id_: str, *, key: str = "", input: Any = None, queue: str = "queue", **header: Any
    ) -> History:
        """Schedules a call; with a compensation unless something else is said."""
        given = {"step": id_.partition("#")[0], "effect": Effect.COMPENSATABLE, "compensation": "undo_it"}
        written = CallHeader(**{**given, "key": key or id_, **header})
        event = self._event(EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED)
        scheduled = event.activity_task_scheduled_event_attributes
        scheduled.activity_id = id_
        scheduled.activity_type.name = "do_it"
        scheduled.task_queue.name = queue
        scheduled.header.fields[HEADER].CopyFrom(Payload(data=written.model_dump_json().encode()))
        scheduled.input.CopyFrom(_payloads(input if input is not None else {"of": id_}))
        scheduled.start_to_close_timeout.FromTimedelta(TIMEOUT)
        scheduled.heartbeat_timeout.FromTimedelta(timedelta(seconds=10))
        self._scheduled[id_] = event.event_id
        self._add(event)
        return self

    def complete(self, id_: str, result: Any = "done") -> History:
        event = self._event(EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
        completed = event.activity_task_completed_event_attributes
        completed.scheduled_event_id = self._scheduled[id_]
        completed.result.CopyFrom(_payloads(result))
        self._add(event)
        return self

    def call(self, id_: str, result: Any = "done", **header: Any) -> History:
        return self.schedule(id_, **header).complete(id_, result)

    def undo(self, id_: str, *, key: str = "") -> History:
        path, _, round_ = id_.rpartition("#")
        return self.call(f"{path}/undo#{round_}", key=key or id_, effect=None, compensation=None)

    def fail(self, id_: str, error: BaseException) -> History:
        event = self._event(EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED)
        failed = event.activity_task_failed_event_attributes
        failed.scheduled_event_id = self._scheduled[id_]
        DataConverter.default.failure_converter.to_failure(
            error, DataConverter.default.payload_converter, failed.failure
        )
        self._add(event)
        return self

    def time_out(self, id_: str, kind: TimeoutType, *, started: bool = True) -> History:
        if started:
            event = self._event(EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED)
            event.activity_task_started_event_attributes.scheduled_event_id = self._scheduled[id_]
            self._add(event)
        event = self._event(EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT)
        timed_out = event.activity_task_timed_out_event_attributes
        timed_out.scheduled_event_id = self._scheduled[id_]
        error = TimeoutError("too late", type=kind, last_heartbeat_details=[])
        DataConverter.default.failure_converter.to_failure(
            error, DataConverter.default.payload_converter, timed_out.failure
        )
        self._add(event)
        return self

    def lose_in_reset(self, id_: str) -> History:
        event = self._event(EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED)
        failed = event.activity_task_failed_event_attributes
        failed.scheduled_event_id = self._scheduled[id_]
        failure = Failure(message="reset")
        failure.reset_workflow_failure_info.SetInParent()
        failed.failure.CopyFrom(failure)
        self._add(event)
        return self

    def start_child(self, id_: str, *, key: str = "", parent: str = "task", **header: Any) -> History:
        """Starts a child; of a task unless something else is said."""
        given = {"step": id_.partition("#")[0], "compensation": RECOVER_CHILD, "ends_undone": True}
        written = CallHeader(**{**given, "effect": Effect.COMPENSATABLE, "key": key or id_, **header})
        event = self._event(EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED)
        initiated = event.start_child_workflow_execution_initiated_event_attributes
        initiated.workflow_id = f"{parent}/{id_}"
        initiated.task_queue.name = "queue"
        initiated.header.fields[HEADER].CopyFrom(Payload(data=written.model_dump_json().encode()))
        self._scheduled[id_] = event.event_id
        self._add(event)
        return self

    def complete_child(self, id_: str, *ids: str, committed: bool = False) -> History:
        """A child completes and hands calls over that it has made one after the other."""
        entries = [
            HandedEntry(
                id=one, compensation="undo_it", key=f"{id_} {one}", depends_on=ids[:at], task_queue="q"
            )
            for at, one in enumerate(ids)
        ]
        handed = HandOver(entries=tuple(entries), committed=committed).model_dump(mode="json")
        event = self._event(EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED)
        completed = event.child_workflow_execution_completed_event_attributes
        completed.initiated_event_id = self._scheduled[id_]
        completed.result.CopyFrom(_payloads(handed))
        self._add(event)
        return self

    def fail_child(self, id_: str, type_: str) -> History:
        event = self._event(EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED)
        failed = event.child_workflow_execution_failed_event_attributes
        failed.initiated_event_id = self._scheduled[id_]
        failed.failure.application_failure_info.type = type_
        self._add(event)
        return self

    def cancel_child(self, id_: str) -> History:
        event = self._event(EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED)
        canceled = event.child_workflow_execution_canceled_event_attributes
        canceled.initiated_event_id = self._scheduled[id_]
        self._add(event)
        return self

    def end_well(self) -> History:
        """A saga ends well, and says so by its search attribute; its workflow goes on."""
        event = self._event(EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES)
        fields = event.upsert_workflow_search_attributes_event_attributes.search_attributes.indexed_fields
        fields["SagaState"].CopyFrom(Payload(data=b'"completed"'))
        self._add(event)
        return self

    def terminate(self, reason: str = "") -> History:
        event = self._event(EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED)
        event.workflow_execution_terminated_event_attributes.reason = reason
        self._add(event)
        return self

    def _event(self, type_: EventType.ValueType) -> HistoryEvent:
        self._events += 1
        self.seconds += 1
        event = HistoryEvent(event_id=self._events, event_type=type_)
        event.event_time.FromDatetime(at(self.seconds))
        return event

    def _add(self, event: HistoryEvent) -> None:
        self.history.add(event)


def _payloads(value: Any) -> Payloads:
    return Payloads(payloads=DataConverter.default.payload_converter.to_payloads([value]))


async def left_by(
    *histories: History, resolved: dict[str, list[DecodedResolution]] | None = None
) -> Outstanding:
    reader = PayloadReader(DataConverter.default, "default", strict=True)
    for history in histories:
        await reader.decode(history.history)
    return left_behind([history.history for history in histories], resolved or {})


async def ids_left_by(*histories: History) -> list[str]:
    return [item.id for item in (await left_by(*histories)).entries]


async def recovered_from(*histories: History) -> list[EffectToUndo]:
    """All that is left, oldest first, as the recovery is told."""
    reader = PayloadReader(DataConverter.default, "default", strict=True)
    return [await reader.recovered(item) for item in reversed((await left_by(*histories)).entries)]


async def test_all_calls_are_left_newest_first() -> None:
    history = History().call("a#1").call("b#1").call("c[0]#1").terminate()
    assert await ids_left_by(history) == ["c[0]#1", "b#1", "a#1"]


async def test_what_was_undone_is_not_left() -> None:
    history = History().call("a#1").call("b#1").undo("b#1").terminate()
    left = await left_by(history)
    assert [item.id for item in left.entries] == ["a#1"]
    assert left.undone == 1


async def test_an_undo_that_did_not_end_is_left_until_it_cannot_land() -> None:
    history = (
        History().call("a#1").schedule("a/undo#1", key="a#1", effect=None, compensation=None).terminate()
    )
    (item,) = (await left_by(history)).entries
    assert item.known is not None
    assert item.may_land_until == at(history.seconds) + TIMEOUT + GRACE


async def test_a_call_in_flight_may_land_until_its_timeout_after_the_end() -> None:
    history = History().call("a#1").schedule("b#1").terminate()
    newest, oldest = (await left_by(history)).entries
    assert newest.known is None
    assert newest.may_land_until == at(history.seconds) + TIMEOUT + GRACE
    assert oldest.may_land_until is None


async def test_a_call_that_a_reset_gave_up_may_land_too() -> None:
    history = History().schedule("a#1").lose_in_reset("a#1")
    given_up = history.seconds
    (item,) = (await left_by(history.terminate())).entries
    assert item.may_land_until == at(given_up) + TIMEOUT + GRACE


@pytest.mark.parametrize(
    ("error", "is_left"),
    [
        (ApplicationError("no room", FIRST, type="NotApplied"), False),
        (ApplicationError("no room", {"attempt": 2}, type="NotApplied"), True),
        (ApplicationError("no room", type="NotApplied"), True),
        (ApplicationError("bad", FIRST, type="InvalidInput"), False),
        (ApplicationError("who?", FIRST, type="UnknownActivity"), False),
        (ApplicationError("broken", FIRST, type="Broken"), True),
    ],
)
async def test_a_call_that_certainly_did_nothing_is_not_left(error: ApplicationError, is_left: bool) -> None:
    history = History().schedule("a#1").fail("a#1", error).terminate()
    assert await ids_left_by(history) == (["a#1"] if is_left else [])


async def test_a_failure_that_cannot_be_read_says_nothing() -> None:
    history = (
        History().schedule("a#1").fail("a#1", ApplicationError("", FIRST, type="NotApplied")).terminate()
    )
    assert [item.id for item in left_behind([history.history]).entries] == ["a#1"]


@pytest.mark.parametrize(
    ("kind", "started", "lands_after"),
    [
        (TimeoutType.SCHEDULE_TO_START, False, None),
        (TimeoutType.SCHEDULE_TO_START, True, GRACE),
        (TimeoutType.START_TO_CLOSE, True, GRACE),
        (TimeoutType.HEARTBEAT, True, TIMEOUT - timedelta(seconds=10) + GRACE),
    ],
)
async def test_a_timeout_tells_what_it_tells_a_living_task(
    kind: TimeoutType, started: bool, lands_after: timedelta | None
) -> None:
    history = History().schedule("a#1").time_out("a#1", kind, started=started)
    given_up = history.seconds
    entries = (await left_by(history.terminate())).entries
    if lands_after is None:
        assert entries == []
    else:
        assert [item.may_land_until for item in entries] == [at(given_up) + lands_after]


async def test_runs_of_a_chain_are_judged_by_key() -> None:
    first = History("one", superseded=True).call("a#1").call("b#1").call("c#1").terminate()
    second = History("two", begin=100).call("b#1").terminate()
    assert await ids_left_by(first, second) == ["c#1", "b#1", "a#1"]


async def test_what_was_undone_and_done_again_is_left() -> None:
    first = History("one", superseded=True).call("a#1", "old").undo("a#1").terminate()
    second = History("two", begin=100).call("a#1", "new").terminate()
    (item,) = await recovered_from(first, second)
    assert (item.id, item.output) == ("a#1", "new")


async def test_what_was_done_again_in_vain_is_left_once() -> None:
    first = History("one", superseded=True).call("a#1", "old").terminate()
    refused = ApplicationError("", FIRST, type="NotApplied")
    second = History("two", begin=100).schedule("a#1").fail("a#1", refused).terminate()
    (item,) = await recovered_from(first, second)
    assert (item.id, item.output) == ("a#1", "old")


async def test_an_undo_of_a_recovery_counts() -> None:
    task = History().call("a#1").call("b#1").terminate()
    recovery = History("recovery", begin=100).undo("b#1").terminate()
    assert await ids_left_by(task, recovery) == ["a#1"]


async def test_the_value_before_is_the_oldest() -> None:
    def labels(history: History, value: str) -> History:
        history.call("a/before#1", value, effect=Effect.READ_ONLY, compensation=None)
        return history.call("a#1", "ours").terminate()

    first = labels(History("one", superseded=True), "theirs")
    second = labels(History("two", begin=100), "ours")
    (item,) = await recovered_from(first, second)
    assert item.before == "theirs"


async def test_arguments_get_the_names_that_the_undo_knows() -> None:
    history = History().call("a#1", input={"what": 1}).call("b#1", input=7, names=("what",)).terminate()
    assert [item.input for item in await recovered_from(history)] == [{"what": 1}, {"what": 7}]


async def test_a_queue_of_its_own_is_kept() -> None:
    history = History().call("a#1").call("b#1", queue="bulkhead").terminate()
    assert [item.task_queue for item in await recovered_from(history)] == [None, "bulkhead"]


async def test_an_undo_waits_for_all_that_may_have_built_on_its_call() -> None:
    history = (
        History().schedule("a#1").schedule("b#1").complete("a#1").call("c#1").complete("b#1").call("d#1")
    )
    items = await recovered_from(history.terminate())
    order = {item.id: set(item.entry(items[:n]).depends_on) for n, item in enumerate(items)}
    assert order == {"a#1": set(), "b#1": set(), "c#1": {"a#1"}, "d#1": {"a#1", "b#1", "c#1"}}


def ask(history: History, turn: int, reply: dict[str, Any], *, agent: str = "x#1") -> History:
    owner = CallOwner(id=agent, key=f"key of {agent}", compensation="undo_agent")
    request: dict[str, Any] = {"agent": "team.x", "messages": [{"role": "system", "content": "Do."}]}
    request["messages"] += [{"role": "user", "content": '{"what": 1}'}] * turn
    id_ = f"x/model.{turn}#1"
    return history.call(
        id_, reply, input=request, effect=Effect.READ_ONLY, compensation=None, owner=owner, step="x"
    )


async def test_an_agent_has_an_entry_although_it_has_no_activity() -> None:
    history = ask(History(), 1, {"tool_calls": [{"id": "1", "name": "put"}]})
    history = ask(history.call("x/tool.1#1"), 2, {"output": {"answer": 42}})
    agent, tool, _ = await recovered_from(history.call("y#1").terminate())
    assert (agent.id, agent.key, agent.compensation, agent.step) == ("x#1", "key of x#1", "undo_agent", "x")
    assert (agent.input, agent.output, agent.action) == ({"what": 1}, {"answer": 42}, "team.x")
    assert tool.entry([agent]).depends_on == {"x#1"}


async def test_an_agent_that_has_not_answered_has_no_output() -> None:
    history = ask(History(), 1, {"tool_calls": [{"id": "1", "name": "put"}], "output": None})
    (agent,) = await recovered_from(history.terminate())
    assert (agent.output, agent.may_land_until) == (None, None)


async def test_an_agent_that_asked_nobody_has_nothing_to_undo() -> None:
    owner = CallOwner(id="x#1", key="x", compensation="undo_agent")
    history = History().schedule("x/model.1#1", effect=Effect.READ_ONLY, compensation=None, owner=owner)
    history.fail("x/model.1#1", ApplicationError("", FIRST, type="UnknownActivity")).terminate()
    assert await ids_left_by(history) == []


async def test_a_pivot_is_told_apart() -> None:
    history = History().call("a#1").schedule("ship#1", effect=Effect.PIVOT, compensation=None).terminate()
    left = await left_by(history)
    assert [item.id for item in left.entries] == ["a#1"]
    assert left.pivots == [PassedPivot("ship", is_known=False)]


async def test_what_a_saga_kept_that_ended_well_stays() -> None:
    history = History().call("a#1").end_well().call("b#1").terminate()
    assert await ids_left_by(history) == ["b#1"]


async def test_what_was_kept_before_a_reset_does_not_stay() -> None:
    first = History("one", superseded=True).call("a#1").call("b#1").end_well()
    second = History("two", begin=100).terminate()
    assert await ids_left_by(first, second) == ["b#1", "a#1"]


@pytest.mark.parametrize(
    ("action", "entries", "skipped"), [("skip", [], 1), ("done", [], 0), ("retry", ["a#1"], 0)]
)
async def test_what_people_have_said_counts(action: str, entries: list[str], skipped: int) -> None:
    history = History().call("a#1").schedule("a/undo#1", key="the key", effect=None, compensation=None)
    history.history.forward["a#1"].header = CallHeader(key="the key", step="a", compensation="undo_it")
    history.fail("a/undo#1", ApplicationError("stuck")).terminate()
    word = DecodedResolution(at(history.seconds - 0.5), action, "a", frozenset({"a#1"}))
    left = await left_by(history, resolved={"run": [word]})
    assert [item.id for item in left.entries] == entries
    assert len(left.skipped) == skipped


async def test_strangers_are_told_apart() -> None:
    assert History().call("a#1").history.is_ours
    assert not History().terminate("ours?").history.is_ours


# --- children, and what was carried


async def test_what_a_child_has_handed_over_is_left_in_its_order() -> None:
    history = History().call("a#1").start_child("c#1").complete_child("c#1", "x#1", "y#1").call("b#1")
    found = await recovered_from(history.terminate())
    assert [item.id for item in found] == ["a#1", "c/1/x#1", "c/1/y#1", "b#1"]
    assert [(item.step, item.key) for item in found[1:3]] == [("c", "c#1 x#1"), ("c", "c#1 y#1")]
    a, x, y, b = (item.entry(found[:at]).depends_on for at, item in enumerate(found))
    assert not a
    assert x == {"a#1"}
    assert y == {"a#1", "c/1/x#1"}
    assert b == {"a#1", "c/1/x#1", "c/1/y#1"}


async def test_what_was_undone_of_a_child_is_not_left() -> None:
    history = History().start_child("c#1").complete_child("c#1", "x#1", "y#1")
    history.undo("c/1/y#1", key="c#1 y#1").terminate()
    assert await ids_left_by(history) == ["c/1/x#1"]


async def test_a_child_that_has_not_handed_over_is_recovered_itself() -> None:
    history = History().call("a#1").start_child("c#1").terminate()
    a, child = await recovered_from(history)
    assert (child.compensation, child.input) == (
        RECOVER_CHILD,
        {"workflow_id": "task/c#1", "is_started": False},
    )
    assert child.entry([a]).depends_on == {"a#1"}


async def test_a_child_that_is_undone_is_not_left() -> None:
    assert await ids_left_by(History().start_child("c#1").fail_child("c#1", "SagaRolledBack")) == []
    assert await ids_left_by(History().start_child("c#1").fail_child("c#1", "InvalidSpec")) == []
    assert await ids_left_by(History().start_child("c#1").cancel_child("c#1")) == []
    assert await ids_left_by(History().start_child("c#1").fail_child("c#1", "ValueError")) == ["c#1"]
    own = History().start_child("c#1", ends_undone=False).cancel_child("c#1")
    assert await ids_left_by(own) == ["c#1"], "a workflow of a user's own may end cancelled and undo nothing"


async def test_a_child_that_has_committed_is_a_pivot() -> None:
    history = History().call("a#1").start_child("c#1").complete_child("c#1", committed=True).terminate()
    assert (await left_by(history)).pivots == [PassedPivot("c", is_known=True)]


async def test_a_child_that_a_reset_has_started_again_is_left_once() -> None:
    first = History("first", superseded=True).start_child("c#1").complete_child("c#1", "x#1").terminate()
    again = History("again", begin=10).start_child("c#1").terminate()
    assert await ids_left_by(first, again) == ["c#1"]
    recovered = History("again", begin=10).start_child("c#1").undo("c#1").start_child("c#1", key="other")
    recovered.complete_child("c#1", "z#1").terminate()
    assert await ids_left_by(recovered) == ["c/1/z#1"]
