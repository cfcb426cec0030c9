"""The ledger entry of an agent's whole job, beside those of its tool calls."""

from __future__ import annotations

from ..ledger.idempotency import idempotency_key
from ..ledger.ledger import Entry
from .assignment import Assignment


def own_entry(job: Assignment, root_key: str) -> Entry:
    """Returns the entry of a job.

    Args:
        job: The job.
        root_key: See `idempotency_key`.
    """
    return Entry(
        id=job.id,
        step=job.step,
        compensation=job.compensation,
        key=idempotency_key(root_key, job.path, job.round),
        depends_on=job.depends_on,
        input=job.input if isinstance(job.input, dict) else {"input": job.input},
        task_queue=job.task_queue,
    )
