"""What an agent's whole job has of its own, beside its calls: an entry in the ledger, and limits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..ledger.idempotency import idempotency_key
from ..ledger.ledger import Entry
from ..record.task_record import TaskRecord
from ..spec.catalog import AgentEntry
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


@contextmanager
def own_limits(record: TaskRecord, agent: AgentEntry, job: Assignment) -> Iterator[None]:
    """Lets what an agent says of limits count for a job of it, and its budget as long as that takes.

    Args:
        record: The task's record.
        agent: Whose job it is.
        job: The job.
    """
    account = f"agent {job.id}"
    record.policies.say(job.path, agent.on_limit)
    if agent.budget.binds:
        record.spending.open(account, job.path, f"agent {agent.name!r}", agent.budget)
    try:
        yield
    finally:
        record.spending.accounts.pop(account, None)
