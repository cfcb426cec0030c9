"""What people decide about a running task: stuck undos, and steps that wait for an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from temporalio import workflow

from ..names import nearest
from ..record.consent import shown_hash
from ..record.decision_log import DecisionKind
from ..record.status import Status
from ..record.step_record import StepState
from ..record.task_record import TaskRecord
from ..record.task_state import TaskState
from ..temporal.handlers import serve_update, settle
from ..temporal.stop_scope import StopScope
from .notices import Notices
from .signatures import Signatures, Signed
from .step_question import UNDO_ACTIONS, Check, StepQuestion, fits, stuck_question
from .terms import ANYBODY, Terms
from .updates import Answer, Decide, NobodyAnswered, Resolve, refused

__all__ = ["Check", "Questions", "fits"]


class Questions:
    """Asks people, and takes their answers from the updates ``resolve`` and ``decide``."""

    def __init__(self, record: TaskRecord, status: Status, notices: Notices) -> None:
        """Serves both updates from now on."""
        self._record = record
        self._status = status
        self._notices = notices
        self._signatures = Signatures(record)
        self._asked: dict[str, StepQuestion] = {}
        serve_update("resolve", self._resolve, self._check_resolve)
        serve_update("decide", self._decide, self._check_decide)
        record.show_questions(self.waiting_for)

    async def ask(
        self,
        step: str,
        kind: str,
        ask: str,
        actions: Mapping[str, Check | None],
        scope: StopScope,
        *,
        state: TaskState = TaskState.WAITING,
        show: Any = None,
        hash: str = "",
        terms: Terms = ANYBODY,
        said: Sequence[Answer] = (),
    ) -> Answer:
        """Waits for a person's answer.

        Args:
            step: Who asks; the answer names it.
            kind: Why, in one word.
            ask: The question.
            actions: The possible answers, each with the check of its value.
            scope: A stop ends the wait.
            state: What the task shows meanwhile.
            show: What the person is to look at.
            hash: See `StepQuestion`; where somebody in particular, or several people, are asked, and none is
                given, it is made here.
            terms: Who is asked, and how long is waited for them.
            said: What people have said already who count.

        Returns:
            The answer, one of `actions`; where several people had to say it, with all their names.

        Raises:
            Stopped: The scope was stopped first.
        """
        since = workflow.now()
        if not hash and (terms.people > 1 or terms.roles):
            # Between two answers, or the look at it and a signature, what is shown may change.
            hash = shown_hash(step, ask, show)
        question = StepQuestion(step, kind, ask, actions, since, state, show, hash, terms, [*said])
        self._asked[step] = question
        self._record.log.add("counterstep", f"asks a person: {kind}", step, ask)
        self._status.hold(state, step)
        self._notices.tell("task.waiting", question.as_json())
        await self._until_answered(question, scope)
        answer = question.answer
        if answer is None:
            del self._asked[step]
        else:
            self._record.log.keep_answer(
                question.as_json(),
                proven=answer.proven,
                action=answer.action,
                by=answer.by,
                note=answer.note,
                value=answer.value,
            )
            self._decided(question, answer)
        self._status.release(state, step)
        if answer is None:
            scope.check(step)
        assert answer is not None
        told = {"action": answer.action, "by": answer.by, "proven": answer.proven}
        self._notices.tell("task.answered", question.as_json(), answer=told)
        return answer

    def _decided(self, question: StepQuestion, answer: Answer) -> None:
        """Adds the answer to the decisions of the task; the log has its line already."""
        kind = _kind_of(answer.action)
        if kind is not None:
            what = f"{answer.action}: {question.ask}"
            self._record.log.decided.add(
                kind, what, question.step, answer.note, by=answer.by, proven=answer.proven
            )

    async def _until_answered(self, question: StepQuestion, scope: StopScope) -> None:
        """Waits for the answer or a stop; in between people are reminded, and others asked too."""

        def is_over() -> bool:
            return question.answer is not None or scope.stopped

        while True:
            at, what = question.next_time() or (None, "")
            try:
                await workflow.wait_condition(
                    is_over,
                    timeout=None if at is None else question.left(at, workflow.now()),
                    timeout_summary=f"{what} of {question.step}"[:200],
                )
                return
            except TimeoutError:
                self._at_time(question, what)
                if question.answer is not None:
                    return

    def _at_time(self, question: StepQuestion, what: str) -> None:
        step, terms = question.step, question.terms
        if what == "deadline":
            note = "nobody has answered in time"
            question.answer = NobodyAnswered(step=step, action=terms.default, by="counterstep", note=note)
            self._record.log.add("counterstep", f"decides: {terms.default}", step, note)
            return
        if what == "escalate":
            question.escalated = True
            others = ", ".join(terms.escalate.roles) if terms.escalate is not None else ""
            self._record.log.add("counterstep", f"asks others too: {others}", step, question.ask)
        else:
            question.reminders += 1
            self._record.log.add("counterstep", "reminds", step, question.ask)
        self._record.refresh()
        self._status.waits_changed()
        self._notices.tell("task.reminded", question.as_json(), reason=what)

    def waiting_for(self) -> list[dict[str, Any]]:
        """Returns the open questions as JSON, for the board."""
        asked = [question.as_json() for question in self._asked.values() if question.answer is None]
        if self._record.state is not TaskState.NEEDS_ATTENTION:
            return asked
        return asked + [
            stuck_question(entry, since) for entry, since in self._record.undos.stuck(self._record.ledger)
        ]

    # --- resolve

    def _check_resolve(self, argument: Any = None) -> None:
        self._may_resolve(self._signatures.check(Resolve, argument))

    def _may_resolve(self, signed: Signed[Resolve]) -> None:
        message = signed.message
        if self._is_asked(message.step, TaskState.NEEDS_ATTENTION):
            self._may_answer(signed.answer(message.step, message.action, message.value))
            return
        if not self._record.ledger.stuck(message.step):
            raise refused(self._why_not_stuck(message.step))
        if message.action not in UNDO_ACTIONS:
            raise refused(f"the undo of {message.step!r} is stuck; say one of {', '.join(UNDO_ACTIONS)}")
        if message.action == "skip" and not message.note:
            raise refused("skip leaves the effect as it is; say why in note")

    async def _resolve(self, argument: Any = None) -> dict[str, Any]:
        await settle()
        signed = self._signatures.read(Resolve, argument)
        self._may_resolve(signed)
        self._signatures.use(signed)
        message = signed.message
        if self._is_asked(message.step, TaskState.NEEDS_ATTENTION):
            return self._take(signed.answer(message.step, message.action, message.value))
        change = {
            "retry": self._record.retry_undo,
            "done": self._record.done_by_hand,
            "skip": self._record.skip_undo,
        }[message.action]
        proven = signed.proof is not None
        stuck = self._record.ledger.stuck(message.step)
        for entry in stuck:
            told = {"action": message.action, "by": message.by, "proven": proven}
            self._notices.tell("task.answered", stuck_question(entry, None), answer=told)
            what = f"resolve: {message.action}"
            kind: DecisionKind = "retry" if message.action == "retry" else "approval"
            self._record.log.decide(
                kind, what, entry.label, message.note, who=message.by, call=entry.id, proven=proven
            )
            change(entry.id)
        return {"step": stuck[0].step, "action": message.action, "undos": [entry.id for entry in stuck]}

    def _why_not_stuck(self, name: str) -> str:
        entries = [entry for entry in self._record.ledger if entry.is_named(name)]
        if entries:
            states = ", ".join(dict.fromkeys(entry.state.value for entry in entries))
            return f"no undo of {name!r} is stuck: {states}"
        if name in self._record.steps:
            return f"the step {name!r} has nothing to undo"
        if any(sign in name for sign in "#[/"):
            return f"there is no undo {name!r}{nearest(name, [e.id for e in self._record.ledger.stuck()])}"
        return f"there is no step {name!r}{nearest(name, self._record.steps)}"

    # --- decide

    def _check_decide(self, argument: Any = None) -> None:
        self._may_decide(self._signatures.check(Decide, argument))

    def _may_decide(self, signed: Signed[Decide]) -> Answer:
        message = signed.message
        if not self._is_asked(message.step, TaskState.WAITING):
            raise refused(self._why_not_asked(message.step))
        self._check_hash(self._asked[message.step], message.hash)
        answer = signed.answer(message.step, message.action, message.value)
        self._may_answer(answer)
        return answer

    async def _decide(self, argument: Any = None) -> dict[str, Any]:
        await settle()
        signed = self._signatures.read(Decide, argument)
        answer = self._may_decide(signed)
        self._signatures.use(signed)
        return self._take(answer)

    def _take(self, answer: Answer) -> dict[str, Any]:
        question = self._asked[answer.step]
        question.take(answer)
        what = f"decides: {answer.action}"
        self._record.log.add(answer.by, what, answer.step, answer.note, proven=answer.proven)
        if question.answer is None:
            self._record.refresh()
        return {"step": answer.step, "action": answer.action}

    def _may_answer(self, answer: Answer) -> None:
        fault = self._asked[answer.step].fault(answer)
        if fault is not None:
            raise refused(fault)

    def _is_asked(self, step: str, state: TaskState) -> bool:
        question = self._asked.get(step)
        return question is not None and question.answer is None and question.state is state

    @staticmethod
    def _check_hash(question: StepQuestion, hash_: str | None) -> None:
        if question.hash and hash_ is None:
            raise refused(f"say the hash of what was shown; {question.step!r} has it in waiting_for")
        if hash_ is not None and hash_ != (question.hash or hash_):
            raise refused(f"{question.step!r} has changed since that was shown; look at it again")

    def _why_not_asked(self, step: str) -> str:
        question = self._asked.get(step)
        if question is not None and question.answer is not None:
            return f"{step!r} was decided already: {question.answer.action}, by {question.answer.by}"
        if question is not None:
            return f"{step!r} needs attention; answer it with the update resolve"
        open_ = [name for name, asked in self._asked.items() if asked.answer is None]
        if step not in self._record.steps and step not in open_:
            return f"there is no step {step!r}{nearest(step, [*self._record.steps, *open_])}"
        state = self._record.steps[step].state if step in self._record.steps else StepState.PENDING
        return f"{step!r} waits for nobody: it is {state.value}"


def _kind_of(action: str) -> DecisionKind | None:
    """Returns as which decision an answer counts; None for one that only tells something."""
    if action == "answer":
        return None
    if action in ("reject", "end"):
        return "refusal"
    return "retry" if action == "retry" else "approval"
