"""Pages of a list of tasks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from a2a.types import a2a_pb2 as pb
from a2a.utils.errors import InvalidParamsError

from counterstep.a2a_server.listing import page_of
from counterstep.a2a_server.served_tasks import OwnedTask
from counterstep.a2a_server.task_view import ASKING, COMPLETED

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def task(number: int, state: pb.TaskState = COMPLETED) -> OwnedTask:
    task: Any = SimpleNamespace(id=f"t{number}", name="shop.order")
    found: Any = SimpleNamespace(start_time=NOON, close_time=NOON + timedelta(minutes=number // 2))
    return OwnedTask(task, found, f"context-{number % 3}", state)


LISTED = [task(number, ASKING if number == 4 else COMPLETED) for number in range(7)]


def ids(**wanted: Any) -> list[str]:
    page, _ = page_of(LISTED, pb.ListTasksRequest(**wanted))
    return [task.id for task in page.tasks]


def test_pages_have_every_task_once_the_newest_first() -> None:
    seen, token = [], ""
    while True:
        page, chosen = page_of(LISTED, pb.ListTasksRequest(page_size=3, page_token=token))
        assert page.total_size == 7 and len(page.tasks) == len(chosen)
        seen += [task.id for task in page.tasks]
        token = page.next_page_token
        if not token:
            break
    assert seen == ["t6", "t5", "t4", "t3", "t2", "t1", "t0"]


def test_a_list_may_be_narrowed() -> None:
    assert ids(context_id="context-1") == ["t4", "t1"]
    assert ids(status=ASKING) == ["t4"]
    later = pb.ListTasksRequest()
    later.status_timestamp_after.FromDatetime(NOON + timedelta(minutes=2))
    assert [task.id for task in page_of(LISTED, later)[0].tasks] == ["t6", "t5", "t4"]


@pytest.mark.parametrize("wanted", [{"page_size": 0}, {"page_size": 101}, {"page_token": "nonsense"}])
def test_a_page_that_cannot_be_is_refused(wanted: Any) -> None:
    with pytest.raises(InvalidParamsError):
        ids(**wanted)
