"""Forks are planned from recorded histories alone: what is taken over, can be changed, or is refused."""

from __future__ import annotations

import asyncio
from functools import cache
from typing import Any

import pytest
from temporalio.converter import DataConverter

from counterstep import Bundle, Effect
from counterstep.bundle.registry import Registry
from counterstep.bundle.spec_file import parse_spec
from counterstep.client import NotForkable
from counterstep.client.forks.fork_plan import ForkPlan, plan_fork
from counterstep.client.forks.recorded_task import Moment, RecordedTask
from counterstep.client.forks.replaying import replay
from counterstep.saga.errors import SpecError
from counterstep.saga.record.fork import Fork, Lineage
from counterstep.saga.record.step_record import StepRecord, StepState
from counterstep.saga.spec.catalog import AgentChange
from counterstep.saga.spec.checker import check_spec
from counterstep.saga.spec.snapshot import Snapshot
from counterstep.tests.support.bundles.agents import team
from counterstep.tests.support.bundles.desk import desk
from counterstep.tests.support.histories import histories

# --- from a history


def replayed(*names: str) -> RecordedTask:
    """A task of a recorded scene, from all of its runs."""

    async def read() -> RecordedTask:
        task = RecordedTask("first", "run", "queue")
        for name in names:
            history = histories.read(histories.HISTORIES / "0.1" / f"{name}.json")
            await replay(DataConverter.default, "default", history, task)
        return task

    return asyncio.run(read())


@pytest.mark.parametrize(
    ("scene", "step", "outputs"),
    [
        ("for_each_rolled_back", "each", {"a": {"what": "a", "key": "edf5fe792a3047fc17898dd01a255d3b"}}),
        ("handed_over", "b", {"s": {"decision": "paid"}}),
        ("agent_rolled_back", "b", {"clerk": {"placed": ["cup"]}}),
    ],
)
def test_outputs_are_known_also_of_what_was_undone_since(
    scene: str, step: str, outputs: dict[str, Any]
) -> None:
    task = replayed(scene)
    plan = plan_fork(task, step, {})
    assert {name: taken.output for name, taken in plan.fork.steps.items()} == outputs
    assert plan.undone == tuple(outputs)
    assert all(taken.taken_over and taken.attempts == 0 for taken in plan.fork.steps.values())


def test_the_output_of_a_team_stands_though_its_losers_were_undone() -> None:
    plan = plan_fork(replayed("team_vote_with_losers"), "z", {})
    assert plan.fork.steps["w"].output == {"verdict": "bob 1", "confidence": 1}
    assert plan.undone == ()


def test_a_step_that_ran_twice_is_known_as_it_was_each_time() -> None:
    task = replayed("retry_from")
    first, last = plan_fork(task, "c#1", {}), plan_fork(task, "c", {})
    assert (list(first.fork.steps), list(last.fork.steps)) == (["a", "b"], ["a", "b", "aside"])
    assert first.fork.steps["b"].output["key"] != last.fork.steps["b"].output["key"]
    assert (first.undone, last.undone) == (("b",), ()), "the first b was done again later"
    assert first.fork.feedback != last.fork.feedback
    assert list(plan_fork(task, "b#2", {}).fork.steps) == ["a", "aside"], "c had ended, and builds on b"
    with pytest.raises(NotForkable, match="has started 2 times only, so there is no c#3"):
        plan_fork(task, "c#3", {})


def test_a_continued_task_is_known_from_all_of_its_runs() -> None:
    task = replayed("continued_rolled_back", "continued_rolled_back.2")
    last = list(task.moments)[-1]
    assert set(plan_fork(task, last, {}).fork.steps) == set(task.moments) - {last}
    alone = replayed("continued_rolled_back.2")
    assert plan_fork(alone, last, {}).fork.steps.keys() == plan_fork(task, last, {}).fork.steps.keys()


# --- what is planned

