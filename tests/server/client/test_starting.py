"""G19: a task is started once per id, however often and from wherever it is asked for."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import pytest
import yaml
from temporalio import workflow
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.worker import Worker

from counterstep.bundle.spec_file import parse_spec
from counterstep.client import IdInUse
from counterstep.client.start_once import AGENT_TASK, Started, find_started, spec_document, start_once
from counterstep.tests.support.processes.command import ORDER

QUEUE = "nobody-polls-this"


@pytest.fixture
def id() -> str:
    return f"starting-{uuid4()}"


async def newest_run(client: Client, id: str) -> str | None:
    return (await client.get_workflow_handle(id).describe()).run_id


@workflow.defn(name="shop.chain", sandboxed=False)
class Chain:
    """A task whose history was so long that it went on as a new run, with its state as the input."""

    @workflow.run
    async def run(self, state: dict[str, Any]) -> None:
        if "goes on" not in state:
            workflow.continue_as_new({"goes on": True})
        await workflow.wait_condition(lambda: False)


async def test_the_same_again_finds_the_running_task(client: Client, id: str) -> None:
    first = await start_once(client, "shop.order", {"sku": "A", "n": 1}, id=id, task_queue=QUEUE)
    again = await start_once(client, "shop.order", {"n": 1.0, "sku": "A"}, id=id, task_queue="another")
    assert (first.is_new, again.is_new) == (True, False)
    assert again.run_id == first.run_id
    assert again.task_queue == QUEUE
    assert again.status is WorkflowExecutionStatus.RUNNING


@pytest.mark.parametrize(
    ("workflow", "argument", "said"),
    [
        ("shop.order", {"sku": "B"}, "with another input"),
        ("shop.order", {"sku": "A", "n": True}, "with another input"),
        ("shop.order", None, "with another input"),
        ("shop.other", {"sku": "A", "n": 1}, "belongs to a task of type shop.order"),
        (AGENT_TASK, {"task": "shop.order", "input": {"sku": "A"}}, "belongs to a task of type shop.order"),
    ],
)
async def test_anything_else_under_a_used_id_is_refused(
    client: Client, id: str, workflow: str, argument: Any, said: str
) -> None:
    first = await start_once(client, "shop.order", {"sku": "A", "n": 1}, id=id, task_queue=QUEUE)
    with pytest.raises(IdInUse, match=said):
        await start_once(client, workflow, argument, id=id, task_queue=QUEUE)
    assert await newest_run(client, id) == first.run_id


async def test_a_task_that_has_ended_is_found_and_not_run_again(client: Client, id: str) -> None:
    first = await start_once(client, "shop.order", {"sku": "A"}, id=id, task_queue=QUEUE)
    await client.get_workflow_handle(id).terminate()
    again = await start_once(client, "shop.order", {"sku": "A"}, id=id, task_queue=QUEUE)
    assert (again.is_new, again.run_id) == (False, first.run_id)
    assert again.status is WorkflowExecutionStatus.TERMINATED
    with pytest.raises(IdInUse):
        await start_once(client, "shop.order", {"sku": "B"}, id=id, task_queue=QUEUE)
    assert await newest_run(client, id) == first.run_id


async def test_a_free_id_has_no_task(client: Client, id: str) -> None:
    assert await find_started(client, "shop.order", {}, id=id) is None


async def test_many_that_start_at_once_get_one_run(client: Client, id: str) -> None:
    starts = (start_once(client, "shop.order", {"sku": "A"}, id=id, task_queue=QUEUE) for _ in range(20))
    found = await asyncio.gather(*starts)
    assert sum(started.is_new for started in found) == 1
    assert len({started.run_id for started in found}) == 1


async def test_of_two_inputs_at_once_one_wins_and_the_other_is_refused(client: Client, id: str) -> None:
    starts = (start_once(client, "shop.order", {"n": n % 2}, id=id, task_queue=QUEUE) for n in range(10))
    found = await asyncio.gather(*starts, return_exceptions=True)
    assert sum(isinstance(each, IdInUse) for each in found) == 5
    assert len({each.run_id for each in found if isinstance(each, Started)}) == 1


async def test_a_spec_is_compared_by_what_it_means(client: Client, id: str) -> None:
    """Another client wrote the same spec in its own way, and left out an empty input."""
    spec = parse_spec(yaml.safe_load(ORDER))
    as_written = {**yaml.safe_load(ORDER), "deadline": None, "budget": {}}
    await client.start_workflow(AGENT_TASK, {"spec": as_written}, id=id, task_queue=QUEUE)
    ours = {"spec": spec_document(spec), "input": {}}
    assert not (await start_once(client, AGENT_TASK, ours, id=id, task_queue=QUEUE)).is_new
    changed = spec.model_copy(update={"goal": "Something else."})
    with pytest.raises(IdInUse, match="another spec"):
        await start_once(
            client, AGENT_TASK, {**ours, "spec": spec_document(changed)}, id=id, task_queue=QUEUE
        )


async def test_a_later_run_of_the_same_task_still_has_its_first_input(
    client: Client, id: str, task_queue: str
) -> None:
    first = await start_once(client, "shop.chain", {"sku": "A"}, id=id, task_queue=task_queue)
    async with Worker(client, task_queue=task_queue, workflows=[Chain]):
        async with asyncio.timeout(60):
            while await newest_run(client, id) == first.run_id:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        again = await start_once(client, "shop.chain", {"sku": "A"}, id=id, task_queue=task_queue)
        assert not again.is_new
        assert again.run_id != first.run_id
        with pytest.raises(IdInUse):
            await start_once(client, "shop.chain", {"goes on": True}, id=id, task_queue=task_queue)
