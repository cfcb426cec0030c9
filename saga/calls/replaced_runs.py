"""What the runs have done that a reset has replaced, and that the running one has not done again."""

from __future__ import annotations

from datetime import timedelta

from pydantic import BaseModel, ConfigDict
from temporalio import workflow
from temporalio.common import RetryPolicy

from ..history_format import READ_REPLACED
from ..ledger.effect_to_undo import EffectToUndo
from ..record.task_record import TaskRecord
from .adoption import adopt
from .reset_gate import ResetGate

_LONGEST_READ = timedelta(minutes=10)
_READ_HEARTBEAT = timedelta(seconds=30)


class ReplacedEffects(BaseModel):
    """A part of what stands of replaced runs, the newest first of all parts.

    Attributes:
        entries: In the order in which they came about.
        more: Whether there are older ones, to be asked for when these are undone.
        pivot: The step of a point of no return that one of the runs has passed, or may have; empty for none.
    """

    model_config = ConfigDict(frozen=True)

    entries: tuple[EffectToUndo, ...] = ()
    more: bool = False
    pivot: str = ""


class ReplacedRuns:
    """Has a task that was reset undo what the runs before it have done, too.

    The new run makes again what follows the place of the reset, under the same keys. What it has not come to
    when it is undone nobody else undoes.
    """

    def __init__(self, record: TaskRecord, reset_gate: ResetGate) -> None:
        """Prepares for the end of a task.

        Args:
            record: The task's record.
            reset_gate: Knows whether the run has taken the place of others.
        """
        self._record = record
        self._reset_gate = reset_gate

    async def adopt(self) -> frozenset[str]:
        """Puts the newest part of what stands into the ledger; passes the pivot where one of the runs has.

        Returns:
            What is to be undone before the next part is asked for; empty where there is none.
        """
        if not self._reset_gate.replaces_runs:
            return frozenset()
        found = ReplacedEffects.model_validate(
            await workflow.execute_activity(
                READ_REPLACED,
                start_to_close_timeout=_LONGEST_READ,
                heartbeat_timeout=_READ_HEARTBEAT,
                retry_policy=RetryPolicy(maximum_interval=timedelta(minutes=1)),
                summary="read what stands of the runs before the reset",
            )
        )
        new = [effect for effect in found.entries if effect.id not in self._record.ledger]
        if new:
            steps = ", ".join(dict.fromkeys(effect.step for effect in new))
            self._record.log.add("counterstep", "undoes what was done before the reset", "", steps)
        await adopt(self._record, new)
        if found.pivot:
            self._record.commit(found.pivot)
        return frozenset(effect.id for effect in new) if found.more else frozenset()