SPEC: dict[str, Any] = {
    "name": "write",
    "goal": "A text.",
    "input": {
        "type": "object",
        "properties": {
            "topic": {"type": "string"},
            "legs": {"type": "array", "items": {"$ref": "#/$defs/leg"}},
        },
        "$defs": {"leg": {"type": "object", "properties": {"city": {"type": "string"}}}},
    },
    "steps": [
        {"id": "cup", "tool": "desk.put", "input": {"what": "cup", "late": 1}},
        {"id": "draft", "needs": ["cup"], "agent": "team.writer", "input": {"about": "${{ task.topic }}"}},
        {"id": "look", "needs": ["cup"], "tool": "desk.look", "input": "${{ {'what': task.topic} }}"},
        {
            "id": "last",
            "needs": ["draft", "look"],
            "agent": "team.clerk",
            "input": {"what": "${{ steps.draft.output }}"},
            "on_failure": {"fallback": "team.helper"},
        },
        {"id": "box", "needs": ["last"], "group": {"steps": [{"id": "inner", "agent": "desk.thinker"}]}},
    ],
}
INPUT = {"topic": "tea", "legs": [{"city": "Bergen"}]}


@cache
def catalog() -> Any:
    return Registry([desk, team]).catalog


def recorded(spec: dict[str, Any], *finished: str, before: str, **known: Any) -> RecordedTask:
    """A task that had finished some steps before it came to another one."""
    steps = {
        name: StepRecord("tool", "desk.put", state=StepState.COMPLETED, output=f"{name} done")
        for name in finished
    }
    moment = Moment(steps, {}, [], {})
    snapshot = Snapshot(task="desk.write", spec=parse_spec(spec), catalog=catalog())
    task = RecordedTask("first", "run", "queue", snapshot, INPUT, moments={before: [moment]}, **known)
    task._newest = {name: (step.state, step.finished) for name, step in steps.items()}
    return task


def planned(step: str = "draft", *finished: str, **changes: Any) -> ForkPlan:
    task = recorded(SPEC, *(finished or ("cup",)), before=step)
    return plan_fork(task, step, {path.replace("__", "."): value for path, value in changes.items()})


def faults_of(changes: dict[str, Any], *finished: str, step: str = "draft") -> list[str]:
    with pytest.raises(SpecError) as caught:
        plan_fork(recorded(SPEC, *(finished or ("cup",)), before=step), step, changes)
    return [str(fault) for fault in caught.value.faults]


def test_changes_reach_the_input_the_steps_and_the_agents_and_nothing_else() -> None:
    changes = {
        "input.topic": "ink",
        "input.legs[0].city": "Oslo",
        "goal": "A letter.",
        "steps.draft.input.about": "${{ task.topic }}, briefly",
        "steps.look.input": {"what": "ink"},
        "agents.team.writer.instructions": "Be brief.",
        "agents.team.writer.model": ["openai/a", "openai/b"],
        "agents.team.clerk.model": "openai/c",
        "agents.team.clerk.temperature": 0,
        "agents.team.helper.max_tokens": 100,
    }
    task = recorded(SPEC, "cup", before="draft")
    plan = plan_fork(task, "draft", changes)
    assert plan.input == {"topic": "ink", "legs": [{"city": "Oslo"}]}
    assert (INPUT["topic"], task.spec.goal) == ("tea", "A text."), "the first task stays as it was"
    draft, look = plan.spec.steps[1:3]
    assert (plan.spec.goal, draft.input, look.input) == (
        "A letter.",
        {"about": "${{ task.topic }}, briefly"},
        {"what": "ink"},
    )
    assert plan.agents == {
        "team.writer": AgentChange(model=("openai/a", "openai/b"), instructions="Be brief."),
        "team.clerk": AgentChange(model=("openai/c",), temperature=0),
        "team.helper": AgentChange(max_tokens=100),
    }
    writer = catalog().with_changes(plan.agents).agents["team.writer"]
    assert (writer.models, writer.instructions) == (("openai/a", "openai/b"), "Be brief.")
    assert writer.output_schema == catalog().agents["team.writer"].output_schema
    assert catalog().agents["team.writer"].instructions == "You write."
    assert plan.start() == plan_fork(task, "draft", changes).start(), "the same request is the same start"
    assert plan.start()[1]["fork"]["source"]["changes"] == sorted(changes)


