"""Tasks that begin: what is counted of them, and what model calls are told of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from counterstep.activities.resolve import Resolver
from counterstep.bundle.registry import Registry
from counterstep.pool_limits.memory_store import MemoryStore
from counterstep.pool_limits.rules_file import parse_rules
from counterstep.pool_limits.shared_limits import SharedLimits
from counterstep.pool_limits.store import StoreUnreachable
from counterstep.saga.spec.snapshot import Snapshot, SnapshotRequest
from counterstep.tests.support.bundles.desk import desk

SPEC = {"name": "t", "steps": [{"id": "a", "tool": "desk.put", "input": {"what": "x"}}]}
STARTS = {"name": "starts", "key": "task.tenant", "tasks": 2, "per": "1d"}
TENANT = {"name": "tenant", "key": "task.customer.tenant + task.tenant", "usd": 1, "per": "1d"}


class Tasks:
    """A worker that is asked to begin tasks."""

    def __init__(self, *limits: dict[str, Any], store: MemoryStore | None = None) -> None:
        shared = SharedLimits(parse_rules(limits).limits, store or MemoryStore()) if limits else None
        self._resolver = Resolver(Registry([desk]), inline_specs=True, limits=shared)

    async def begin(self, input: Any, run: str = "run-1", spec: Any = SPEC) -> dict[str, Any]:
        environment = ActivityEnvironment()
        environment.info = replace(environment.info, workflow_run_id=run)
        asked = SnapshotRequest(spec=spec, input=input).model_dump(mode="json")
        answer: dict[str, Any] = await environment.run(self._resolver.resolve, asked)
        Snapshot.model_validate(answer)
        return answer


async def test_a_task_beyond_the_limit_is_told_when_it_may_begin() -> None:
    tasks = Tasks(STARTS)
    for run in ("run-1", "run-2", "run-2"):  # asked again, a task counts once
        assert "limited" not in await tasks.begin({"tenant": "acme"}, run)
    limited = (await tasks.begin({"tenant": "acme"}, "run-3"))["limited"]
    assert limited["limit"] == "starts"
    assert datetime.fromisoformat(limited["until"]).time().isoformat() == "00:00:00"
    assert "limited" not in await tasks.begin({"tenant": "other"}, "run-4")


async def test_model_calls_are_told_what_keys_read_and_nothing_else() -> None:
    input = {"tenant": "acme", "secret": "s", "customer": {"tenant": "x", "name": "Ann"}}
    assert (await Tasks(TENANT).begin(input))["pool"] == {
        "task": {"tenant": "acme", "customer": {"tenant": "x"}},
        "type": "t",
    }
    assert "pool" not in await Tasks(STARTS).begin(input)
    assert not {"pool", "limited"} & (await Tasks().begin(input)).keys()


async def test_a_task_that_no_key_can_be_read_of_is_refused() -> None:
    with pytest.raises(
        ApplicationError, match=r"the key of the limit 'starts' .*task.tenant is missing"
    ) as caught:
        await Tasks(STARTS).begin({})
    assert (caught.value.type, caught.value.non_retryable) == ("ExpressionError", True)
    with pytest.raises(ApplicationError, match="read more than 10000 bytes"):
        await Tasks(TENANT).begin({"tenant": "x" * 20_000})


async def test_a_store_that_is_away_lets_no_task_begin() -> None:
    class Gone(MemoryStore):
        async def reserve(self, *_: Any) -> Any:
            raise StoreUnreachable("it is gone")

    limited = (await Tasks(STARTS, store=Gone()).begin({"tenant": "acme"}))["limited"]
    assert limited["limit"] == "starts" and limited["until"] is not None
    # Limits of model calls do not keep a task from beginning.
    assert "limited" not in await Tasks(TENANT, store=Gone()).begin({"tenant": "acme"})


async def test_a_saga_of_ones_own_is_no_task() -> None:
    tasks = Tasks(STARTS)
    assert "limited" not in await tasks.begin(None, spec=None)
