"""The example `dinner`: a late flight changes two of six entries, and the others are the same rows."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import uuid4

import pytest
from temporalio.client import Client
from temporalio.worker import Worker

from counterstep.embedded import EmbeddedServer
from counterstep.plugin import CounterstepPlugin
from counterstep.tests.support.tasks.tasks import end_of, tell, until_asked
from examples.dinner.bundle import ENTERED, TAKEN_OUT, dinner, faults, planner, rows

pytestmark = pytest.mark.long


def standing(task: str) -> dict[tuple[str, str, str], int]:
    """Number of each entry that stands, by who, what and when."""
    return {(r["who"], r["what"], r["start"]): r["entry"] for r in rows(task) if r["state"] == ENTERED}


async def until_changed(task: str) -> None:
    for _ in range(600):
        if len(standing(task)) == 6 and len(rows(task)) == 8:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(rows(task))


@pytest.mark.parametrize("lands", ["13:00", "16:00"])
def test_a_plan_is_recomputed(lands: str) -> None:
    entries = [duty.entry for duty in planner(lands).operations]
    turkey, _, car, from_bos, fetch, grandma = entries
    assert list(faults(entries, lands)) == []
    assert "James has no car" in str(list(faults([e for e in entries if e is not car], lands)))
    assert "nobody stays at home for 240" in str(list(faults(entries[1:], lands)))
    assert "Grandma is not at home" in str(list(faults(entries[:4], lands)))
    twice = fetch.model_copy(update={"who": ("James",)})
    assert "James is at" in str(list(faults([*entries[:4], twice, grandma], lands)))
    away = turkey.model_copy(update={"who": ("Michael",)})
    assert "Michael is away from the turkey" in str(list(faults([away, *entries[1:]], lands)))
    short = from_bos.model_copy(update={"end": from_bos.start})
    assert "in 0 minutes" in str(list(faults([*entries[:3], short, fetch, grandma], lands)))


async def test_a_late_flight_changes_two_entries_and_one_too_late_undoes_the_day(
    server: EmbeddedServer, task_queue: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DINNER_DB", str(tmp_path / "dinner.sqlite"))
    client = await Client.connect(server.address, plugins=[CounterstepPlugin([dinner])])
    async with Worker(client, task_queue=task_queue):
        day = f"dinner-{uuid4().hex}"
        handle = await client.start_workflow("dinner.dinner", {}, id=day, task_queue=task_queue)
        await until_asked(handle, "morning")
        before = standing(day)
        await tell(handle, "amend", facts={"james_lands": "16:00"})
        await until_changed(day)
        await until_asked(handle, "morning")
        after = standing(day)
        late = {("James", "rent a car", "13:00"), ("James and Emily", "drive", "14:30")}
        assert before.keys() - after.keys() == late
        assert after.keys() - before.keys() == {
            ("James", "rent a car", "16:00"),
            ("James and Emily", "drive", "16:00"),
        }
        assert {key: after[key] for key in before.keys() - late} == {
            key: before[key] for key in before.keys() - late
        }
        gone = [row["entry"] for row in rows(day) if row["state"] == TAKEN_OUT]
        assert sorted(gone) == sorted(before[key] for key in late)
        await tell(handle, "amend", facts={"james_lands": "17:30"})
        end = await end_of(handle)
    assert (end.type, end.failure["step"]) == ("SagaRolledBack", "plan")
    assert "James is not at home at 18:00" in end.failure["message"]
    assert standing(day) == {}
