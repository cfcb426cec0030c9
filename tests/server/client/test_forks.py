"""A fork goes on from where another task was: what that did stays as it is, whatever becomes of the fork."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from temporalio.client import WorkflowHandle
from temporalio.worker import Replayer, Worker

from counterstep.client import IdInUse, NotForkable, TaskRefused, TaskRolledBack, fork_task
from counterstep.embedded import EmbeddedServer
from counterstep.plugin import CounterstepPlugin
from counterstep.saga.limits.history_size import HistorySize
from counterstep.testing.model_behaviour import Behaviour
from counterstep.testing.model_server import ModelServer
from counterstep.tests.support.bundles.agents import team_at_work
from counterstep.tests.support.bundles.desk import HELD, Desk, desk
from counterstep.tests.support.tasks.tasks import Tasks, end_of, tell, until_asked, until_step

Team = tuple[Tasks, ModelServer]
ONCE = {"attempts": 1}


@pytest.fixture
async def team(
    server: EmbeddedServer, task_queue: str, monkeypatch: pytest.MonkeyPatch, effects: Desk
) -> AsyncIterator[Team]:
    async with team_at_work(server.address, task_queue, monkeypatch) as team:
        yield team


def put(step: str, *needs: str, what: str = "", **arguments: Any) -> dict[str, Any]:
    """A step that puts a thing of its name on the desk."""
    given = {"what": what or step, **arguments}
    return {"id": step, "needs": list(needs), "tool": "desk.put", "input": given, "retry": ONCE}


async def replays(handle: WorkflowHandle[Any, Any]) -> None:
    replayer = Replayer(workflows=[], plugins=[CounterstepPlugin([desk], inline_specs=True)])
    await replayer.replay_workflow(await handle.fetch_history())


async def test_a_fork_asks_with_another_prompt_and_undoes_nothing_but_its_own(
    team: Team, effects: Desk
) -> None:
    tasks, models = team
    models.for_model("writer").reply(*map(Behaviour.text, ("pen", "ink", "ink")))
    steps = [
        put("cup"),
        {"id": "write", "needs": ["cup"], "agent": "team.writer", "input": {"about": "${{ task.about }}"}},
        put("place", "write", what="${{ steps.cup.output.what }} and ${{ steps.write.output }}"),
    ]
    first = await tasks.start(steps, {"about": "tea"}, output={"placed": "${{ steps.place.output.what }}"})
    assert (await end_of(first)).output == {"placed": "cup and pen"}
    before, history = effects.effects(), await first.fetch_history()

    changes = {
        "input.about": "letters",
        "agents.team.writer.instructions": "You write letters.",
        "steps.place.input.fail": "after",
    }
    fork = await fork_task(tasks.client, first.id, "write", changes=changes)
    assert fork.id == f"{first.id}-fork-1"
    with pytest.raises(TaskRolledBack, match="cup and ink failed after"):
        await fork.result()
    assert effects.effects() == before, "what the first task did stands, with its keys"
    assert effects.what("done") == ["cup", "cup and pen", "cup and ink"], "the cup was not put down again"
    assert effects.what("undone") == ["cup and ink"]
    keys = {event.what: event.key for event in effects.events("done")}
    assert len(set(keys.values())) == 3
    asked = models.requests[-1].body["messages"]
    assert asked[0]["content"].startswith("You write letters.")
    assert "letters" in asked[1]["content"]
    assert "tea" not in str(asked)
    board = await fork.board()
    assert board.forked_from == {
        "id": first.id,
        "run_id": first.result_run_id,
        "step": "write",
        "changes": sorted(changes),
    }
    assert (board.steps["cup"].taken_over, board.steps["cup"].attempts) == (True, 0)
    assert board.steps["cup"].output["key"] == keys["cup"]
    assert [entry.step for entry in board.ledger] == ["write", "place"], "the undo of the cup is not in it"
    await replays(fork.handle)

    same = await fork_task(tasks.client, first.id, "write", changes=changes)
    assert (same.id, same.is_new) == (fork.id, False)
    other = await fork_task(tasks.client, first.id, "write", changes={"input.about": "letters"})
    assert other.id == f"{first.id}-fork-2"
    assert (await other.result()).output == {"placed": "cup and ink"}
    assert set(effects.effects()) == {"cup", "cup and pen", "cup and ink"}
    with pytest.raises(IdInUse, match="another fork"):
        await fork_task(tasks.client, first.id, "write", new_id=fork.id)
    assert await first.fetch_history() == history, "the first task was only read"


async def test_each_kind_of_step_is_taken_over_also_when_the_task_was_undone_and_continued(
    tasks: Tasks, effects: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HistorySize, "is_long", lambda self, waiting=False: self.events > 30)
    steps = [
        put("one"),
        {"id": "never", "when": "false", "tool": "desk.look"},
        {**put("many", "one", what="item ${{ item }}"), "for_each": "[1, 2]"},
        {
            "id": "box",
            "needs": ["many"],
            "group": {
                "steps": [put("inner")],
                "output": {"in_box": "${{ steps.inner.output.what }}"},
            },
        },
        {"id": "fact", "needs": ["box"], "wait": {"event": "said"}},
        put("try", "fact", fail="${{ has(task.fine) ? '' : 'before' }}")
        | {"on_failure": {"retry_from": "try", "rounds": 1}},
    ]
    output = {
        "all": "${{ [steps.one.output.what, steps.many.output[1].what, steps.box.output.in_box] }}",
        "said": "${{ steps.fact.output.words }}",
        "never": "${{ steps.never.state }}",
        "tried": "${{ steps.try.output.what }}",
        "facts": "${{ facts.mood }}",
    }
    first = await tasks.start(steps, {}, output=output)
    await until_step(first, "fact", "waiting")
    await tell(first, "amend", facts={"mood": "good"})
    await first.signal("event", {"name": "said", "payload": {"words": "hello"}, "id": "1"})
    assert (await end_of(first)).type == "SagaRolledBack"
    newest = await tasks.client.get_workflow_handle(first.id).describe()
    assert newest.run_id != first.result_run_id, "it has continued as new"
    assert effects.effects() == {}
    done = effects.what("done")

    fork = await fork_task(tasks.client, first.id, "try", changes={"input.fine": True})
    assert (await fork.result()).output == {
        "all": ["one", "item 2", "inner"],
        "said": "hello",
        "never": "skipped",
        "tried": "try",
        "facts": "good",
    }
    assert effects.what("done") == [*done, "try"]
    await replays(fork.handle)
    with pytest.raises(NotForkable, match="has started 2 times only, so there is no try#3"):
        await fork_task(tasks.client, first.id, "try#3")
    with pytest.raises(
        NotForkable, match=f"'one' of {fork.id} is taken over from {first.id}; fork {first.id}"
    ):
        await fork_task(tasks.client, fork.id, "one")


async def test_what_a_fork_goes_back_to_it_does_itself_also_when_it_has_continued_as_new(
    tasks: Tasks, effects: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HistorySize, "is_long", lambda self, waiting=False: self.events > 8)
    steps = [
        put("one"),
        put("two", "one"),
        put("last", "two") | {"on_failure": {"retry_from": "two", "rounds": 1}},
    ]
    first = await tasks.start(steps, output="${{ steps.one.output.what }}")
    assert (await end_of(first)).type == "completed"
    before = effects.effects()
    changes = {"steps.last.input.what": "pen", "steps.last.input.fail": "first"}
    fork = await fork_task(tasks.client, first.id, "last", changes=changes)
    assert (await fork.result()).output == "one"
    assert effects.what("done") == ["one", "two", "last", "two", "pen"]
    assert [before[what] for what in ("one", "last")] == [effects.effects()[w] for w in ("one", "last")]
    board = await fork.board()
    assert {name: step.taken_over for name, step in board.steps.items()} == {
        "one": True,
        "two": False,
        "last": False,
    }
    assert board.forked_from is not None
    assert [entry.step for entry in board.ledger if entry.state == "settled"] == ["two", "last"]
    assert (await fork.handle.describe()).run_id != fork.run_id


async def test_a_yes_counts_for_one_task_and_a_pivot_that_was_passed_is_not_passed_again(
    tasks: Tasks, effects: Desk
) -> None:
    steps = [
        put("cup"),
        {"id": "agreed", "needs": ["cup"], "approve": {"ask": "Give it away?"}},
        {"id": "mark", "needs": ["agreed"], "tool": "desk.look", "input": {"what": "mark"}},
        {"id": "give", "needs": ["mark"], "tool": "desk.hand_over", "input": {"what": "gift"}},
        {
            "id": "tell",
            "needs": ["give"],
            "tool": "desk.announce",
            "input": {"what": "news", "fail": "${{ has(facts.quiet) ? 'final' : '' }}"},
            "retry": ONCE,
            "on_failure": {"retry_from": "mark", "rounds": 1},
        },
    ]
    first = await tasks.start(steps)
    await until_asked(first, "agreed")
    await tell(first, "decide", step="agreed", action="approve")
    assert (await end_of(first)).type == "completed"

    again = await fork_task(tasks.client, first.id, "give")
    await until_asked(again.handle, "agreed")
    assert effects.what("done") == ["cup", "gift", "news"], "nothing is given away before somebody says yes"
    await again.decide("agreed", "reject", by="ann")
    with pytest.raises(TaskRolledBack):
        await again.result()
    assert set(effects.effects()) == {"cup", "gift", "news"}

    after = await fork_task(tasks.client, first.id, "tell", changes={"steps.tell.input.fail": "final"})
    await until_asked(after.handle, "agreed")
    await after.decide("agreed", "approve", by="ann")
    async with asyncio.timeout(60):
        with pytest.raises(TaskRolledBack):
            await after.result()
    assert effects.what("done").count("gift") == 1, "to go back to before the pivot does not pass it again"
    assert effects.what("undone") == []


async def test_a_child_is_forked_as_a_task_of_its_own_and_a_running_task_is_only_read(
    tasks: Tasks, effects: Desk
) -> None:
    steps = [
        {"id": "tidy", "workflow": "desk.tidy", "input": {"what": "${{ task.what }}"}},
        put("held", "tidy", late=HELD),
    ]
    first = await tasks.start(steps, {"what": "cup"})
    await effects.until("done", "held")
    child = await fork_task(tasks.client, f"{first.id}/tidy#1", "place", changes={"input.what": "pen"})
    assert (await child.result()).output == {"on_desk": "pen"}
    fork = await fork_task(
        tasks.client, first.id, "held", changes={"steps.held.input.what": "jar", "steps.held.input.late": 0}
    )
    result = await fork.result()
    assert result.output["tidy"] == {"on_desk": "cup"}, "the child is not started again"
    assert set(effects.effects()) == {"cup", "held", "pen", "jar"}
    effects.release("held")
    assert (await end_of(first)).type == "completed"
    board = await child.board()
    assert board.task == "desk.tidy", "limits and lists know it by the name of its task"


async def test_workers_that_take_registered_tasks_only_take_no_fork(
    tasks: Tasks, server: EmbeddedServer, effects: Desk
) -> None:
    first = await tasks.start_workflow("desk.tidy", {"what": "cup"})
    await end_of(first)
    strict = await tasks.client.connect(server.address, plugins=[CounterstepPlugin([desk])])
    async with Worker(strict, task_queue=f"{tasks.task_queue}-strict"):
        fork = await fork_task(
            tasks.client,
            first.id,
            "place",
            task_queue=f"{tasks.task_queue}-strict",
            new_id=f"{first.id}/strict",
        )
        with pytest.raises(TaskRefused, match="COUNTERSTEP_INLINE_SPECS=true"):
            await fork.result()
    assert effects.what("done") == ["cup"]


async def test_a_fork_that_somebody_has_written_wrongly_is_refused_before_anything_runs(
    tasks: Tasks, effects: Desk
) -> None:
    spec = {"name": "lay", "steps": [put("cup")]}
    source = {"id": "a", "run_id": "r", "step": "cup"}
    done = {"kind": "tool", "target": "desk.put", "state": "completed"}
    for said, why in (
        ({"fork": {"task": "lay", "source": source}, "task": "desk.tidy"}, "a fork says spec, and not task"),
        ({"fork": {"task": "lay"}, "spec": spec}, "fork: source: Field required"),
        (
            {"fork": {"task": "lay", "source": source, "steps": {"cap": done}}, "spec": spec},
            "fork.steps: the spec has no step 'cap'; did you mean 'cup'?",
        ),
        (
            {"fork": {"task": "lay", "source": {**source, "agents": {"x": {"seed": 1}}}}, "spec": spec},
            "agents.x: there is no agent 'x' here",
        ),
    ):
        end = await end_of(await tasks.start_workflow("AgentTask", said))
        assert (end.type in ("InvalidInput", "InvalidSpec"), why in end.message) == (True, True), end
    assert effects.what("begin") == []


async def test_what_is_not_a_task_from_a_spec_is_refused(tasks: Tasks, effects: Desk) -> None:
    own = await tasks.start_workflow("FiveSteps", False)
    await end_of(own)
    with pytest.raises(NotForkable, match="was not started by a spec"):
        await fork_task(tasks.client, own.id, "one")
