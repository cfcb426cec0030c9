"""Which timeouts can be measured."""

from __future__ import annotations

from collections.abc import Iterator

from ...errors import Fault
from ..task_spec import Step
from ..timeout import Calibrated


def timeout_faults(step: Step, path: str) -> Iterator[Fault]:
    """Yields what is wrong with the timeout of a step.

    Args:
        step: The step.
        path: Where its timeout stands.
    """
    if not isinstance(step.timeout, Calibrated):
        return
    if step.workflow is not None:
        yield Fault(path, "how long children take is not measured; say a duration")
    if step.timeout.settled:
        yield Fault(f"{path}.settled", "there is no key 'settled' here; there are percentile, floor, ceiling")