def test_all_faults_are_told_at_once_with_the_nearest_known_name() -> None:
    changes = {
        "input.topik": 1,
        "input.legs[3].city": "Oslo",
        "input.legs[0].town": "Oslo",
        "input.legs.city": "Oslo",
        "input..x": 1,
        "steps.drat.input.about": "",
        "steps.cup.input.what": "pot",
        "steps.draft.imput": {},
        "steps.look.input.what": "",
        "steps.box.input": {},
        "steps.last.input.what[0]": 1,
        "agents.team.writter.model": "x",
        "agents.team.writer": "x",
        "agents.team.writer.instrctions": "x",
        "agents.team.writer.model": 5,
        "agents.team.writer.max_tokens": 0,
        "agents.desk.thinker.model": "x",
        "budget.usd": 1,
    }
    assert faults_of(changes) == [
        "input.topik: input has no 'topik'; did you mean 'topic'?",
        "input.legs[3]: input.legs is a list of 1; write input.legs[0]",
        "input.legs[0].town: input.legs[0] has no 'town'; there is only city",
        "input.legs.city: input.legs is a list of 1; write input.legs[0]",
        "input..x: is not a path; write e.g. input.budget or input.legs[0]",
        "steps.drat.input.about: there is no step 'drat'; did you mean 'draft'?",
        "steps.cup.input.what: cup is taken over as it was; fork before it to change it",
        "steps.draft.imput: 'imput' of a step cannot be changed; its input can: steps.draft.input",
        "steps.look.input.what: steps.look.input is an expression; change it as a whole",
        "steps.box.input: a step that is a group has no input",
        "steps.last.input.what[0]: steps.last.input.what is an expression; change it as a whole",
        "agents.team.writter.model: no agent 'team.writter' is called; did you mean 'team.writer'?",
        "agents.team.writer: says nothing of the agent that is changed; there are instructions, max_tokens, "
        "model, seed, temperature",
        "agents.team.writer.instrctions: 'instrctions' of an agent cannot be changed; did you mean "
        "'instructions'?",
        "agents.team.writer.model: must be the name of a model, or a list of names",
        "agents.desk.thinker.model: desk.thinker is Python code; only agents that a model plays can be "
        "changed",
        "budget.usd: 'budget' is nothing that a fork can change; there are agents, goal, input, steps",
        "agents.team.writer.max_tokens: must be greater than or equal to 1, not 0",
    ]
    assert faults_of({"input.topic": 5}) == ["input.topic: 5 is not of type 'string'"]
    assert faults_of({"steps.last.input.what": "${{ steps.cup.output.colour }}"}) == [
        "steps[3].input.what: steps.cup.output.colour: the output of 'cup' has no 'colour'; "
        "there are key, what"
    ]
    assert faults_of({"input.topic": object()})[0].startswith("input.topic: cannot become JSON")
    unknown = faults_of({"goal": "x", "imput": 1}, step="drat")
    assert unknown == [
        "STEP: there is no step 'drat'; did you mean 'draft'?",
        "imput: 'imput' is nothing that a fork can change; did you mean 'input'?",
    ]


def test_an_agent_that_has_nothing_left_to_say_cannot_be_changed_unless_one_goes_back_to_it() -> None:
    said = {"agents.team.writer.model": "openai/x"}
    assert faults_of(said, "cup", "draft", "look", step="last") == [
        "agents.team.writer.model: team.writer is called by draft only, which is taken over as it was"
    ]
    back = {
        **SPEC,
        "steps": [*SPEC["steps"][:3], {**SPEC["steps"][3], "on_failure": {"retry_from": "draft"}}],
    }
    plan = plan_fork(recorded(back, "cup", "draft", "look", before="last"), "last", said)
    assert set(plan.fork.steps) == {"cup", "draft", "look"}
    assert plan.agents["team.writer"].model == ("openai/x",)


def test_what_builds_on_a_step_that_runs_again_is_not_taken_over() -> None:
    assert set(planned("draft", "cup", "last").fork.steps) == {"cup"}


