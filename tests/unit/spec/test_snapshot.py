"""What a task settles at its start, and by which rules it is run from then on."""

from __future__ import annotations

from temporalio.testing import ActivityEnvironment

from counterstep import Bundle
from counterstep.activities.resolve import Resolver
from counterstep.bundle.registry import Registry
from counterstep.saga.history_format import ENGINE
from counterstep.saga.spec.snapshot import Snapshot

SPEC = {"name": "nap", "steps": [{"id": "rest", "wait": {"time": "1s"}}]}


async def test_a_task_that_begins_now_is_run_by_the_newest_rules() -> None:
    resolver = Resolver(Registry([Bundle("shop")]), inline_specs=True)
    for question in ({"spec": SPEC, "input": {}}, {}):
        answer = await ActivityEnvironment().run(resolver.resolve, question)
        assert Snapshot.model_validate(answer).engine == ENGINE


def test_a_snapshot_that_was_taken_before_is_run_by_the_rules_of_then() -> None:
    assert Snapshot.model_validate({"task": "nap"}).engine == 1
    assert ENGINE > 1
