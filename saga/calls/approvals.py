"""Lets a call that needs a person's yes through only with that yes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from temporalio import workflow

from ..effect import Effect
from ..errors import ExpressionError, FailureType
from ..failure import Failed, Failure, trim
from ..history_format import APPROVALS
from ..ledger.call_id import CallId
from ..people.approval_terms import ApprovalTerms
from ..people.questions import Check, Questions
from ..people.terms import names_in
from ..people.updates import Answer, NobodyAnswered
from ..record.consent import shown_hash
from ..record.task_record import TaskRecord
from ..spec.approval import SHOWN, Approval, ToolApproval
from ..spec.arguments import canonical, completed, exact_faults, within
from ..spec.catalog import ToolEntry
from ..spec.graph import every_step
from ..spec.json_schema import in_short
from ..spec.snapshot import Snapshot
from ..temporal.pace import Pace
from ..temporal.stop_scope import StopScope
from .call import Call
from .headers import PARENT

_ASK: Final = "May {tool} be called with {arguments}?"

ReadBefore = Callable[[Call], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class _Shown:
    """What a person is asked about.

    Attributes:
        call: The call, with the arguments that are shown.
        before: What was read before.
        arguments: The arguments with their defaults.
        hash: Of all that.
    """

    call: Call
    before: Any
    arguments: dict[str, Any]
    hash: str


@dataclass(frozen=True, slots=True)
class Settled:
    """A call that may be made now.

    Attributes:
        call: The call, with the arguments that a person may have edited.
        before: What was read before.
        hash: Of what the yes was for that the call uses; empty where it needs none.
    """

    call: Call
    before: Any
    hash: str = ""


class CallApprovals:
    """Knows which calls of one task need a person's yes, and asks for it.

    A yes is for exactly what was shown: the tool, its arguments and what was read before. One call uses it
    up; if that fails, it may be made again with it.

    Attributes:
        task_input: The task's input.
    """

    def __init__(
        self,
        record: TaskRecord,
        questions: Questions,
        pace: Pace,
        task_input: Any,
        snapshot: Snapshot,
    ) -> None:
        """Prepares for calls.

        Args:
            record: The task's record.
            questions: Asks people.
            pace: Evaluates expressions.
            task_input: See the attributes.
            snapshot: Has the tools with the approvals that they demand themselves; its spec demands further
                ones, for all calls or for those of a step. What a parent demands is added.
        """
        self._record = record
        self._questions = questions
        self._catalog, spec = snapshot.catalog, snapshot.spec
        self._pace = pace
        self.task_input = task_input
        self._everywhere = (*snapshot.approvals, *_inherited(), *(spec.approvals if spec is not None else ()))
        steps = every_step(spec.steps) if spec is not None else ()
        self._by_step = {step.id: step.approvals for step in steps if step.approvals}

    def demanded_at(self, path: str) -> tuple[ToolApproval, ...]:
        """Returns what the spec, or a parent, demands of the calls inside of `path`."""
        if not self._by_step:
            return self._everywhere
        steps = CallId(path).step_ids
        return (*self._everywhere, *(one for step in steps for one in self._by_step.get(step, ())))

    def of(self, call: Call) -> tuple[Approval, ...]:
        """Returns the approvals that a call may need, depending on its arguments; empty for most calls."""
        tool = self._catalog.tools.get(call.activity)
        own = () if tool is None or tool.approval is None else (tool.approval,)
        return (*own, *(one for one in self.demanded_at(call.path) if one.tool == call.activity))

    async def settle(
        self, call: Call, approvals: Sequence[Approval], read_before: ReadBefore, scope: StopScope
    ) -> Settled:
        """Waits for the yes that a call needs, if it needs one, and uses it.

        Args:
            call: The call.
            approvals: What `of` says of it.
            read_before: Reads what the undo of a call will put back.
            scope: The part of the task that the call belongs to; a stop ends the wait.

        Returns:
            What may be called now.

        Raises:
            Failed: Somebody said no, or nobody said anything in time; the arguments do not fit the tool
                exactly, or an expression of an approval cannot be evaluated. Nothing was called.
            Stopped: The scope was stopped.
        """
        said: list[Answer] = []
        edited: Answer | None = None
        shown = self._show(call, await read_before(call))
        while True:
            due = await self._due(shown, approvals)
            if not due:
                return Settled(shown.call, shown.before)
            if self._record.consent.has(_place(call), shown.hash):
                self._record.consent = self._record.consent.use(_place(call), shown.hash)
                return Settled(shown.call, shown.before, shown.hash)
            terms = ApprovalTerms.of(due, await self._not_by(shown, due))
            # Whoever has edited need not be one of those who may allow what it has become.
            said = [one for one in said if terms.refusal(one) is None]
            if edited is not None and len(said) >= terms.people:
                answer = edited
            else:
                answer = await self._ask(shown, due, terms, said, edited, scope)
            if answer.action == "reject":
                raise _denied(call, answer, terms)
            if answer.action == "edit" and answer is not edited:
                said, edited = [answer.model_copy(update={"action": "approve", "value": None})], answer
                changed = _with_arguments(shown.call, answer.value)
                shown = self._show(changed, await read_before(changed))
                continue
            again = await read_before(shown.call) if call.before is not None else None
            if call.before is None or canonical(again) == canonical(shown.before):
                if answer.action == "always":
                    self._allow_further(shown, due)
                return Settled(shown.call, shown.before, shown.hash)
            said, edited = [], None
            shown = self._show(shown.call, again)

    def keep(self, settled: Settled) -> None:
        """Keeps the yes to a call that was not made, or has failed, for when it is made again."""
        if settled.hash:
            place = _place(settled.call)
            self._record.consent = self._record.consent.grant(place, settled.hash)

    def _show(self, call: Call, before: Any) -> _Shown:
        """Makes out what a person would be shown; refuses arguments that the tool would read generously."""
        tool = self._catalog.tools[call.activity]
        arguments = call.input if isinstance(call.input, dict) else {}
        faults = exact_faults(tool.input_schema, arguments)
        if faults:
            raise _failed(call, FailureType.INVALID_INPUT, f"{tool.name}: {in_short(faults)}")
        whole = completed(tool.input_schema, arguments)
        return _Shown(call, before, whole, shown_hash(tool.name, whole, before))

    async def _due(self, shown: _Shown, approvals: Sequence[Approval]) -> list[Approval]:
        """Returns the approvals that the call needs, and that no `always` has given already."""
        scope = self._scope(shown)
        due = []
        for approval in approvals:
            if approval.when is None or await self._truth(shown.call, "approval.when", approval.when, scope):
                due.append(approval)
        if due and await self._is_within_always(shown, due, scope):
            what, why = f"{shown.call.activity} may be called", "an earlier yes allows further calls like it"
            self._record.log.decide("approval", what, shown.call.step, why, call=shown.call.path)
            return []
        return due

    async def _is_within_always(self, shown: _Shown, due: Sequence[Approval], scope: dict[str, Any]) -> bool:
        if not ApprovalTerms.of(due).always or shown.call.effect is Effect.PIVOT:
            return False
        for approval in due:
            if not await self._stays_within(shown, approval, scope):
                return False
        return True

    def _allow_further(self, shown: _Shown, due: Sequence[Approval]) -> None:
        for approval in due:
            standing = _standing(shown.call, approval)
            self._record.consent = self._record.consent.grant_always(standing, shown.arguments)

    async def _stays_within(self, shown: _Shown, approval: Approval, scope: dict[str, Any]) -> bool:
        """Says whether a call stays within what somebody has allowed of whom this approval has asked."""
        for earlier in self._record.consent.always.get(_standing(shown.call, approval), ()):
            if not isinstance(approval.always, str):
                if within(earlier, shown.arguments):
                    return True
            elif await self._truth(shown.call, "approval.always", approval.always, {**scope, SHOWN: earlier}):
                return True
        return False

    async def _ask(
        self,
        shown: _Shown,
        due: Sequence[Approval],
        terms: ApprovalTerms,
        said: Sequence[Answer],
        edited: Answer | None,
        scope: StopScope,
    ) -> Answer:
        call, tool = shown.call, self._catalog.tools[shown.call.activity]
        actions: dict[str, Check | None] = {"approve": None, "reject": None, "edit": _fits_exactly(tool)}
        if terms.always and call.effect is not Effect.PIVOT:
            actions["always"] = None
        return await self._questions.ask(
            call.path,
            "approval",
            await self._text(shown, due),
            actions,
            scope,
            show=_evidence(shown, edited),
            hash=shown.hash,
            terms=replace(terms, default="reject"),
            said=said,
        )

    async def _text(self, shown: _Shown, due: Sequence[Approval]) -> str:
        scope = self._scope(shown)
        asks = list(dict.fromkeys(approval.ask for approval in due if approval.ask is not None))
        if not asks:
            return _ASK.format(tool=shown.call.activity, arguments=trim(canonical(shown.arguments), 300))
        try:
            return " ".join([str(await self._pace.render(ask, scope, "approval.ask")) for ask in asks])
        except ExpressionError as error:
            raise _failed(shown.call, FailureType.EXPRESSION, str(error)) from None

    async def _truth(self, call: Call, key: str, source: str, scope: dict[str, Any]) -> bool:
        try:
            answer = await self._pace.evaluate(source, scope)
        except ExpressionError as error:
            raise _failed(call, FailureType.EXPRESSION, f"{key}: {error}") from None
        if not isinstance(answer, bool):
            message = f"{key}: {source!r} must be true or false, not {answer!r}"
            raise _failed(call, FailureType.EXPRESSION, message)
        return answer

    def _scope(self, shown: _Shown) -> dict[str, Any]:
        return {
            "arguments": shown.arguments,
            "before": shown.before,
            "agent": shown.call.agent,
            "task": self.task_input,
        }

    async def _not_by(self, shown: _Shown, due: Sequence[Approval]) -> frozenset[str]:
        """Returns who may not allow the call."""
        sources = [approval.not_by for approval in due if approval.not_by is not None]
        try:
            found = [await self._pace.evaluate(source, self._scope(shown)) for source in sources]
            return frozenset[str]().union(*map(names_in, found))
        except ExpressionError as error:
            raise _failed(shown.call, FailureType.EXPRESSION, f"approval.not_by: {error}") from None


def _inherited() -> tuple[ToolApproval, ...]:
    """Returns what the parent of the running workflow demands of its calls."""
    if PARENT.get() is None:
        return ()
    return tuple(ToolApproval.model_validate(one) for one in workflow.memo_value(APPROVALS, []))


def _place(call: Call) -> str:
    """Returns where a yes counts: for a call of an agent, all of the agent's run."""
    return call.path if call.agent is None else call.path.rpartition("/")[0]


