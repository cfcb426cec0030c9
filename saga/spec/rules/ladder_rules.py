"""The order of what follows a failure: what nobody can come to is refused."""

from __future__ import annotations

from collections.abc import Iterator

from ...errors import Fault
from ..failure_policy import AnyRung, Escalate, OnTrouble, RetryFrom, rungs_of
from ..task_spec import Step


def ladder_faults(step: Step, here: str) -> Iterator[Fault]:
    """Yields the rungs of a step that are never tried, because the one before them ends the ladder.

    Args:
        step: The step.
        here: Its path.
    """
    yield from _unreachable(step.on_failure, f"{here}.on_failure")
    if step.on_reject is not None:
        yield from _unreachable(step.on_reject, f"{here}.on_reject")


def _unreachable(ladder: OnTrouble, path: str) -> Iterator[Fault]:
    rungs = rungs_of(ladder)
    end = next((rung for rung in rungs if _is_last(rung)), None)
    for at in range(len(rungs) if end is None else rungs.index(end) + 1, len(rungs)):
        if isinstance(end, RetryFrom):
            why = "what follows when retry_from did not help stands in its then"
        else:
            why = f"nothing comes after {end if isinstance(end, str) else 'escalate'}"
        yield Fault(f"{path}[{at}]", f"this rung is never tried: {why}")
    if isinstance(rungs[-1], RetryFrom):
        last = f"{path}[{len(rungs) - 1}]" if isinstance(ladder, tuple) else path
        yield from _unreachable(rungs[-1].then, f"{last}.then")


def _is_last(rung: AnyRung) -> bool:
    return isinstance(rung, str | Escalate | RetryFrom)
