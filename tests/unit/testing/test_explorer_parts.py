"""The parts of the fault explorer: what the workers write down, what a spec can do without, what is shown."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from counterstep import Agent, Bundle
from counterstep.activities.outcomes import AgentOutcomes
from counterstep.bundle.registry import Registry
from counterstep.bundle.spec_file import parse_spec
from counterstep.client.start_once import spec_document
from counterstep.pool_limits import bandit
from counterstep.pool_limits.memory_store import MemoryStore
from counterstep.saga.errors import DefinitionError
from counterstep.saga.spec.task_spec import TaskSpec
from counterstep.teams import Concurrent, Router
from counterstep.testing.explorer.compensation_contract import Finding
from counterstep.testing.explorer.effect_ledger import EffectLedger
from counterstep.testing.explorer.fault import FaultKind, PlannedFault, Point, Role, undo_of
from counterstep.testing.explorer.invariants import Invariant, Violation
from counterstep.testing.explorer.quick_calls import draw_the_first, judges_in, quick_spec, quicken
from counterstep.testing.explorer.report import Cell, Report
from counterstep.testing.explorer.spec_reduction import only_step, smaller, without_step
from counterstep.testing.explorer.user_hook import load_hook

# --- faults


def test_kinds_of_faults_fit_what_is_broken() -> None:
    kinds = {role: {kind for kind in FaultKind if Point("a#1", "t.a", role).can(kind)} for role in Role}
    on_undo = {FaultKind.FAIL_TWICE, FaultKind.FAIL_EVER}
    assert kinds[Role.EFFECT] == set(FaultKind) - on_undo
    assert kinds[Role.EFFECT] - kinds[Role.READ] == {FaultKind.FAIL_AFTER, FaultKind.KILL_AFTER}
    assert kinds[Role.UNDO] == on_undo | {FaultKind.CANCEL, FaultKind.KILL_BEFORE, FaultKind.KILL_AFTER}


def test_the_undo_of_a_call_has_its_id() -> None:
    assert undo_of("each[2]/tool.1#3") == "each[2]/tool.1/undo#3"


# --- models


async def test_routers_compare_for_nothing_and_draw_the_same_one_in_every_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bandit, "select", bandit.select)  # put back afterwards
    draw_the_first()
    told = AgentOutcomes(MemoryStore().outcomes)
    asked = {"agents": ["b.y", "a.x"], "ahead": 0}
    drawn = {(await told.select_agent({**asked, "key": str(number)}))["agent"] for number in range(20)}
    assert drawn == {"b.y"}
    desk = Bundle("desk")
    clerk = desk.add(Agent(name="clerk", description="", instructions="", intents=["refund"]))
    desk.add(Router(name="front", description="Routes.", members=[clerk], embedding="openai/paid"))
    step = {"pattern": "router", "members": ["desk.clerk"], "embedding": "openai/paid"}
    quicken([desk], [])
    spec = quick_spec(parse_spec({"name": "t", "steps": [{"id": "s", "team": step}]}))
    teams = [desk.agents["desk.front"].team, spec.steps[0].team]
    assert [team.models for team in teams if team is not None] == [("stand-in/echo",)] * 2


def test_who_judges_in_a_team_does_not_get_the_model_of_the_others() -> None:
    jury = Bundle("jury")
    ann, bob, chair = (
        jury.add(Agent(name=name, description=name, instructions="Say.", model=f"openai/{name}", output=dict))
        for name in ("ann", "bob", "chair")
    )
    team = Concurrent(
        name="poll", description="Votes.", members=[ann, bob], combine="vote", judge=chair, output=dict
    )
    jury.add(team)
    assert judges_in([team]) == {"jury.chair"}
    quicken([jury], ["openai/any"], judges_in([team]))
    catalog = Registry([jury]).catalog
    chains = {name: catalog.models_of(agent) for name, agent in catalog.agents.items() if agent.is_model}
    assert chains["jury.ann"] == chains["jury.bob"] == ("openai/any",) != chains["jury.chair"]
    quicken([jury], ["openai/any"])
    with pytest.raises(DefinitionError, match="it must differ"):
        Registry([jury])


# --- the ledger of effects


def begin(ledger: EffectLedger, run: str, point: str, **changes: Any) -> int:
    usual: dict[str, Any] = {
        "activity": "t.order",
        "role": Role.EFFECT,
        "key": "k",
        "step": "hall",
        "compensation": "t.cancel",
        "attempt": 1,
        "input": {"what": "hall"},
    }
    return ledger.begin(run, point, **{**usual, **changes})


def test_what_happened_is_read_back_in_order(tmp_path: Path) -> None:
    ledger = EffectLedger.create(tmp_path / "effects.sqlite")
    first = begin(ledger, "r", "hall#1")
    ledger.mark(first, "entered")
    begin(ledger, "another", "hall#1")
    ledger.mark(first, "done", {"id": 7})
    ledger.mark(first, "fault")
    begin(ledger, "r", "hall/undo#1", role=Role.UNDO, compensation=None, attempt=2)
    call, undo = EffectLedger(tmp_path / "effects.sqlite").visits("r")
    assert (call.point, call.outcome, call.output, call.faulty) == ("hall#1", "done", {"id": 7}, True)
    assert call.entered and call.ended and call.began < call.entered < call.ended < undo.began
    assert (undo.entered, undo.ended, undo.outcome, undo.attempt) == (None, None, None, 2)


def test_what_a_killed_process_has_written_stays(tmp_path: Path) -> None:
    path = tmp_path / "effects.sqlite"
    ledger = EffectLedger.create(path)
    script = f"""
