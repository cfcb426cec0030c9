"""Everything one task remembers; the only writer of ledger, steps, usage and log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import replace
from datetime import datetime
from typing import Any

from ..errors import FailureType
from ..failure import Failed, Failure, trim
from ..ledger.call_id import CallId
from ..ledger.carry_over import CarriedEntry, restore
from ..ledger.ledger import Entry, Ledger
from ..limits.budget import Budget
from ..limits.limit_policies import LimitPolicies
from ..limits.spending import Reservation, Spending
from ..limits.usage import Usage
from ..spec.catalog import CompensationEntry
from ..verdict import Verdict
from .carried_record import CarriedRecord
from .consent import Consent
from .fork import Lineage
from .plan_book import PlanBook
from .resets import Resets
from .step_record import StepRecord, StepState
from .task_log import TaskLog
from .task_state import TaskState
from .team_log import TeamLog
from .undo_progress import UndoProgress


class TaskRecord:
    """The record of one task.

    Attributes:
        task: The task's name.
        task_id: The workflow id.
        state: Where the task is.
        ledger: What has to be undone.
        spending: What has been spent on models, against the budget.
        policies: What follows when a limit is reached.
        failure: The first failure; later ones do not replace it.
        steps: Progress by step id.
        log: Who did what, on which step, why and when.
        teams: What teams have decided.
        plans: What was begun of plans.
        undo_order: Ids of ledger entries in the order in which their undos finished.
        undos: How far the undos have come.
        compensations: What is declared of them, by name; those of finished children included.
        facts: What people have told the task, by name.
        events: What has happened outside, oldest first.
        feedback: By step, what was wrong with the attempts before this one.
        reruns: By step, how often its failure has sent the task back.
        rounds: By path, how often a call has been made there.
        committed: True once the pivot was applied: nothing before it is undone any more.
        past_pivot: The same, also where the pivot was that of the parent which goes on here.
        protected: The entries of the ledger from before the pivot.
        consent: To what people have said yes.
        resets: How often the running workflow was reset, and what has ended since.
        forked: Where it was forked from; None where it was not.
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
        resets: Resets | None = None,
    ) -> None:
        """Opens the record.

        Args:
            task: The task's name.
            task_id: The workflow id.
            goal: What the task is for.
            budget: The most it may spend on models.
            now: The task's clock (deterministic).
            changed: Called after each change of a step's or the task's state.
            resets: See the attributes; None where nobody resets it.
        """
        self.task = task
        self.task_id = task_id
        self.goal = goal
        self.spending, self.policies = Spending(budget), LimitPolicies()
        self.state = TaskState.RUNNING
        self.ledger = Ledger()
        self.failure: Failure | None = None
        self.steps: dict[str, StepRecord] = {}
        self.log, self.teams, self.plans = TaskLog(now), TeamLog(now), PlanBook()
        self.undo_order: list[str] = []
        self.undos = UndoProgress(now)
        self.compensations: dict[str, CompensationEntry] = {}
        self.facts: dict[str, Any] = {}
        self.events: list[dict[str, Any]] = []
        self.feedback: dict[str, list[dict[str, Any]]] = {}
        self.reruns: dict[str, int] = {}
        self.rounds: dict[str, int] = {}
        self.committed = self.past_pivot = False
        self.protected: frozenset[str] = frozenset()
        self.consent, self.resets = Consent(), resets or Resets()
        self.forked: Lineage | None = None
        self._questions: list[Callable[[], list[dict[str, Any]]]] = []
        self._now, self._changed = now, changed

    # --- the task

    def enter(self, state: TaskState) -> None:
        """Moves the task to `state`."""
        self.state = state
        self.log.add("counterstep", f"task {state.value}")
        self._changed(self)

    def describe(self, task: str, goal: str, budget: Budget | None = None) -> None:
        """Says what the task is and may spend, where that becomes known only now."""
        self.task, self.goal = task, goal
        if budget is not None:
            self.spending.budget = self.spending.raised or budget

    def restore(self, carried: CarriedRecord, entries: Iterable[CarriedEntry] | None = None) -> None:
        """Takes over what an earlier run remembered.

        Args:
            carried: The record of that run.
            entries: Its ledger, where that has travelled by itself.
        """
        self.steps = dict(carried.steps)
        self.spending.restore(carried.usage, carried.accounts, carried.budget)
        self.log.restore(carried.log, carried.lines, carried.decisions, carried.decided)
        self.teams.restore(carried.moves)
        self.plans.restore(carried.plans)
        self.facts, self.events = dict(carried.facts), list(carried.events)
        self.feedback = {step: list(told) for step, told in carried.feedback.items()}
        self.reruns, self.rounds = dict(carried.reruns), dict(carried.rounds)
        self.committed = self.past_pivot = carried.committed
        self.protected = frozenset(carried.protected)
        self.undo_order, self.undos.times = list(carried.undo_order), dict(carried.undo_times)
        self.consent, self.forked = carried.consent, carried.forked
        self.compensations = dict(carried.compensations)
        self.ledger = restore(carried.entries if entries is None else entries)

    def know_compensations(self, declared: Mapping[str, CompensationEntry]) -> None:
        """Adds what a catalog declares of compensations; what is known of one already stays."""
        self.compensations = {**declared, **self.compensations}

    def waiting_for(self) -> list[dict[str, Any]]:
        """Returns what people are asked, as JSON."""
        return [question for questions in self._questions for question in questions()]

    def show_questions(self, questions: Callable[[], list[dict[str, Any]]]) -> None:
        """Adds what `questions` returns to what people are asked."""
        self._questions.append(questions)

    def learn(self, facts: Mapping[str, Any]) -> None:
        """Adds what people have told the task."""
        self.facts = {**self.facts, **facts}

    def keep_events(self, events: Iterable[dict[str, Any]]) -> None:
        """Remembers these events, oldest first, and no others."""
        self.events = list(events)

    def refresh(self) -> None:
        """Shows what has changed of what the task waits for."""
        self._changed(self)

    def blame(self, failure: Failure) -> None:
        """Records why the task is undone; only the first failure counts."""
        if self.failure is None:
            self.failure = failure
            self.log.add("counterstep", "failure", failure.step, str(failure))

    def commit(self, step_id: str) -> None:
        """Records that the pivot was applied."""
        self.committed = self.past_pivot = True
        self.protected = frozenset(self.ledger.entries)
        self.log.add("counterstep", "past the point of no return", step_id)

    # --- steps

    def add_step(self, step_id: str, step: StepRecord) -> None:
        """Adds a step that has not started."""
        self.steps[step_id] = step

    def reset_step(self, step_id: str) -> None:
        """Makes a step as if it had not started; what it has cost stays."""
        step = self.steps[step_id]
        if step.state is StepState.PENDING:
            return
        step.reset()
        self._changed(self)

    def rerun_step(self, step_id: str) -> None:
        """Records that the failure of a step sends the task back."""
        self.reruns[step_id] = self.reruns.get(step_id, 0) + 1

    def tell_step(self, step_id: str, feedback: Iterable[dict[str, Any]]) -> None:
        """Records what was wrong with the last attempt of a step, for the next one to see."""
        self.feedback.setdefault(step_id, []).extend(feedback)

    def next_round(self, path: str) -> int:
        """Returns the number of the next call at a path: 1, plus 1 for each one before it."""
        self.rounds[path] = self.rounds.get(path, 0) + 1
        return self.rounds[path]

    def count_rounds(self, call: CallId) -> None:
        """Makes the next call at the path of `call` one of a later round."""
        self.rounds[call.path] = max(self.rounds.get(call.path, 0), call.round)

    def wait_step(self, step_id: str, *, over: bool = False) -> None:
        """Records that a step waits for a person, or for a limit of the pool, or that this is over."""
        if step_id in self.steps:
            self.steps[step_id].state = StepState.RUNNING if over else StepState.WAITING
            self._changed(self)

    def start_step(self, step_id: str) -> None:
        """Records that a step, or one more call of it, begins."""
        step = self.steps[step_id]
        step.attempts += 1
        if step.state is not StepState.RUNNING:
            step.state = StepState.RUNNING
            step.started = step.started or self._now()
            self.log.add(step.target, "start", step_id)
            self._changed(self)

    def end_step(self, step_id: str, state: StepState, output: Any = None, error: str | None = None) -> None:
        """Records how a step ended."""
        step = self.steps[step_id]
        step.end(state, output, error, self._now())
        self.log.add(step.target, state.value, step_id, error or "")
        self._changed(self)

    def judge(self, step_id: str, verdict: Verdict) -> None:
        """Records one verdict on a step's output; an empty id is the task's own."""
        if step_id in self.steps:
            self.steps[step_id].verdicts.append(verdict)
        self.log.judged(step_id, verdict)

    def withdraw(self, step_id: str) -> None:
        """Takes a step's output out of the shared context: its undos are done."""
        step = self.steps.get(step_id)
        if step is not None and step.state is not StepState.UNDONE:
            step.withdraw()
            self._changed(self)

    # --- model calls

    def reserve(self, step_id: str, path: str, most: Usage, *, waits: bool = False) -> Reservation:
        """Takes what a call at a path may spend out of the budgets before it is made, see `Spending.reserve`.

        Raises:
            Failed: They do not allow it (type ``BudgetExceeded``).
        """
        reason = self.spending.refusal(path, most)
        if reason is not None and self.committed:
            self.log.add("counterstep", "over budget, past the point of no return", step_id, reason)
        elif reason is not None:
            failure = Failure(step=step_id, type=FailureType.BUDGET_EXCEEDED, message=reason)
            raise Failed(failure, not_applied=True)
        return self.spending.reserve(path, most, waits=waits)

    # --- the ledger

    def arm(self, entry: Entry) -> None:
        """Records an undo before its forward call is scheduled."""
        self.ledger = self.ledger.arm(self.plans.current(entry))

    def rewire(self, depends_on: Mapping[str, Set[str]], *, gone: Set[str] = frozenset()) -> None:
        """Records what entries that stand build on from now on; see `Ledger.rewire`."""
        self.ledger = self.ledger.rewire(depends_on, gone=gone)

    def settle(self, entry_id: str, output: Any = None) -> None:
        """Records that a forward call has ended."""
        self.ledger = self.ledger.settle(entry_id, output)
        self.resets.note_end(entry_id)

    def void(self, entry_id: str) -> None:
        """Records that a forward call certainly did not happen."""
        self.ledger = self.ledger.void(entry_id)

    def absorb(self, entries: Iterable[Entry], compensations: Iterable[CompensationEntry]) -> None:
        """Takes over what a finished child would have to undo.

        Args:
            entries: Its ledger, oldest first, under ids of this one.
            compensations: What is declared of their compensations.
        """
        for entry in entries:
            self.arm(replace(entry, output=None))
            self.settle(entry.id, entry.output)
        self.compensations.update({entry.name: entry for entry in compensations})

    def absorb_usage(self, step_id: str, path: str, usage: Usage) -> None:
        """Adds what calls, or a child, at a path of a step have spent."""
        self.teams.spend(path, usage)
        self.spending.add(usage, path)
        step = self.steps.get(step_id)
        if step is not None:
            step.spend(usage.model_calls, usage.tokens, usage.usd)

    def begin_undo(self, entry_id: str) -> Entry:
        """Records that an undo begins; returns its entry."""
        self.ledger = self.ledger.begin(entry_id)
        entry = self.ledger[entry_id]
        self.undos.begin(entry_id)
        self.log.add(entry.compensation, "undo begins", entry.label)
        return entry

    def finish_undo(self, entry_id: str) -> None:
        """Records that an undo has succeeded; a step whose undos are all done is withdrawn."""
        self.ledger = self.ledger.finish(entry_id)
        self.log.add(self.ledger[entry_id].compensation, "undone", self.ledger[entry_id].label)
        self._after_undo(entry_id)

    def _after_undo(self, entry_id: str) -> None:
        self.undo_order.append(entry_id)
        self.undos.end(entry_id)
        entry = self.ledger[entry_id]
        if not self.ledger.stands(entry.step):
            self.withdraw(entry.step)
        else:
            self._changed(self)

    def fail_undo(self, entry_id: str, error: str) -> None:
        """Records that an undo has failed past its retries."""
        self.ledger = self.ledger.fail(entry_id, trim(error, 500))
        self.undos.end(entry_id)
        entry = self.ledger[entry_id]
        self.log.add(entry.compensation, "undo failed", entry.label, error)
        self._changed(self)

    def retry_undo(self, entry_id: str) -> None:
        """Records that a stuck undo is to be run again."""
        self.ledger = self.ledger.retry(entry_id)
        self.undos.await_again(entry_id)
        self._changed(self)

    def done_by_hand(self, entry_id: str) -> None:
        """Records that somebody has undone what was stuck."""
        self.ledger = self.ledger.done(entry_id)
        self._after_undo(entry_id)

    def skip_undo(self, entry_id: str) -> None:
        """Records that what was stuck stays as it is."""
        self.ledger = self.ledger.skip(entry_id)
        self.undos.end(entry_id)
        self._changed(self)
