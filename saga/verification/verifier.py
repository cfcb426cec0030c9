"""Independent checks of an output: rules, validators and judges, each giving a verdict."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pydantic import ValidationError
from temporalio.exceptions import ActivityError, FailureError

from ..agents.model_calls.model_caller import ModelCaller
from ..calls.call import Call, as_json
from ..calls.caller import Caller
from ..calls.timeouts_and_retries import CHECK_RETRY, CHECK_TIMEOUT
from ..effect import Effect
from ..errors import ExpressionError, FailureType
from ..expressions.expression import compile_expression
from ..expressions.template import expressions, render
from ..failure import Failed, Failure, Stopped, trim
from ..fault_texts import faults_in
from ..history_format import VERIFY
from ..ledger.call_id import CallId
from ..record.task_record import TaskRecord
from ..routing.outcomes import VERDICT, JobOutcome
from ..routing.selection import Drawn
from ..routing.telling import note_outcomes
from ..spec.catalog import Catalog
from ..spec.validation import Judge, Validation
from ..temporal.stop_scope import StopScope
from ..verdict import FAST_LIMIT, MATCHES, Subject, Verdict
from .judge import question_for, read_judgement


@dataclass(frozen=True, slots=True)
class Claim:
    """One output that is to be checked.

    Attributes:
        step: The step's id; empty for the output of the whole task.
        path: Its place in the task.
        round: 1, plus 1 for each re-run after an undo.
        schema: JSON Schema of the output.
        subject: What validators and judges see.
        scope: The variables of rules, ``output`` and ``input`` included.
        authors: Models that took part in making the output, or are to be given the input.
        is_input: Whether it is an input, before anything is made of it.
        drawn: Those of equals who were drawn to make it: the pool is told how well they have done.
    """

    step: str
    path: str
    round: int
    schema: Mapping[str, Any]
    subject: Subject
    scope: Mapping[str, Any]
    authors: frozenset[str] = frozenset()
    is_input: bool = False
    drawn: tuple[Drawn, ...] = ()


class Verifier:
    """Checks the outputs of one task."""

    def __init__(self, record: TaskRecord, caller: Caller, models: ModelCaller, catalog: Catalog) -> None:
        """Prepares the verifier of one task.

        Args:
            record: The task's record, which remembers each verdict.
            caller: Calls validators.
            models: Asks judges.
            catalog: What the task's snapshot says of validators.
        """
        self._record = record
        self._caller = caller
        self._models = models
        self._catalog = catalog

    def accept(self, step: str) -> None:
        """Records that an output is right for which nothing is to be checked.

        Whoever made it has checked it against its type; a local activity would only cost an event.
        """
        self._record.judge(step, Verdict(passed=True, validator="schema", reasons=(MATCHES,)))

    async def verify(self, claim: Claim, validations: Sequence[Validation], scope: StopScope) -> None:
        """Checks an output; schema and rules first, then validators and judges side by side.

        A validator that crashes, times out or answers nonsense has rejected the output.

        Raises:
            Failed: A verdict said no (type ``Rejected``).
            Stopped: The scope was stopped before all verdicts were there.
        """
        if not validations:
            self.accept(claim.step)
            return
        try:
            verdicts = await self._schema_and_rules(claim, validations)
            self._note(claim, verdicts)
            others = await self.ask_others(claim, validations, scope)
            if others:
                self._note(claim, others)
        except Failed as failed:
            if failed.failure.type == FailureType.REJECTED:
                await self._report(claim, 0.0)
            raise
        await self._report(claim, 1.0)

    async def _report(self, claim: Claim, score: float) -> None:
        """Tells the pool how well those have done who were drawn."""
        outcomes = [JobOutcome(kind=VERDICT, agent=d.agent, score=score, key=d.key) for d in claim.drawn]
        await note_outcomes(self._caller, outcomes, str(CallId(claim.path, claim.round).within("outcomes")))

    async def ask_others(
        self, claim: Claim, validations: Sequence[Validation], scope: StopScope
    ) -> list[Verdict]:
        """Returns the verdicts of validators and judges, which are asked side by side; raises as `verify`."""
        slow = [
            asyncio.ensure_future(self._one(claim, index, validation, scope))
            for index, validation in enumerate(validations)
            if validation.rule is None
        ]
        results = await asyncio.gather(*slow, return_exceptions=True) if slow else []
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return [result for result in results if isinstance(result, Verdict)]

    def _note(self, claim: Claim, verdicts: Sequence[Verdict]) -> None:
        for verdict in verdicts:
            self._record.judge(claim.step, verdict)
        refused = [verdict for verdict in verdicts if not verdict.passed]
        if not refused:
            return
        reasons = "; ".join(f"{verdict.validator}: {', '.join(verdict.reasons)}" for verdict in refused)
        raise Failed(Failure(step=claim.step, type=FailureType.REJECTED, message=trim(reasons)))

    async def _schema_and_rules(self, claim: Claim, validations: Sequence[Validation]) -> list[Verdict]:
        rules = [{"rule": v.rule, "message": v.message} for v in validations if v.rule is not None]
        reads: set[str] = {"output"}
        for rule in rules:
            sources = [str(rule["rule"]), *(source for _, source in expressions(rule["message"]))]
            reads |= {path.root for source in sources for path in compile_expression(source).paths}
        question = {
            "schema": dict(claim.schema),
            "rules": rules,
            "scope": {name: claim.scope[name] for name in sorted(reads) if name in claim.scope},
        }
        try:
            answers = await self._caller.local(
                VERIFY,
                question,
                activity_id=str(CallId(claim.path, claim.round).within("verify")),
                timeout=timedelta(seconds=10),
                summary=f"verify {claim.step or 'the whole task'}",
            )
        except FailureError as error:
            return [_broken("schema and rules", error)]
        return [Verdict.model_validate(answer) for answer in answers]

    async def _one(self, claim: Claim, index: int, validation: Validation, scope: StopScope) -> Verdict:
        if validation.check is not None:
            return await self._check(claim, index, validation.check, scope)
        assert validation.judge is not None
        return await self._judge(claim, index, validation.judge, scope)

    async def _check(self, claim: Claim, index: int, validator: str, scope: StopScope) -> Verdict:
        entry = self._catalog.validators.get(validator)
        subject = claim.subject.model_dump(mode="json")
        path = f"{claim.path}/check.{index}"
        summary = f"check {claim.step or 'the whole task'}"
        try:
            if entry is not None and entry.fast:
                answer = await self._caller.local(
                    validator,
                    subject,
                    activity_id=str(CallId(path, claim.round)),
                    timeout=2 * FAST_LIMIT,  # the activity itself keeps the limit, and is not tried again
                    summary=summary,
                )
            else:
                call = Call(
                    step=claim.step,
                    path=path,
                    activity=validator,
                    args=(subject,),
                    effect=Effect.READ_ONLY,
                    round=claim.round,
                    timeout=CHECK_TIMEOUT,
                    retry=CHECK_RETRY,
                    summary=summary,
                )
                answer = as_json(await self._caller.call(call, scope))
            return _signed(Verdict.model_validate(answer), validator)
        except Stopped:
            raise
        except (Failed, FailureError, ValidationError) as error:
            return _broken(validator, error)

    async def _judge(self, claim: Claim, index: int, judge: Judge, scope: StopScope) -> Verdict:
        models = judge.models
        name = f"judge {models[0]}"
        same = judge.among(claim.authors)
        if same:
            return Verdict(passed=False, validator=name, reasons=(f"{min(same)} is the author's model too",))
        try:
            criteria = render(judge.criteria, claim.scope, "criteria")
            reply = await self._models.ask(
                claim.step,
                f"{claim.path}/judge.{index}",
                claim.round,
                question_for(models, criteria, claim.subject, is_input=claim.is_input),
                scope,
                f"judge {claim.step or 'the whole task'}",
            )
        except Stopped:
            raise
        except Failed as failed:
            if failed.failure.type == FailureType.BUDGET_EXCEEDED or failed.ends_step:
                raise
            return _broken(name, failed)
        except ExpressionError as error:
            return _broken(name, error)
        return read_judgement(reply, judge.threshold)


def _signed(verdict: Verdict, validator: str) -> Verdict:
    reasons = verdict.reasons or ("gave no reason",)
    return verdict.model_copy(update={"validator": validator, "reasons": reasons})


def _broken(validator: str, error: Exception) -> Verdict:
    cause = error.cause if isinstance(error, ActivityError) and error.cause else error
    reason = f"gave no verdict: {cause}"
    if isinstance(error, ValidationError):
        reason = f"answered nonsense: {faults_in(error, 'verdict', most=3)}"
    return Verdict(passed=False, validator=validator, reasons=(reason,))
