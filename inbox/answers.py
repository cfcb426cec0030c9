"""Turns the form of a question into an update, and says in a sentence what became of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from temporalio.client import Client

from ..client.errors import NoAnswer, NoWorker, Refused, TaskEnded
from ..client.updates import send_update
from ..runtime.codec import PayloadUnreadable
from ..saga.errors import CounterstepError
from .evidence import read_field
from .inbox_config import InboxConfig
from .person import SignedIn
from .question_view import NEEDS_NOTE, AnswerButton, QuestionView, questions_of
from .task_reader import SeenTask
from .visible_text import visible

VALUE = "value."
"""What the names of the fields for a value begin with; the action and the argument follow."""

_LONGEST_NOTE = 2000


@dataclass(frozen=True, slots=True)
class Said:
    """What became of an answer.

    Attributes:
        text: One sentence.
        is_done: Whether the task has taken it.
        status: The HTTP status, where it has not.
        keeps_form: Whether the person may mend what was written, and send it again.
    """

    text: str
    is_done: bool = False
    status: int = 409
    keeps_form: bool = False


async def answer(
    client: Client, config: InboxConfig, person: SignedIn, task: SeenTask, form: Mapping[str, str]
) -> Said:
    """Sends what a person has answered, if it is about what is asked now.

    Args:
        client: A connected client.
        config: How the inbox is served.
        person: Who answers.
        task: The task as it is now.
        form: The fields of the form.

    Raises:
        UnknownTask: There is no such task any more.
        RPCError: The server does not answer.
    """
    if task.has_ended:
        return Said(f"The task has ended ({task.state}); nothing was sent.")
    if task.board is None:
        return Said(f"{task.note} Nothing was sent.", status=503)
    asked = (form.get("update", ""), form.get("step", ""))
    found = [view for view in questions_of(task.board) if (view.asked.update, view.name) == asked]
    if not found:
        return Said("This waits for nobody any more: somebody has answered, or its time is over.")
    question = found[0]
    if form.get("shown") != question.shown:
        return Said(
            "The question has changed since it was shown to you; nothing was sent. This is how it is now."
        )
    button = question.button(form.get("action", ""))
    if button is None:
        return Said("This question does not take that answer; nothing was sent.", status=422)
    try:
        argument = _argument(question, button, form)
    except ValueError as error:
        return Said(f"{error} Nothing was sent.", status=422, keeps_form=True)
    who = {"by": person.name}
    if config.signer is not None:
        who = {"token": config.signer.token(person, task.id, argument, time.time()), **who}
    return await _send(client, task.id, question, button, {**argument, **who})


def _argument(question: QuestionView, button: AnswerButton, form: Mapping[str, str]) -> dict[str, Any]:
    note = form.get("note", "").replace("\r\n", "\n").strip()
    if len(note) > _LONGEST_NOTE:
        raise ValueError(f"The note has more than {_LONGEST_NOTE} characters.")
    if not note and (question.asked.update, button.action) == NEEDS_NOTE:
        raise ValueError("This leaves the effect as it is; say why in the note.")
    argument: dict[str, Any] = {"step": question.name, "action": button.action, "note": note}
    if question.asked.hash and question.asked.update == "decide":
        argument["hash"] = question.asked.hash
    if button.fields:
        argument["value"] = _value(button, form)
    return argument


def _value(button: AnswerButton, form: Mapping[str, str]) -> Any:
    values = {}
    for field in button.fields:
        text = form.get(f"{VALUE}{button.action}.{field.name}")
        if text is None:
            raise ValueError("The form is incomplete.")
        values[field.name] = read_field(field, text)
    return values[""] if set(values) == {""} else values


async def _send(
    client: Client, id: str, question: QuestionView, button: AnswerButton, argument: Mapping[str, Any]
) -> Said:
    step = visible(question.name)
    try:
        await send_update(client, id, question.asked.update, argument)
    except PayloadUnreadable:
        pass  # it was taken; only the reply cannot be read here
    except Refused as refusal:
        return Said(_as_told(refusal), status=409, keeps_form=True)
    except TaskEnded as ended:
        return Said(_as_told(ended))
    except NoAnswer as silence:
        return Said(_as_told(silence), status=503, keeps_form=not silence.accepted)
    except NoWorker as absence:
        return Said(_as_told(absence), status=503, keeps_form=True)
    people, said = question.asked.people, len(question.asked.said) + 1
    if people > 1 and button.action not in ("reject", "edit") and said < people:
        return Said(f"“{button.label}” is noted for {step}; {said} of {people} people have answered.", True)
    return Said(f"“{button.label}” it is, for {step}.", is_done=True)


def _as_told(error: CounterstepError) -> str:
    return visible(str(error))