import os, signal
from pathlib import Path
from counterstep.testing.explorer.effect_ledger import EffectLedger
from counterstep.testing.explorer.fault import Role
ledger = EffectLedger(Path({str(path)!r}))
visit = ledger.begin("r", "hall#1", activity="t.order", role=Role.EFFECT, key="k", step="hall",
                     compensation=None, attempt=1, input=None)
ledger.mark(visit, "entered")
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9
    (visit,) = ledger.visits("r")
    assert visit.entered is not None
    assert visit.ended is None


def test_plans_and_gates_belong_to_one_run(tmp_path: Path) -> None:
    ledger = EffectLedger.create(tmp_path / "effects.sqlite")
    ledger.plan("r", PlannedFault("hall#1", FaultKind.CANCEL))
    assert ledger.planned("r", "hall#1") is FaultKind.CANCEL
    assert ledger.planned("r", "music#1") is None
    assert ledger.planned("another", "hall#1") is None
    assert ledger.gate("r") is None
    ledger.wait_at_gate("r")
    assert ledger.gate("r") is False
    ledger.open_gate("r")
    assert ledger.gate("r") is True


# --- specs

SPEC = parse_spec(
    {
        "name": "evening",
        "deadline": "5m",
        "compensation": {"give_up": "1m"},
        "steps": [
            {"id": "wishes", "tool": "t.ask", "timeout": "1m"},
            {
                "id": "dish",
                "tool": "t.order",
                "for_each": "steps.wishes.output",
                "input": {"what": "${{ item }}"},
            },
            {
                "id": "evening",
                "needs": ["dish"],
                "group": {
                    "steps": [
                        {"id": "cook", "tool": "t.order", "input": {"for": "${{ steps.wishes.output }}"}}
                    ]
                },
            },
            {
                "id": "last",
                "tool": "t.order",
                "needs": ["evening"],
                "when": "steps.cook.output != null",
                "validate": [{"rule": "true"}, {"judge": {"model": "m", "criteria": "good"}}],
            },
        ],
        "output": "${{ steps.last.output }}",
    }
)
SEEN = {"task": {}, "facts": {}, "steps": {"wishes": {"state": "completed", "output": ["soup", "cake"]}}}


def test_explored_specs_keep_their_steps_and_lose_what_costs_time_or_money() -> None:
    quick = quick_spec(SPEC, fails_late=True)
    assert [step.id for step in quick.steps] == [step.id for step in SPEC.steps]
    assert quick.deadline is None
    assert quick.compensation.give_up is None
    assert quick.steps[0].timeout == timedelta(seconds=2)
    assert [validation.rule for validation in quick.steps[3].validate_] == ["true"]
    assert [validation.rule for validation in quick.validate_] == ["false"]
    assert quick_spec(SPEC).validate_ == ()


