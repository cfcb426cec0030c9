"""Makes pages of a list of tasks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from a2a.types import a2a_pb2 as pb
from a2a.utils.constants import DEFAULT_LIST_TASKS_PAGE_SIZE
from a2a.utils.errors import InvalidParamsError
from a2a.utils.task import (
    ListTasksCursor,
    decode_list_tasks_cursor,
    encode_list_tasks_cursor,
    validate_page_size,
)
from temporalio.client import WorkflowExecution

from .served_tasks import OwnedTask


def page_of(
    listed: Iterable[OwnedTask], params: pb.ListTasksRequest
) -> tuple[pb.ListTasksResponse, Sequence[OwnedTask]]:
    """Returns one page, and the tasks that are on it.

    Args:
        listed: All tasks of the caller.
        params: Which of them are wanted.

    Raises:
        InvalidParamsError: The size or the token of the page is not valid.
    """
    size = params.page_size if params.HasField("page_size") else DEFAULT_LIST_TASKS_PAGE_SIZE
    validate_page_size(size)
    wanted = sorted((one for one in listed if _is_wanted(one, params)), key=_place, reverse=True)
    rest = wanted
    if params.page_token:
        cursor = decode_list_tasks_cursor(params.page_token)
        if cursor is None:
            raise InvalidParamsError("page_token is not one that this server has given")
        rest = [one for one in wanted if _cursor(one).sort_key() < cursor.sort_key()]
    chosen = rest[:size]
    more = encode_list_tasks_cursor(_cursor(chosen[-1])) if len(rest) > size else ""
    tasks = [one.view.of_state(one.state, _changed(one.found)) for one in chosen]
    page = pb.ListTasksResponse(tasks=tasks, next_page_token=more, page_size=size, total_size=len(wanted))
    return page, chosen


def _is_wanted(one: OwnedTask, params: pb.ListTasksRequest) -> bool:
    if params.context_id not in ("", one.context):
        return False
    if params.status not in (pb.TaskState.TASK_STATE_UNSPECIFIED, one.state):
        return False
    if not params.HasField("status_timestamp_after"):
        return True
    return _changed(one.found) >= params.status_timestamp_after.ToDatetime(tzinfo=UTC)


def _changed(found: WorkflowExecution) -> datetime:
    return found.close_time or found.start_time


def _cursor(one: OwnedTask) -> ListTasksCursor:
    return ListTasksCursor(round(_changed(one.found).timestamp() * 1e6) * 1000, one.task.id)


def _place(one: OwnedTask) -> tuple[bool, int, str]:
    return _cursor(one).sort_key()
