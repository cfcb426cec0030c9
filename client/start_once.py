"""Starts a task only once for each id, however often and from wherever it is requested."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakKeyDictionary

from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from ..bundle.spec_file import parse_spec
from ..observability.search_attribute_check import RECHECK, tells_of_missing
from ..saga.errors import SpecError
from ..saga.record.search_attributes import at_start
from ..saga.spec.task_spec import TaskSpec
from .errors import IdInUse

AGENT_TASK: Final = "AgentTask"
_WITHOUT_ATTRIBUTES: Final[WeakKeyDictionary[Client, float]] = WeakKeyDictionary()
"""When the server has refused a start of a client, whose namespace lacks Counterstep's search attributes."""

_SUMMARY_BYTES: Final = 200

_DETAILS: Final = """\
- *Request Cancellation* undoes what the task has done, as `counterstep cancel {id}` does.
- *Terminate* undoes nothing; after it, `counterstep recover {id}` does.
- `counterstep status {id}` shows what it waits for, and the commands that answer."""
"""What the Web UI shows beside the board."""


@dataclass(frozen=True, slots=True)
class Started:
    """A task that is running or has ended.

    Attributes:
        handle: The handle of the task's workflow id; it follows the newest run of that id.
        run_id: The run that was started or found.
        task_queue: The queue on which it runs.
        is_new: Whether this call started it; False if it had been started before.
        status: The status that the server reports.
    """

    handle: WorkflowHandle[Any, Any]
    run_id: str
    task_queue: str
    is_new: bool
    status: WorkflowExecutionStatus | None = WorkflowExecutionStatus.RUNNING


def spec_document(spec: TaskSpec) -> dict[str, Any]:
    """Returns a spec as a JSON object that is the same for all ways to write the spec."""
    document: dict[str, Any] = spec.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return document


async def start_once(
    client: Client,
    workflow: str,
    argument: Any,
    *,
    id: str,
    task_queue: str,
    summary: str = "",
    memo: Mapping[str, Any] | None = None,
) -> Started:
    """Starts a task, unless its id has been started before with the same input.

    Args:
        client: A connected client.
        workflow: The name of a registered task, or ``AgentTask``.
        argument: The workflow's only argument as JSON.
        id: The workflow id.
        task_queue: The queue of its workers.
        summary: One line for the Web UI.
        memo: What is kept beside a new task, for whoever finds it.

    Returns:
        The task, which may be new, running or ended.

    Raises:
        IdInUse: The id has been used for something else.
        RPCError: The server does not answer or refuses.
    """
    try:
        handle = await _start(
            client,
            workflow,
            argument,
            id=id,
            task_queue=task_queue,
            # Both policies are needed: one is for a task that runs, the other for one that has ended.
            id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            static_summary=_one_line(summary) or None,
            static_details=_DETAILS.format(id=shlex.quote(id)),
            memo=memo,
        )
    except WorkflowAlreadyStartedError:
        found = await find_started(client, workflow, argument, id=id)
        if found is None:
            raise IdInUse(f"The id {id!r} is in use, and its history is gone; use another id.") from None
        return found
    newest = client.get_workflow_handle(id)
    return Started(newest, handle.result_run_id or "", task_queue, is_new=True)


async def _start(client: Client, workflow: str, argument: Any, **options: Any) -> WorkflowHandle[Any, Any]:
    """Starts a workflow with the search attributes of a task, if it is one and its namespace knows them."""
    task = _task_of(workflow, argument)
    refused = _WITHOUT_ATTRIBUTES.get(client)
    if task and (refused is None or time.monotonic() - refused > RECHECK.total_seconds()):
        attributes = at_start(task)
        try:
            return await client.start_workflow(workflow, argument, search_attributes=attributes, **options)
        except RPCError as error:
            if not tells_of_missing(error):
                raise
            _WITHOUT_ATTRIBUTES[client] = time.monotonic()
    return await client.start_workflow(workflow, argument, **options)


def _task_of(workflow: str, argument: Any) -> str:
    """Returns the name by which a task is found; empty for a workflow of one's own, which may be none."""
    if workflow != AGENT_TASK:
        return workflow if "." in workflow else ""
    forked = (argument.get("fork") or {}).get("task")
    return str(forked or argument.get("task") or argument["spec"]["name"])


async def find_started(client: Client, workflow: str, argument: Any, *, id: str) -> Started | None:
    """Finds the task that an id was started with.

    Args:
        client: A connected client.
        workflow: The workflow type that it must have been started as.
        argument: The argument that it must have been started with, as JSON.
        id: The workflow id.

    Returns:
        The task; None if the id is free.

    Raises:
        IdInUse: The id has been used for something else.
        RPCError: The server does not answer.
    """
    handle = client.get_workflow_handle(id)
    try:
        found = await handle.describe()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return None
        raise
    first = await _first_event(client, id, found.run_id)
    if first.workflow_type.name != workflow:
        raise IdInUse(f"The id {id!r} belongs to a task of type {first.workflow_type.name}; use another id.")
    try:
        arguments = await client.data_converter.decode(first.input.payloads)
    except Exception as error:
        raise IdInUse(f"The id {id!r} is in use, and its input cannot be read ({error}).") from None
    difference = _difference(_normal(workflow, arguments), _normal(workflow, [argument]))
    if difference:
        raise IdInUse(f"The id {id!r} is in use with another {difference}; use another id.")
    return Started(handle, found.run_id, found.task_queue, is_new=False, status=found.status)


async def _first_event(client: Client, id: str, run_id: str) -> Any:
    """Returns the first event of the chain, because later runs are started with a carried state instead."""
    started = await _started_event(client, id, run_id)
    first_run = started.first_execution_run_id
    return started if first_run in ("", run_id) else await _started_event(client, id, first_run)


async def _started_event(client: Client, id: str, run_id: str) -> Any:
    async for event in client.get_workflow_handle(id, run_id=run_id).fetch_history_events(page_size=1):
        return event.workflow_execution_started_event_attributes
    raise IdInUse(f"The id {id!r} is in use, and its history is empty.")


def _difference(theirs: dict[str, Any], ours: dict[str, Any]) -> str:
    return " and ".join(name for name in ("fork", "spec", "task", "input") if theirs[name] != ours[name])


def _normal(workflow: str, arguments: Sequence[Any]) -> dict[str, Any]:
    """Returns a start as text to compare: 1 and 1.0 are the same in it, but 1 and true are not."""
    argument = arguments[0] if arguments else None
    said = argument if workflow == AGENT_TASK and isinstance(argument, dict) else {"input": argument}
    task_input = said.get("input")
    return {
        "fork": _text(said.get("fork")),
        "task": said.get("task"),
        "spec": _text(_normal_spec(said.get("spec"))),
        "input": _text({} if task_input is None else task_input),
    }


def _normal_spec(document: Any) -> Any:
    try:
        return spec_document(parse_spec(document))
    except SpecError:
        return document


def _text(value: Any) -> str:
    return json.dumps(_whole(value), sort_keys=True)


def _whole(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: _whole(part) for name, part in value.items()}
    return [_whole(part) for part in value] if isinstance(value, list) else value


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line.encode()[:_SUMMARY_BYTES].decode(errors="ignore")