def _standing(call: Call, approval: Approval) -> str:
    """Returns for what an `always` counts: one approval, as another may ask other people."""
    return f"{call.activity} {canonical(approval.model_dump(mode='json', exclude_defaults=True))}"


def _with_arguments(call: Call, arguments: dict[str, Any]) -> Call:
    return replace(call, args=(arguments,), input=arguments)


def _fits_exactly(tool: ToolEntry) -> Check:
    def fault(value: Any) -> str | None:
        return in_short(exact_faults(tool.input_schema, value)) or None

    return fault


def _evidence(shown: _Shown, edited: Answer | None) -> dict[str, Any]:
    call = shown.call
    evidence: dict[str, Any] = {"tool": call.activity, "arguments": shown.arguments}
    if call.agent is not None:
        evidence["agent"] = call.agent
    if call.before is not None:
        evidence["before"] = shown.before
    if edited is not None:
        evidence["edited_by"] = edited.by
    return evidence


def _denied(call: Call, answer: Answer, terms: ApprovalTerms) -> Failed:
    if isinstance(answer, NobodyAnswered):
        expired = f"nobody has answered in time whether {call.activity} may be called"
        return _failed(call, FailureType.APPROVAL_EXPIRED, expired, ends_step=terms.default == "fail")
    why = f": {answer.note}" if answer.note else ""
    return _failed(call, FailureType.APPROVAL_DENIED, f"{answer.by} does not allow {call.activity}{why}")


def _failed(call: Call, type_: FailureType, message: str, *, ends_step: bool = False) -> Failed:
    return Failed(Failure(step=call.step, type=type_, message=message), not_applied=True, ends_step=ends_step)
