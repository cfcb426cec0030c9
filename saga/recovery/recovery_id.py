"""The workflow id of a recovery."""

from __future__ import annotations

from dataclasses import dataclass

_MARK = "/recover/"


@dataclass(frozen=True, slots=True)
class RecoveryId:
    """Names the recovery of a task; written as ``ID/recover/RUN``.

    It is derived from what is recovered, so that the server lets it happen once.

    Attributes:
        workflow_id: The task.
        run_id: The newest run of its chain.
    """

    workflow_id: str
    run_id: str

    @classmethod
    def parse(cls, text: str) -> RecoveryId:
        """Reads the workflow id of a recovery."""
        workflow_id, _, run_id = text.rpartition(_MARK)
        return cls(workflow_id, run_id)

    def __str__(self) -> str:
        return f"{self.workflow_id}{_MARK}{self.run_id}"
