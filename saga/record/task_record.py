"""Everything one task remembers; the only writer of ledger, steps, usage and log."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

from ..errors import FailureType
from ..failure import Failed, Failure, trim
from ..ledger.ledger import Entry, EntryState, Ledger
from ..limits.budget import Budget
from ..limits.usage import CallUsage, Usage
from ..spec.catalog import CompensationEntry
from ..verdict import Verdict
from .step_record import StepRecord, StepState
from .task_state import TaskState

MAX_LOG = 1000
"""Lines of the log that are kept; the oldest go first."""


class TaskRecord:
    """The record of one task.

    Attributes:
        task: The task's name.
        task_id: The workflow id.
        state: Where the task is.
        ledger: What has to be undone.
        usage: What has been spent.
        failure: The first failure; later ones do not replace it.
        steps: Progress by step id.
        log: Who did what, on which step, why and when; JSON objects, oldest first. ``n`` counts them: a
            replay may tell another ``at`` by milliseconds, never another ``n``.
        undo_order: Ids of ledger entries in the order in which their undos finished.
        compensations: What is declared of them, by name; those of finished children included.
        facts: What people have told the task, by name.
        events: What has happened outside, oldest first.
        feedback: By step, what was wrong with the attempts before this one.
        reruns: By step, how often its failure has sent the task back.
        lines: How many lines the log has had.
        rounds: By path, how often a call has been made there.
        committed: True once the pivot was applied: nothing before it is undone any more.
        protected: The entries of the ledger from before the pivot.
        resets: How often the running workflow was reset since the record was opened.
        waiting_for: Returns what people are asked, as JSON.
    """

    def __init__(
        self,
        *,
        task: str,
        task_id: str,
        goal: str,
        budget: Budget,
        now: Callable[[], datetime],
        changed: Callable[[TaskRecord], None],
    ) -> None:
        """Opens the record.

        Args:
            task: The task's name.
            task_id: The workflow id.
            goal: What the task is for.
            budget: The most it may spend on models.
            now: The task's clock (deterministic).
            changed: Called after each change of a step's or the task's state.
        """
        self.task = task
        self.task_id = task_id
        self.goal = goal
        self.budget = budget
        self.state = TaskState.RUNNING
        self.ledger = Ledger()
        self.usage = Usage()
        self.failure: Failure | None = None
        self.steps: dict[str, StepRecord] = {}
        self.log: list[dict[str, Any]] = []
        self.undo_order: list[str] = []
        self.compensations: dict[str, CompensationEntry] = {}
        self.facts: dict[str, Any] = {}
        self.events: list[dict[str, Any]] = []
        self.feedback: dict[str, list[dict[str, Any]]] = {}
        self.reruns: dict[str, int] = {}
        self.rounds: dict[str, int] = {}
        self.committed = False
        self.protected: frozenset[str] = frozenset()
        self.resets = 0
        self.waiting_for: Callable[[], list[dict[str, Any]]] = list
        self._stuck_since: dict[str, datetime] = {}
        self.lines = 0
        self._model_calls_under_way = 0
        self._now = now
        self._changed = changed

    # --- the task

    def enter(self, state: TaskState) -> None:
        """Moves the task to `state`."""
        self.state = state
        self.note("counterstep", f"task {state.value}")
        self._changed(self)

    def refresh(self) -> None:
        """Shows what has changed of what the task waits for."""
        self._changed(self)

    def blame(self, failure: Failure) -> None:
        """Records why the task is undone; only the first failure counts."""
        if self.failure is None:
            self.failure = failure
            self.note("counterstep", "failure", failure.step, str(failure))

    def commit(self, step_id: str) -> None:
        """Records that the pivot was applied."""
        self.committed, self.protected = True, frozenset(self.ledger.entries)
        self.note("counterstep", "past the point of no return", step_id)

    def note(self, who: str, what: str, step: str = "", why: str = "") -> None:
        """Adds one line to the log."""
        self.lines += 1
        self.log.append(
            {
                "n": self.lines,
                "at": self._now().isoformat(),
                "who": who,
                "what": what,
                "step": step,
                "why": trim(why, 500),
            }
        )
        del self.log[:-MAX_LOG]

    # --- steps

    def add_step(self, step_id: str, progress: StepRecord) -> None:
        """Adds a step that has not started."""
        self.steps[step_id] = progress

    def reset_step(self, step_id: str) -> None:
        """Makes a step as if it had not started; what it has cost stays."""
        progress = self.steps[step_id]
        if progress.state is StepState.PENDING:
            return
        progress.state, progress.output, progress.error = StepState.PENDING, None, None
        progress.finished, progress.verdicts = None, []
        self._changed(self)

    def next_round(self, path: str) -> int:
        """Returns the number of the next call at a path: 1, plus 1 for each one before it."""
        self.rounds[path] = self.rounds.get(path, 0) + 1
        return self.rounds[path]

    def wait_step(self, step_id: str) -> None:
        """Records that a step waits for a person."""
        self.steps[step_id].state = StepState.WAITING
        self._changed(self)

    def start_step(self, step_id: str) -> None:
        """Records that a step, or one more call of it, begins."""
        progress = self.steps[step_id]
        progress.attempts += 1
        if progress.state is not StepState.RUNNING:
            progress.state = StepState.RUNNING
            progress.started = progress.started or self._now()
            self.note(progress.target, "start", step_id)
            self._changed(self)

    def end_step(self, step_id: str, state: StepState, output: Any = None, error: str | None = None) -> None:
        """Records how a step ended."""
        progress = self.steps[step_id]
        progress.state, progress.output, progress.error = state, output, error
        progress.finished = self._now()
        self.note(progress.target, state.value, step_id, error or "")
        self._changed(self)

    def judge(self, step_id: str, verdict: Verdict) -> None:
        """Records one verdict on a step's output; an empty id is the task's own."""
        if step_id in self.steps:
            self.steps[step_id].verdicts.append(verdict)
        answer = "passed" if verdict.passed else "rejected"
        self.note(verdict.validator, answer, step_id, "; ".join(verdict.reasons))

    def withdraw(self, step_id: str) -> None:
        """Takes a step's output out of the shared context: its undos are done."""
        progress = self.steps.get(step_id)
        if progress is not None and progress.state is not StepState.UNDONE:
            progress.output = None
            progress.state = StepState.UNDONE
            self._changed(self)

    # --- model calls

    def reserve_model_call(self, step_id: str) -> None:
        """Takes one call out of the budget before it is made.

        Raises:
            Failed: The budget does not allow it (type ``BudgetExceeded``).
        """
        reason = self.budget.exceeded_by(self.usage, self._model_calls_under_way)
        if reason is not None and self.committed:
            self.note("counterstep", "over budget, past the point of no return", step_id, reason)
        elif reason is not None:
            failure = Failure(step=step_id, type=FailureType.BUDGET_EXCEEDED, message=reason)
            raise Failed(failure, not_applied=True)
        self._model_calls_under_way += 1

    def release_model_call(self) -> None:
        """Ends what `reserve_model_call` began."""
        self._model_calls_under_way -= 1

    def spend(self, step_id: str, model: str, cost: CallUsage) -> None:
        """Adds what one model call has cost."""
        self.usage = self.usage.plus(
            model=model,
            calls=cost.model_calls,
            input_tokens=cost.input_tokens,
            output_tokens=cost.output_tokens,
            usd=cost.usd,
        )
        if cost.usd is None and self.usage.unpriced_calls == cost.model_calls:
            self.note("counterstep", f"no price is known for {model}; its calls are not in the sum", step_id)
        progress = self.steps.get(step_id)
        if progress is not None:
            progress.model_calls += cost.model_calls
            progress.tokens += cost.input_tokens + cost.output_tokens
            progress.usd += cost.usd or 0.0

    # --- the ledger

    def arm(self, entry: Entry) -> None:
        """Records an undo before its forward call is scheduled."""
        self.ledger = self.ledger.arm(entry)

    def settle(self, entry_id: str, output: Any = None) -> None:
        """Records that a forward call has ended."""
        self.ledger = self.ledger.settle(entry_id, output)

    def void(self, entry_id: str) -> None:
        """Records that a forward call certainly did not happen."""
        self.ledger = self.ledger.void(entry_id)

    def absorb(
        self, step_id: str, entries: Iterable[Entry], compensations: Iterable[CompensationEntry], usage: Usage
    ) -> None:
        """Takes over what a finished child would have to undo, and what it has spent.

        Args:
            step_id: The step that it belongs to.
            entries: Its ledger, oldest first, under ids of this one.
            compensations: What is declared of their compensations.
            usage: What it has spent.
        """
        for entry in entries:
            self.arm(replace(entry, output=None))
            self.settle(entry.id, entry.output)
        self.compensations.update({entry.name: entry for entry in compensations})
        self.usage = self.usage.joined(usage)
        progress = self.steps.get(step_id)
        if progress is not None:
            progress.model_calls += usage.model_calls
            progress.tokens += usage.tokens
            progress.usd += usage.usd

    def begin_undo(self, entry_id: str) -> Entry:
        """Records that an undo begins; returns its entry."""
        self.ledger = self.ledger.begin(entry_id)
        entry = self.ledger[entry_id]
        self.note(entry.compensation, "undo begins", entry.step)
        return entry

    def finish_undo(self, entry_id: str) -> None:
        """Records that an undo has succeeded; a step whose undos are all done is withdrawn."""
        self.ledger = self.ledger.finish(entry_id)
        self.note(self.ledger[entry_id].compensation, "undone", self.ledger[entry_id].step)
        self._after_undo(entry_id)

    def _after_undo(self, entry_id: str) -> None:
        self.undo_order.append(entry_id)
        entry = self.ledger[entry_id]
        if not any(e.step == entry.step and e.state is not EntryState.UNDONE for e in self._live()):
            self.withdraw(entry.step)
        else:
            self._changed(self)

    def fail_undo(self, entry_id: str, error: str) -> None:
        """Records that an undo has failed past its retries."""
        self.ledger = self.ledger.fail(entry_id, trim(error, 500))
        self._stuck_since[entry_id] = self._now()
        entry = self.ledger[entry_id]
        self.note(entry.compensation, "undo failed", entry.step, error)
        self._changed(self)

    def stuck(self, name: str) -> list[Entry]:
        """Returns the entries of a step, or the one of this id, whose undos are stuck."""
        return [e for e in self.ledger if name in (e.step, e.id) and e.state is EntryState.STUCK]

    def all_stuck(self) -> list[tuple[Entry, datetime]]:
        """Returns the entries whose undos are stuck, each with the time since when."""
        return [(e, self._stuck_since[e.id]) for e in self.ledger if e.state is EntryState.STUCK]

    def stuck_since(self) -> datetime | None:
        """Returns when the last of the stuck undos has failed; None where none is stuck."""
        return max((since for _, since in self.all_stuck()), default=None)

    def retry_undo(self, entry_id: str) -> None:
        """Records that a stuck undo is to be run again."""
        self.ledger = self.ledger.retry(entry_id)
        self._changed(self)

    def done_by_hand(self, entry_id: str) -> None:
        """Records that somebody has undone what was stuck."""
        self.ledger = self.ledger.done(entry_id)
        self._after_undo(entry_id)

    def skip_undo(self, entry_id: str) -> None:
        """Records that what was stuck stays as it is."""
        self.ledger = self.ledger.skip(entry_id)
        self._changed(self)

    def undone_steps(self) -> list[str]:
        """Returns the steps whose undos are all done, in the order in which they finished."""
        missing = set(self.not_undone_steps())
        last = {self.ledger[entry_id].step: position for position, entry_id in enumerate(self.undo_order)}
        return [step for step in sorted(last, key=lambda step: last[step]) if step not in missing]

    def not_undone_steps(self) -> list[str]:
        """Returns the steps of which an undo is missing, newest first."""
        return list(dict.fromkeys(entry.step for entry in reversed(self.remaining())))

    def skipped_steps(self) -> list[str]:
        """Returns the steps of which somebody has chosen to leave an effect that was to be undone."""
        return list(dict.fromkeys(e.step for e in self.ledger if e.state is EntryState.SKIPPED))

    def remaining(self) -> list[Entry]:
        """Returns the entries whose effects stand, oldest first."""
        return [entry for entry in self._live() if entry.state is not EntryState.UNDONE]

    def _live(self) -> list[Entry]:
        return [entry for entry in self.ledger if entry.state is not EntryState.VOID]
