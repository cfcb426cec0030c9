"""Timeouts that are measured: how long calls have taken, and what follows for a task when it begins."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from counterstep import Agent, Bundle, DefinitionError, Effect, SpecError
from counterstep.activities.calibrate import calibrate
from counterstep.bundle.registry import Registry
from counterstep.bundle.spec_file import parse_spec
from counterstep.pool_limits.latencies import LEAST, Latencies, percentile, settle
from counterstep.pool_limits.memory_store import MemoryStore
from counterstep.pool_limits.store import StoreUnreachable
from counterstep.saga.spec.checker import check_spec
from counterstep.saga.spec.snapshot import Snapshot
from counterstep.saga.spec.timeout import Calibrated, time_for

yard = Bundle("yard")


@yard.tool(effect=Effect.READ_ONLY, timeout="p95")
async def dig(n: int = 0) -> int:
    return n


@yard.tool(effect=Effect.READ_ONLY, timeout="30s")
async def rake(n: int = 0) -> int:
    return n


yard.add(
    Agent(
        name="smith",
        description="",
        instructions="",
        model=["openai/a", "openai/b"],
        tools=[dig],
        timeout={"percentile": 50, "floor": "100ms", "ceiling": "4s"},
    )
)
CATALOG = Registry([yard]).catalog


class Away(MemoryStore):
    async def keep_durations(self, name: str, milliseconds: Sequence[int]) -> None:
        raise StoreUnreachable("away")

    async def durations(self, names: Sequence[str]) -> dict[str, list[int]]:
        raise StoreUnreachable("away")


def snapshot_of(*steps: dict[str, Any]) -> Snapshot:
    spec = parse_spec({"name": "x", "steps": [{"id": f"s{at}", **step} for at, step in enumerate(steps)]})
    return Snapshot(task="x", spec=spec, catalog=CATALOG)


@pytest.mark.parametrize(
    ("durations", "percent", "expected"),
    [
        (range(1, 101), 95, 95),
        (range(1, 101), 50, 50),
        ([5] * 20, 99, 5),
        ([1] * 19 + [9], 95, 1),
        ([3, 1], 99, 3),
    ],
)
def test_percentiles_are_of_the_nearest_rank(durations: Sequence[int], percent: int, expected: int) -> None:
    assert percentile(list(durations), percent) == expected


def test_a_timeout_has_a_margin_a_floor_and_a_ceiling() -> None:
    limit = Calibrated(percentile=95)
    slow, fast, much = [10_000] * LEAST, [1] * LEAST, [10_000_000] * LEAST
    measured = {"slow": slow, "fast": fast, "much": much, "few": [10_000] * (LEAST - 1)}
    found = settle(limit, measured, ["slow", "fast", "much", "few", "none"]).settled
    assert found == {
        "slow": timedelta(seconds=15),
        "fast": timedelta(seconds=5),
        "much": timedelta(minutes=2),
    }


def test_models_that_share_the_time_get_as_long_as_the_slowest_takes() -> None:
    limit = Calibrated(percentile=95, settled={"a": timedelta(seconds=6), "b": timedelta(seconds=20)})
    assert time_for(limit, ["a"]) == timedelta(seconds=6)
    assert time_for(limit, ["a", "b"]) == timedelta(seconds=40)
    assert time_for(limit, ["a", "c"]) is None, "of one of them too little is known"
    assert time_for(timedelta(seconds=3), ["a"]) == timedelta(seconds=3)
    assert time_for(None, ["a"]) is None


async def test_a_task_begins_with_what_was_measured_and_keeps_it() -> None:
    latencies = Latencies(MemoryStore())
    for _ in range(LEAST):
        latencies.note("yard.dig", 8)
        latencies.note("openai/a", 1)
        latencies.note("openai/b", 2)
        latencies.note("openai/other", 0.2)
    snapshot = snapshot_of(
        {"tool": "yard.dig", "timeout": {"percentile": 90, "floor": "1s"}},
        {"group": {"steps": [{"id": "inner", "agent": "yard.smith", "timeout": "p99"}]}},
        {"agent": "yard.smith", "on_failure": {"model": "openai/other"}},
    )
    begun = await calibrate(snapshot, latencies)
    assert begun.spec is not None and begun.spec.steps[1].group is not None
    assert time_for(begun.spec.steps[0].timeout, ["yard.dig"]) == timedelta(seconds=12)
    assert time_for(begun.spec.steps[1].group.steps[0].timeout, ["openai/b"]) == timedelta(seconds=5)
    assert time_for(begun.catalog.tools["yard.dig"].timeout, ["yard.dig"]) == timedelta(seconds=12)
    smith = begun.catalog.agents["yard.smith"].timeout
    assert time_for(smith, ["openai/a", "openai/b"]) == timedelta(seconds=6)
    assert time_for(smith, ["openai/other"]) == timedelta(seconds=0.3)
    for _ in range(200):
        latencies.note("yard.dig", 60)
    read = Snapshot.model_validate(begun.model_dump(mode="json", by_alias=True, exclude_defaults=True))
    assert read == begun, "what comes later changes nothing of it"
    assert snapshot.catalog is CATALOG and CATALOG.tools["yard.dig"].timeout == Calibrated(percentile=95)


async def test_what_is_not_used_is_not_asked_for() -> None:
    catalog = CATALOG.model_copy(update={"tools": {"yard.rake": CATALOG.tools["yard.rake"]}, "agents": {}})
    snapshot = Snapshot(task="x", catalog=catalog)
    assert await calibrate(snapshot, Latencies(Away())) is snapshot


async def test_a_store_that_is_away_holds_nobody_up() -> None:
    latencies = Latencies(Away())
    latencies.note("yard.dig", 8)
    begun = await calibrate(snapshot_of({"tool": "yard.dig"}), latencies)
    assert time_for(begun.catalog.tools["yard.dig"].timeout, ["yard.dig"]) is None
    await latencies.close()


async def test_calls_are_told_to_the_store_together_and_beside_them(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, int]] = []

    class Store(MemoryStore):
        async def keep_durations(self, name: str, milliseconds: Sequence[int]) -> None:
            told.append((name, len(milliseconds)))

    monkeypatch.setattr("counterstep.pool_limits.latencies._TOLD_EVERY", 0.01)
    latencies = Latencies(Store())
    for _ in range(500):
        latencies.note("yard.dig", 1)
    assert told == []
    await asyncio.sleep(0.05)
    assert told == [("yard.dig", 200)]
    latencies.note("yard.dig", 1)
    await latencies.close()
    assert told[1:] == [("yard.dig", 1)]


@pytest.mark.parametrize(
    ("timeout", "expected"),
    [
        ("p49", ["steps[0].timeout: must be greater than or equal to 50, not 49"]),
        ("p100", ["steps[0].timeout: must be less than or equal to 99, not 100"]),
        ({"floor": "5s"}, ["steps[0].timeout.percentile: 'percentile' is missing"]),
        (
            {"percentile": 95, "flor": "1s", "ceiling": "x"},
            [
                "steps[0].timeout.ceiling: a duration looks like 500ms, 30s, 5m, 2h or 1d, not 'x'",
                "steps[0].timeout.flor: there is no key 'flor' here; did you mean 'floor'?",
            ],
        ),
        (
            {"percentile": 95, "floor": "9s", "ceiling": "3s"},
            ["steps[0].timeout: the floor 9s is above the ceiling 3s"],
        ),
        ({"percentile": 95, "settled": {"a": "1s"}}, ["steps[0].timeout.settled: there is no key 'settled'"]),
        ("95p", ["steps[0].timeout: a duration looks like"]),
        (f"p{'9' * 5000}", ["steps[0].timeout: a duration looks like"]),
    ],
)
def test_faults_of_a_spec(timeout: Any, expected: list[str]) -> None:
    try:
        spec = parse_spec({"name": "x", "steps": [{"id": "a", "tool": "yard.dig", "timeout": timeout}]})
        found = [str(fault) for fault in check_spec(spec, CATALOG)]
    except SpecError as error:
        found = [str(fault) for fault in error.faults]
    assert len(found) == len(expected), found
    for fault, start in zip(sorted(found), expected, strict=True):
        assert fault.startswith(start)


def test_children_and_compensations_are_not_measured() -> None:
    step = {"id": "a", "workflow": "other.child", "task_queue": "q", "timeout": "p95"}
    faults = check_spec(parse_spec({"name": "x", "steps": [step]}), CATALOG)
    assert [str(fault) for fault in faults] == [
        "steps[0].timeout: how long children take is not measured; say a duration"
    ]
    with pytest.raises(DefinitionError, match=r"tool b\.look: timeout: .*less than or equal to 99"):

        @Bundle("b").tool(effect=Effect.READ_ONLY, timeout="p100")
        async def look() -> None: ...
