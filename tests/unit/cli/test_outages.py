"""What commands do where the server goes away, or a task ends, between two questions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import CancelledError
from temporalio.service import RPCError, RPCStatusCode

from counterstep.cli.arguments import server_target
from counterstep.cli.arguments.server_target import ServerTarget
from counterstep.cli.errors import CommandFailed
from counterstep.cli.operations import server_outage
from counterstep.cli.operations.find_result import find_result
from counterstep.cli.operations.give_up_unknown import give_up_unknown
from counterstep.cli.operations.task_watch import TaskWatch
from counterstep.cli.terminal.live_board import Lines
from counterstep.cli.terminal.signals import Signals
from counterstep.client import board_query, updates
from counterstep.client.errors import TaskEnded

AWAY = RPCError("tcp connect error", RPCStatusCode.UNAVAILABLE, b"")
GONE = RPCError("workflow execution already completed", RPCStatusCode.NOT_FOUND, b"")


class Order:
    """A task whose server fails as often as `failures` says, one question after the other."""

    id = "order-1"

    def __init__(self, *failures: RPCError, status: WorkflowExecutionStatus) -> None:
        self.failures = list(failures)
        self.status = status

    async def describe(self) -> Any:
        self._fail()
        return SimpleNamespace(id=self.id, run_id="run-1", status=self.status)

    async def result(self) -> Any:
        self._fail()
        return {"ok": True}

    async def cancel(self) -> None:
        raise GONE

    def _fail(self) -> None:
        if self.failures:
            raise self.failures.pop(0)


def client_of(order: Order) -> Client:
    return cast(Client, SimpleNamespace(get_workflow_handle=lambda _: order, namespace="default"))


async def test_a_result_is_waited_for_whichever_question_the_server_has_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    order = Order(AWAY, AWAY, status=WorkflowExecutionStatus.COMPLETED)

    async def there(*_: Any, **__: Any) -> Client:
        return client_of(order)

    async def at_once(_: Client) -> bool:
        return True

    monkeypatch.setattr(server_target, "connect", there)
    monkeypatch.setattr(server_outage, "answers", at_once)
    outcome, end = await find_result(ServerTarget({"target_host": "a:1"}), order.id, wait=True)
    assert (outcome.state, end, order.failures) == ("completed", {"ok": True}, [])


@pytest.mark.parametrize("status", [WorkflowExecutionStatus.COMPLETED, WorkflowExecutionStatus.CANCELED])
async def test_a_task_that_ends_while_it_is_asked_to_cancel_has_ended(
    status: WorkflowExecutionStatus,
) -> None:
    order = Order(status=status)
    before = cast(Any, SimpleNamespace(id=order.id, status=WorkflowExecutionStatus.RUNNING))
    asked = updates.ask_to_cancel(client_of(order), cast(Any, order), before)
    if status is WorkflowExecutionStatus.CANCELED:
        assert not await asked
    else:
        with pytest.raises(
            TaskEnded, match=r"order-1 cannot be cancelled: it has ended already \(completed\)"
        ):
            await asked


async def test_workers_that_are_only_starting_are_given_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = iter([False, False, True])

    async def has_workers(_: Client, __: str) -> bool:
        return next(seen)

    monkeypatch.setattr(updates, "has_workers", has_workers)
    monkeypatch.setattr(updates, "PAUSES", (0.0, 0.0))
    assert await updates._has_workers_soon(cast(Any, None), "queue")
    seen = iter([False, False, False])
    assert not await updates._has_workers_soon(cast(Any, None), "queue")


async def test_a_task_without_a_known_name_is_not_given_up_by_an_outage() -> None:
    class Away:
        async def fetch_history_events(self) -> AsyncIterator[HistoryEvent]:
            yield HistoryEvent()
            raise AWAY

    assert await give_up_unknown(cast(WorkflowHandle[Any, Any], Away())) is None


class Stopping:
    """A task whose worker has told the last board, and leaves when that is asked for again."""

    id = "order-1"

    def __init__(self) -> None:
        self.told = asyncio.Event()
        self.ends = asyncio.Event()

    async def query(self, _: str) -> dict[str, Any]:
        if self.told.is_set():
            self.ends.set()
            raise RPCError("no poller", RPCStatusCode.FAILED_PRECONDITION, b"")
        self.told.set()
        return {"task_id": self.id, "state": "cancelled", "log": [], "ledger": []}

    async def result(self) -> None:
        await self.ends.wait()
        raise WorkflowFailureError(cause=CancelledError("cancelled"))


async def test_the_last_board_of_a_task_is_not_asked_for_twice() -> None:
    watch = TaskWatch(cast(WorkflowHandle[Any, Any], Stopping()), Lines(), Signals())
    seen = await watch.until_end()
    assert seen.board is not None and seen.board["state"] == "cancelled"


async def test_a_watch_that_ends_leaves_nothing_that_could_fail_later() -> None:
    async def guard() -> None:
        raise CommandFailed("no worker")

    others = asyncio.all_tasks()
    watch = TaskWatch(cast(WorkflowHandle[Any, Any], Stopping()), Lines(), Signals())
    with pytest.raises(CommandFailed, match="no worker"):
        await watch.until_end(asyncio.create_task(guard()))
    left = asyncio.all_tasks() - others
    assert not left


async def test_a_question_that_is_lost_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    class Lossy:
        asked = 0

        async def query(self, _: str) -> dict[str, Any]:
            self.asked += 1
            if self.asked == 1:
                await asyncio.Event().wait()
            return {"state": "cancelled"}

    monkeypatch.setattr(board_query, "QUERY_SECONDS", 0.01)
    assert await board_query.read_board(cast(WorkflowHandle[Any, Any], Lossy()), 10.0) == {
        "state": "cancelled"
    }
