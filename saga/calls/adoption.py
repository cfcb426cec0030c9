"""Puts into the ledger what stands by the word of recorded histories, so that it is undone as all else is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from temporalio import workflow

from ..ledger.effect_to_undo import EffectToUndo
from ..ledger.entry import EntryState
from ..record.step_record import StepRecord, StepState
from ..record.task_record import TaskRecord

_MARGIN = timedelta(milliseconds=100)


async def adopt(record: TaskRecord, effects: Sequence[EffectToUndo]) -> None:
    """Adds effects to the ledger, and waits until none of them may change anything any more.

    They are undone before whatever the ledger has already.

    Args:
        record: The task's record.
        effects: In the order in which they came about.
    """
    older = {entry.id for entry in record.ledger if entry.state in (EntryState.ARMED, EntryState.SETTLED)}
    for position, effect in enumerate(effects):
        _show(effect, record)
        entry = effect.entry(effects[:position])
        record.arm(replace(entry, depends_on=frozenset(entry.depends_on) | older))
        if effect.may_land_until is None:
            record.settle(effect.id, effect.output)
    landing = [effect for effect in effects if effect.may_land_until is not None]
    last = max((effect.may_land_until for effect in landing if effect.may_land_until), default=None)
    wait = None if last is None else last + _MARGIN - workflow.now()
    if wait is not None and wait > timedelta():
        steps = ", ".join(dict.fromkeys(effect.step for effect in landing))
        await workflow.sleep(wait, summary=f"calls that were under way may still land: {steps}"[:200])
    for effect in landing:
        record.settle(effect.id, effect.output)


def _show(effect: EffectToUndo, record: TaskRecord) -> None:
    """Puts the step of an effect on the board: of an agent and its tool calls the agent, which came first."""
    if effect.step in record.steps:
        return
    progress = StepRecord(effect.kind, effect.action)
    progress.state = StepState.COMPLETED if effect.is_known else StepState.FAILED
    progress.started, progress.finished = effect.started, effect.ended
    progress.error = None if effect.is_known else "nobody knows whether it happened"
    record.add_step(effect.step, progress)
