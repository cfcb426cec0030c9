"""Checks what an agent, a tool or a step is about to be given; where that may not be, nothing is called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..agents.assignment import Assignment
from ..calls.call import Call
from ..errors import ExpressionError, FailureType
from ..failure import Failed, Failure, trim
from ..ledger.call_id import CallId
from ..record.task_record import TaskRecord
from ..spec.arguments import canonical
from ..spec.catalog import AgentEntry, Catalog, ToolEntry
from ..spec.validation import Validation
from ..temporal.pace import Pace
from ..temporal.stop_scope import StopScope
from ..verdict import Subject, Verdict
from .verifier import Claim, Verifier


@dataclass(frozen=True, slots=True)
class Given:
    """An input that is to be checked.

    Attributes:
        name: What is to be called.
        step: The step's id.
        path: The place of the call in the task.
        round: 1, plus 1 for each re-run after an undo.
        input: What it is to be given; JSON.
        variables: What expressions read besides ``input``.
        steps: Outputs of finished steps that validators see.
        authors: Models that may not judge it.
    """

    name: str
    step: str
    path: str
    round: int
    input: Any
    variables: Mapping[str, Any]
    steps: Mapping[str, Any]
    authors: frozenset[str]


class InputGuard:
    """Checks inputs on behalf of one task."""

    def __init__(
        self, record: TaskRecord, verifier: Verifier, catalog: Catalog, pace: Pace, task_input: Any
    ) -> None:
        """Prepares to check inputs.

        Args:
            record: The task's record, which remembers refusals.
            verifier: Asks validators and judges.
            catalog: Has the tools and agents with their guards.
            pace: Evaluates rules.
            task_input: The task's input; None where it comes from a workflow of one's own.
        """
        self._record = record
        self._verifier = verifier
        self._catalog = catalog
        self._pace = pace
        self._task_input = task_input
        self._passed: dict[str, str] = {}

    async def before_call(self, call: Call, scope: StopScope) -> None:
        """Checks the arguments of a call of a tool, or of an agent in Python code.

        Raises:
            Failed: They were refused (type ``Rejected``); certainly nothing was called.
            Stopped: The scope was stopped.
        """
        entry = self._catalog.tools.get(call.activity) or self._catalog.agents.get(call.activity)
        if entry is None or not entry.guard:
            return
        caller = self._catalog.agents.get(call.agent or "")
        models = self._catalog.models_of(caller) if caller is not None and caller.asks_models else ()
        [value] = call.args
        await self._before(entry, value, call.step, CallId(call.path, call.round), call.agent, models, scope)

    async def before_job(self, agent: AgentEntry, job: Assignment, scope: StopScope) -> None:
        """Does the same with the input of a job for a model agent."""
        if agent.guard:
            models = self._catalog.models_of(agent)
            at = CallId(job.path, job.round)
            await self._before(agent, job.input, job.step, at, agent.name, models, scope)

    async def _before(
        self,
        entry: ToolEntry | AgentEntry,
        value: Any,
        step: str,
        at: CallId,
        agent: str | None,
        authors: Iterable[str],
        scope: StopScope,
    ) -> None:
        told = canonical(value)
        if self._passed.get(str(at)) == told:
            return  # it is asked before people are, and again when a call is made, which they may have edited
        given = Given(
            name=entry.name,
            step=step,
            path=at.path,
            round=at.round,
            input=value,
            variables={"arguments": value, "agent": {"name": agent or ""}, "task": self._task_input},
            steps={},
            authors=frozenset(authors),
        )
        refused = [verdict for verdict in await self.weigh(given, entry.guard, scope) if not verdict.passed]
        if refused:
            raise self.refusal(given, refused)
        self._passed[str(at)] = told

    async def weigh(self, given: Given, guard: Sequence[Validation], scope: StopScope) -> list[Verdict]:
        """Checks an input; rules first, and then validators and judges side by side.

        Rules take no activity. A validator that crashes, times out or answers nonsense has refused it.

        Returns:
            The verdicts; where a rule says no, nobody else is asked.

        Raises:
            Failed: A judge could not be asked any more, because a budget is used up.
            Stopped: The scope was stopped.
        """
        variables = {**given.variables, "input": given.input}
        verdicts = [await self._rule(item, variables) for item in guard if item.rule is not None]
        if all(verdict.passed for verdict in verdicts):
            subject = Subject(
                task_id=self._record.task_id,
                goal=self._record.goal,
                task=self._task_input,
                step=given.step,
                author=given.name,
                input=given.input,
                output=given.input,
                steps=dict(given.steps),
            )
            claim = Claim(
                step=given.step,
                path=f"{given.path}/guard",
                round=given.round,
                schema={},
                subject=subject,
                scope=variables,
                authors=given.authors,
                is_input=True,
            )
            verdicts += await self._verifier.ask_others(claim, guard, scope)
        return [
            verdict.model_copy(update={"validator": f"guard {verdict.validator}"}) for verdict in verdicts
        ]

    def refusal(self, given: Given, refused: Iterable[Verdict]) -> Failed:
        """Records that an input was refused; returns what to raise."""
        reasons = trim("; ".join(f"{verdict.validator}: {', '.join(verdict.reasons)}" for verdict in refused))
        what = f"{given.name} is not called: its input was refused"
        self._record.log.decide("refusal", what, given.step, reasons, call=given.path)
        failure = Failure(step=given.step, type=FailureType.REJECTED, message=reasons)
        return Failed(failure, not_applied=True)

    async def _rule(self, item: Validation, variables: Mapping[str, Any]) -> Verdict:
        assert item.rule is not None
        reason = "holds"
        try:
            answer = await self._pace.evaluate(item.rule, variables)
            if not isinstance(answer, bool):
                answer, reason = False, f"gave {answer!r}, not true or false"
            elif not answer:
                reason = "does not hold"
                if item.message is not None:
                    reason = str(await self._pace.render(item.message, variables, "message"))
        except ExpressionError as error:
            answer, reason = False, str(error)
        return Verdict(passed=answer, validator=f"rule {item.rule}", reasons=(reason,))
