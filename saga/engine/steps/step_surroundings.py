"""What one step of a graph runs in, and what it is run for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ...spec.task_spec import Step
from ...temporal.stop_scope import StopScope
from ..run_context import RunContext


class Surroundings(Protocol):
    """The graph that a step runs in.

    Attributes:
        context: What the task is run with.
        prefix: Path of the group around it, with a slash at the end; empty for none.
    """

    context: RunContext
    prefix: str

    def name_of(self, step_id: str) -> str:
        """Returns what the board calls a step."""

    def variables(self) -> dict[str, Any]:
        """Returns what expressions see."""

    def entries_before(self, step_id: str) -> frozenset[str]:
        """Returns the ledger entries that a call of the step builds on."""

    def entries_under(self, path: str) -> frozenset[str]:
        """Returns the ledger entries of one step, item or group."""

    def outputs_before(self, step_id: str) -> dict[str, Any]:
        """Returns the outputs of the steps that the step waits for."""

    async def run_inside(
        self,
        steps: Sequence[Step],
        prefix: str,
        scope: StopScope,
        variables: Mapping[str, Any],
        depends_on: frozenset[str],
    ) -> Surroundings:
        """Runs the steps inside a group and returns what they ran in."""

    async def make_way(self, step_id: str, entries: frozenset[str]) -> None:
        """Has the steps undone, and done again, whose effects build on entries of a step.

        Args:
            step_id: The step.
            entries: Those of its ledger entries that are about to be undone.
        """

    def is_paused(self) -> bool:
        """Says whether nothing more is to be begun in this run of the workflow."""

    def own_steps(self) -> dict[str, dict[str, Any]]:
        """Returns state and output of the steps here, by id."""

    @property
    def before_pivot(self) -> Callable[[], Awaitable[None]]:
        """What checks the whole task right before its pivot; it raises `Failed` where a verdict says no."""


@dataclass(frozen=True, slots=True)
class StepItem:
    """One run of a step: the only one, or one item of its `for_each`.

    Attributes:
        path: Its place in the task.
        variables: What its expressions see.
        scope: What it is stopped with.
        after: Ledger entries of the items that had ended when it began, so far as others of them do not
            depend on them; empty where all begin at once.
    """

    path: str
    variables: dict[str, Any]
    scope: StopScope
    after: frozenset[str] = frozenset()
