"""What people decide about a running task: stuck undos, and steps that wait for an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from temporalio import workflow

from ..names import nearest
from ..record.status import Status
from ..record.step_record import StepState
from ..record.task_record import TaskRecord
from ..record.task_state import TaskState
from ..spec.json_schema import check_input
from ..temporal.handlers import serve_update, settle
from ..temporal.stop_scope import StopScope
from .updates import Decide, NobodyAnswered, Resolve, read_message, refused

Check = Callable[[Any], str | None]
"""Says what is wrong with the value of an action, or None."""


def fits(schema: Mapping[str, Any]) -> Check:
    """Returns the check of a value that stands for an output of this JSON Schema."""

    def fault(value: Any) -> str | None:
        faults = [f"{part.path or 'value'}: {part.message}" for part in check_input(schema, value)]
        return "; ".join(faults[:5]) or None

    return fault


_UNDO_ACTIONS = ("retry", "skip", "done")
_ALONE = ("reject", "edit")
"""One person is enough to say no; what somebody has edited, the others are asked anew."""


@dataclass(slots=True)
class StepQuestion:
    """What one step asks.

    Attributes:
        step: The step, or the item of it.
        kind: Why it asks, e.g. ``escalated``.
        ask: One sentence.
        actions: The possible answers, each with a check of its value; None where it takes no value.
        since: When it was asked.
        state: What the task shows meanwhile; ``needs_attention`` is answered by ``resolve``.
        show: What the person is to look at; JSON.
        hash: Of what is shown; an answer has to name it. Empty where none has to.
        people: How many different people have to say the same, unless it is a rejection or an edit.
        said: What those have said who have not decided it alone.
        deadline: Until when an answer counts; None for as long as it takes.
        default: What counts after that.
        answer: The answer that counts.
    """

    step: str
    kind: str
    ask: str
    actions: Mapping[str, Check | None]
    since: datetime
    state: TaskState
    show: Any = None
    hash: str = ""
    people: int = 1
    said: list[Decide] = field(default_factory=list)
    deadline: datetime | None = None
    default: str = ""
    answer: Decide | None = None

    def take(self, message: Decide) -> None:
        """Takes one person's answer; it counts at once, or when enough others have said the same."""
        self.said.append(message)
        alike = [said for said in self.said if said.action == message.action]
        if message.action in _ALONE or len(alike) >= self.people:
            self.answer = message.model_copy(update={"by": ", ".join(said.by for said in alike)})


