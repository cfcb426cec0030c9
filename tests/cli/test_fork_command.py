"""``counterstep fork``: what it prints, what it refuses, and the two worlds that it runs in."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import uuid4

import pytest

from counterstep.embedded import EmbeddedServer
from counterstep.tests.support.bundles.desk import VARIABLE, Desk
from counterstep.tests.support.processes.command import Ended, Shop
from counterstep.tests.support.tasks.tasks import Tasks
from counterstep.tests.support.tasks.work import put

SPEC = {
    "name": "lay",
    "input": {"type": "object", "properties": {"fail": {"type": "string"}, "what": {"type": "string"}}},
    "steps": [
        put("one"),
        {"id": "box", "needs": ["one"], "group": {"steps": [put("inner")]}},
        put("two", "box", fail="${{ has(task.fail) ? task.fail : '' }}"),
        put("never", "two"),
    ],
    "output": {"two": "${{ steps.two.output.what }}"},
}
BUNDLE = ("--bundle", "counterstep.tests.support.bundles.desk:desk")

Command = Callable[..., Awaitable[Ended]]


@pytest.fixture
async def command(server: EmbeddedServer, tasks: Tasks, tmp_path: Path, effects: Desk) -> Command:
    """Runs commands against the tests' server; the worker of their queue is in this process."""
    shop = Shop.open(
        tmp_path,
        TEMPORAL_ADDRESS=server.address,
        COUNTERSTEP_TASK_QUEUE=tasks.task_queue,
        **{VARIABLE: str(effects.path)},
    )
    (tmp_path / "lay.json").write_text(json.dumps(SPEC))

    async def run(*arguments: str) -> Ended:
        return await asyncio.to_thread(shop.run, *arguments)

    return run


async def test_a_fork_runs_in_the_world_of_the_task_or_on_a_server_of_its_own(
    command: Command, effects: Desk
) -> None:
    id = f"cli-{uuid4()}"
    failed = await command("run", "lay.json", "--input", "fail=final", "--id", id, "--json")
    assert (failed.code, failed.json["undone"]) == (1, ["two", "inner", "one"])

    faults = await command(
        "fork",
        id,
        "two",
        *("--set", "input.fial=", "--set", "steps.tow.input.what=x", "--set", "steps.one.input.what=x"),
        *("--set", "agents.thinker.model=x", "--set", "model=x"),
    )
    assert (faults.code, faults.out) == (2, "")
    for said in (
        "input.fial: input has no 'fial'; did you mean 'fail'?",
        "steps.tow.input.what: there is no step 'tow'; did you mean 'two'?",
        "steps.one.input.what: one is taken over as it was; fork before it to change it",
        "agents.thinker.model: no agent 'thinker' is called; there are none",
        "model: 'model' is nothing that a fork can change; there are agents, goal, input, steps",
    ):
        assert said in faults.err
    for step, said in (
        ("tow", "STEP: there is no step 'tow'; did you mean 'two'?"),
        ("inner", "STEP: 'inner' is inside the group 'box', which runs as a whole; fork before box"),
        ("two[1]", "STEP: 'two[1]' is a part of 'two', which runs as a whole; fork before two"),
        ("never", f"{id} has never come to 'never', so nobody knows what was before it; it has come to one"),
        ("two#2", f"'two' of {id} has started once only, so there is no two#2."),
    ):
        refused = await command("fork", id, step, "--json")
        assert (refused.code, refused.json["workflow_id"]) == (2, None)
        assert said in refused.err
    unknown = await command("fork", "nobody", "two")
    assert (unknown.code, "There is no task 'nobody'" in unknown.err) == (2, True)
    nowhere = await command("fork", id, "two", "--throw-away")
    assert (nowhere.code, "name its bundle with --bundle" in nowhere.err) == (2, True)
    assert effects.what("done") == ["one", "inner", "two"], "nothing was done by what was refused"

    forked = await command("fork", id, "two", "--set", "input.fail=", "--json")
    assert (forked.code, forked.json["output"]) == (0, {"two": "two"}), forked.err
    assert forked.json["workflow_id"] == f"{id}-fork-1"
    assert f"Forked from {id} before two; taken over: one, box." in forked.err
    assert f"{id} has undone one, box since" in forked.err
    again = await command("fork", id, "two", "--set", "input.fail=", "--json")
    assert again.json == forked.json
    assert "has been started before, with the same input" in again.err
    status = await command("status", f"{id}-fork-1")
    assert f"forked from {id} before two" in status.err
    assert set(effects.effects()) == {"two", "never"}

    thrown = await command("fork", id, "two", "--throw-away", "--set", "input.fail=after", *BUNDLE, "--json")
    assert (thrown.code, thrown.json["undone"]) == (1, ["two"]), thrown.err
    assert effects.what("done")[-1] == "two"
    assert set(effects.effects()) == {"two", "never"}
    listed = await command("list", "--json")
    assert listed.out.count(f"{id}-fork-") == 1, "what was thrown away is on no server any more"