def test_a_fork_of_a_fork_keeps_what_the_first_has_changed_of_agents() -> None:
    source = Lineage(id="a", run_id="r", step="draft", agents={"team.writer": AgentChange(seed=7)})
    task = recorded(SPEC, "cup", before="draft", forked=source, taken_over={"cup"})
    plan = plan_fork(task, "draft", {"agents.team.writer.instructions": "Be brief."})
    assert plan.agents == {"team.writer": AgentChange(seed=7, instructions="Be brief.")}
    with pytest.raises(NotForkable, match="'cup' of first is taken over from a; fork a before it"):
        plan_fork(task, "cup", {})


def test_an_approval_that_the_rest_waits_for_asks_again_and_one_inside_is_refused() -> None:
    approve = {"id": "agreed", "needs": ["cup"], "approve": {"ask": "Go on?"}}
    look = {"id": "look", "needs": ["agreed"], "tool": "desk.look"}
    last = {"id": "last", "needs": ["look"], "tool": "desk.look"}
    spec = {"name": "asks", "steps": [SPEC["steps"][0], approve, look, last]}
    plan = plan_fork(recorded(spec, "cup", "agreed", "look", before="last"), "last", {})
    assert (plan.asked_again, set(plan.fork.steps)) == (("agreed",), {"cup", "look"})
    assert plan.spec.steps[3].needs == ("look", "agreed"), "through look alone it would not wait"
    aside = {"name": "asks", "steps": [SPEC["steps"][0], approve, {**last, "needs": ["cup"]}]}
    plan = plan_fork(recorded(aside, "cup", "agreed", before="last"), "last", {})
    assert (plan.asked_again, set(plan.fork.steps)) == ((), {"cup", "agreed"}), "nothing waits for it"

    inside = {"id": "agreed", "group": {"steps": [{**approve, "id": "sure", "needs": []}]}}
    spec = {"name": "asks", "steps": [inside, look, last]}
    with pytest.raises(NotForkable, match="their answer counts for that task only; fork before agreed"):
        plan_fork(recorded(spec, "agreed", "sure", "look", before="last"), "last", {})


def test_a_child_that_has_asked_people_is_not_taken_over_either() -> None:
    boss = Bundle("boss")

    @boss.tool(effect=Effect.READ_ONLY)
    def note(text: str = "") -> str:
        return text

    boss.add_task({"name": "ask", "steps": [{"id": "sure", "approve": {"ask": "Sure?"}}]})
    last = {"id": "last", "needs": ["child"], "tool": "boss.note"}
    task = recorded(SPEC, "child", before="last")
    spec = parse_spec({"name": "parent", "steps": [{"id": "child", "workflow": "boss.ask"}, last]})
    task.snapshot = Snapshot(task="parent", spec=spec, catalog=Registry([boss]).catalog)
    assert check_spec(spec, task.snapshot.catalog) == []
    with pytest.raises(NotForkable, match="fork before child"):
        plan_fork(task, "last", {})


def test_outputs_that_nothing_reads_are_left_out_where_there_are_too_many() -> None:
    task = recorded({**SPEC, "output": "${{ steps.last.output }}"}, "cup", "draft", "look", before="last")
    assert set(plan_fork(task, "last", {}).fork.steps) == {"cup", "draft", "look"}
    steps = task.moments["last"][0].steps
    steps["cup"].output = "x" * 1_000_000
    kept = plan_fork(task, "last", {}).fork.steps
    assert (kept["cup"].output, kept["draft"].output) == (None, "draft done")
    steps["draft"].output = "x" * 1_200_000
    with pytest.raises(SpecError, match="the whole of what is taken over: has 120"):
        plan_fork(task, "last", {})


def test_only_finished_steps_can_be_taken_over_whoever_says_so() -> None:
    source = Lineage(id="a", run_id="r", step="b")
    for state in StepState:
        step = StepRecord("tool", "desk.put", state=state)
        if state in (StepState.COMPLETED, StepState.SKIPPED):
            assert Fork(task="t", source=source, steps={"b": step}).steps
        else:
            with pytest.raises(ValueError, match="b: only finished steps can be taken over"):
                Fork(task="t", source=source, steps={"b": step})