def steps_of(spec: TaskSpec) -> list[Any]:
    return list(spec_document(spec)["steps"])


def test_a_step_that_others_read_is_replaced_by_what_it_gave() -> None:
    left = without_step(SPEC, "wishes", SEEN)
    dish, evening, last = steps_of(left)
    assert dish["for_each"] == '["soup", "cake"]'
    assert evening["group"]["steps"][0]["input"] == {"for": ["soup", "cake"]}
    assert last["when"] == "steps.cook.output != null"
    assert "when" not in steps_of(without_step(SPEC, "cook", SEEN))[-1]


def test_one_step_alone_needs_nothing() -> None:
    alone = only_step(SPEC, "dish", SEEN)
    assert spec_document(alone)["steps"] == [
        {"id": "dish", "tool": "t.order", "for_each": '["soup", "cake"]', "input": {"what": "${{ item }}"}}
    ]
    assert alone.output is None


def test_what_is_smaller_lacks_one_thing() -> None:
    alone = only_step(SPEC, "dish", SEEN)
    documents = [spec_document(candidate)["steps"] for candidate in smaller(alone, SEEN) if candidate.steps]
    assert documents == [[{**steps_of(alone)[0], "for_each": items}] for items in ('["soup"]', '["soup"]')]
    lacking = [spec_document(candidate) for candidate in smaller(SPEC, SEEN)]
    assert all(document != spec_document(SPEC) for document in lacking)
    assert any("needs" not in document["steps"][-1] for document in lacking)


# --- what is shown


def cell(point: str, kind: FaultKind, *violations: Violation, missed: bool = False) -> Cell:
    label = f"{point} {kind}"
    return Cell(
        Point(point, "t.order", Role.EFFECT), kind, "rolled_back", violations, missed, label, f"again {label}"
    )


def test_a_report_shows_the_matrix_the_failures_and_the_totals() -> None:
    report = Report(
        task="evening",
        points=(Point("hall#1", "t.order", Role.EFFECT), Point("look[0]#1", "t.look", Role.READ)),
        cells=(
            cell("hall#1", FaultKind.HANG),
            cell("hall#1", FaultKind.FAIL_AFTER, Violation(Invariant.ORPHAN, "hall#1 stands")),
            cell("look[0]#1", FaultKind.HANG, missed=True),
        ),
        findings=(
            Finding(compensation="t.cancel", call="t.order", rule="twice", certain=False, message="perhaps"),
        ),
        seconds=3.2,
    )
    lines = report.text().splitlines()
    (hall,) = [line.split() for line in lines if line.strip().startswith("hall#1")]
    (look,) = [line.split() for line in lines if line.strip().startswith("look[0]#1")]
    assert hall == ["hall#1", "t.order", "✘", "✔"]
    assert look == ["look[0]#1", "t.look", "n/a", "?"]
    for line in (
        "✘ hall#1 fail after (the task ended rolled_back)",
        "    orphaned effect: hall#1 stands",
        "    again: again hall#1 fail after",
        "! t.cancel after t.order, twice: perhaps",
    ):
        assert line in lines
    assert lines[-1].startswith("2 faults injected, 1 orphaned effects, 0 double undos")
    assert not report.ok
    data = report.data()
    assert data["totals"]["missed"] == 1
    assert [found["colour"] for found in data["cells"]] == ["green", "red", "missed"]


def test_a_warning_alone_is_no_failure() -> None:
    warning = Finding(compensation="t.cancel", call="t.order", rule="twice", certain=False, message="perhaps")
    report = Report(task="evening", points=(), cells=(cell("hall#1", FaultKind.HANG),), findings=(warning,))
    assert report.ok
    certain = warning.model_copy(update={"certain": True})
    assert not Report(task="evening", points=(), cells=(), findings=(certain,)).ok


@pytest.mark.parametrize("reference", ["nothing", "no.such.module:f", "json:nothing", "json:__name__"])
def test_a_function_that_is_not_there_is_named(reference: str) -> None:
    with pytest.raises(DefinitionError, match=reference.partition(":")[0]):
        load_hook(reference)