class Questions:
    """Asks people, and takes their answers from the updates ``resolve`` and ``decide``."""

    def __init__(self, record: TaskRecord, status: Status) -> None:
        """Serves both updates from now on."""
        self._record = record
        self._status = status
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
        people: int = 1,
        said: Sequence[Decide] = (),
        deadline: timedelta | None = None,
        default: str = "",
    ) -> Decide:
        """Waits for a person's answer.

        Args:
            step: Who asks; the answer names it.
            kind: Why, in one word.
            ask: The question.
            actions: The possible answers, each with the check of its value.
            scope: A stop ends the wait.
            state: What the task shows meanwhile.
            show: What the person is to look at.
            hash: See `StepQuestion`.
            people: See there.
            said: What people have said already who count.
            deadline: How long at most; None for as long as it takes.
            default: The action that counts as said when nobody has said anything by then.

        Returns:
            The answer, one of `actions`; where several people had to say it, with all their names.

        Raises:
            Stopped: The scope was stopped first.
        """
        now = workflow.now()
        question = StepQuestion(step, kind, ask, actions, now, state, show, hash, people, [*said])
        if deadline is not None:
            question.deadline, question.default = now + deadline, default
        self._asked[step] = question
        self._record.log.add("counterstep", f"asks a person: {kind}", step, ask)
        self._status.hold(state, step)
        try:
            await workflow.wait_condition(
                lambda: question.answer is not None or scope.stopped,
                timeout=deadline,
                timeout_summary=f"deadline of {step}"[:200],
            )
        except TimeoutError:
            question.answer = NobodyAnswered(
                step=step, action=default, by="counterstep", note="nobody has answered in time"
            )
            self._record.log.add("counterstep", f"decides: {default}", step, question.answer.note)
        answer = question.answer
        if answer is None:
            del self._asked[step]
        else:
            self._record.log.decided(
                _asked(question), action=answer.action, by=answer.by, note=answer.note, value=answer.value
            )
        self._status.release(state, step)
        if answer is None:
            scope.check(step)
        assert answer is not None
        return answer

    def waiting_for(self) -> list[dict[str, Any]]:
        """Returns the open questions as JSON, for the board."""
        open_ = [question for question in self._asked.values() if question.answer is None]
        asked = [_asked(question) for question in open_]
        if self._record.state is not TaskState.NEEDS_ATTENTION:
            return asked
        return asked + [
            {
                "step": entry.step,
                "entry": entry.id,
                "kind": "undo",
                "ask": f"the undo {entry.compensation} is stuck: {entry.error}",
                "actions": list(_UNDO_ACTIONS),
                "since": since.isoformat(),
                "update": "resolve",
            }
            for entry, since in self._record.undos.stuck(self._record.ledger)
        ]

    # --- resolve

    def _check_resolve(self, argument: Any = None) -> None:
        message = read_message(Resolve, argument)
        if self._is_asked(message.step, TaskState.NEEDS_ATTENTION):
            self._check_answer(message.step, message.action, message.value, message.by)
            return
        if not self._record.ledger.stuck(message.step):
            raise refused(self._why_not_stuck(message.step))
        if message.action not in _UNDO_ACTIONS:
            raise refused(f"the undo of {message.step!r} is stuck; say one of {', '.join(_UNDO_ACTIONS)}")
        if message.action == "skip" and not message.note:
            raise refused("skip leaves the effect as it is; say why in note")

    async def _resolve(self, argument: Any = None) -> dict[str, Any]:
        await settle()
        self._check_resolve(argument)
        message = read_message(Resolve, argument)
        if self._is_asked(message.step, TaskState.NEEDS_ATTENTION):
            return self._take(Decide.model_validate(message.model_dump()))
        change = {
            "retry": self._record.retry_undo,
            "done": self._record.done_by_hand,
            "skip": self._record.skip_undo,
        }[message.action]
        stuck = self._record.ledger.stuck(message.step)
        for entry in stuck:
            self._record.log.add(message.by, f"resolve: {message.action}", entry.label, message.note)
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
        message = read_message(Decide, argument)
        if not self._is_asked(message.step, TaskState.WAITING):
            raise refused(self._why_not_asked(message.step))
        self._check_hash(self._asked[message.step], message.hash)
        self._check_answer(message.step, message.action, message.value, message.by)

    async def _decide(self, argument: Any = None) -> dict[str, Any]:
        await settle()
        self._check_decide(argument)
        return self._take(read_message(Decide, argument))

    def _take(self, message: Decide) -> dict[str, Any]:
        question = self._asked[message.step]
        question.take(message)
        self._record.log.add(message.by, f"decides: {message.action}", message.step, message.note)
        if question.answer is None:
            self._record.refresh()
        return {"step": message.step, "action": message.action}

    def _is_asked(self, step: str, state: TaskState) -> bool:
        question = self._asked.get(step)
        return question is not None and question.answer is None and question.state is state

    @staticmethod
    def _check_hash(question: StepQuestion, hash_: str | None) -> None:
        if question.hash and hash_ is None:
            raise refused(f"say the hash of what was shown; {question.step!r} has it in waiting_for")
        if hash_ is not None and hash_ != (question.hash or hash_):
            raise refused(f"{question.step!r} has changed since that was shown; look at it again")

    def _check_answer(self, step: str, action: str, value: Any, by: str) -> None:
        question = self._asked[step]
        if any(said.by.casefold() == by.casefold() for said in question.said):
            raise refused(f"{by} has answered already; {question.people} different people are asked")
        actions = question.actions
        if action not in actions:
            raise refused(f"{step!r} takes {', '.join(actions)}, not {action!r}{nearest(action, actions)}")
        check = actions[action]
        if check is None and value is not None:
            raise refused(f"{action} takes no value")
        fault = check(value) if check is not None else None
        if fault is not None:
            raise refused(fault)

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


def _asked(q: StepQuestion) -> dict[str, Any]:
    return {
        "step": q.step,
        "kind": q.kind,
        "ask": q.ask,
        "actions": list(q.actions),
        "since": q.since.isoformat(),
        "update": _update_of(q),
        **({} if q.show is None else {"show": q.show}),
        **({"hash": q.hash} if q.hash else {}),
        **({"people": q.people, "said": _said(q)} if q.people > 1 else {}),
        **_deadline(q),
    }


def _said(question: StepQuestion) -> list[dict[str, str]]:
    return [{"by": said.by, "action": said.action, "note": said.note} for said in question.said]


def _deadline(question: StepQuestion) -> dict[str, str]:
    if question.deadline is None:
        return {}
    return {"deadline": question.deadline.isoformat(), "default": question.default}


def _update_of(question: StepQuestion) -> str:
    return "resolve" if question.state is TaskState.NEEDS_ATTENTION else "decide"
