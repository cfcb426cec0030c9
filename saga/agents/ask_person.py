"""The tool with which an agent asks a person, and goes on with the answer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..fault_texts import faults_in
from ..people.questions import Check, Questions
from ..people.terms import Terms
from ..people.updates import NobodyAnswered
from ..spec.approval import Asking
from ..spec.catalog import AgentEntry
from ..temporal.stop_scope import StopScope
from ..verdict import Evidence
from .model_protocol import ASK_PERSON, ToolCall
from .tool_answer import ExecutedCall, ToolAnswer, refusal
from .toolbox import AskPerson

NEEDS_INPUT: Final = "needs_input"
"""The kind of these questions."""

_LONGEST: Final = 20_000


class _Wanted(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    question: str = Field(min_length=1, max_length=4000)
    choices: list[str] = Field(default_factory=list, max_length=20)


class PersonToAsk:
    """Asks people for one agent."""

    def __init__(self, questions: Questions, asking: Asking, agent: str) -> None:
        """Prepares to ask.

        Args:
            questions: Asks people.
            asking: Who is asked, and how long is waited for them.
            agent: The agent's name.
        """
        self._questions = questions
        self._asking = asking
        self._agent = agent

    async def ask(self, wanted: ToolCall, path: str, scope: StopScope) -> ToolAnswer:
        """Asks what a model wants to know.

        Args:
            wanted: The model's call.
            path: Where the question stands; the answer names it.
            scope: A stop ends the wait.

        Returns:
            What the model is told.

        Raises:
            Stopped: The scope was stopped first.
        """
        try:
            asked = _Wanted.model_validate(wanted.arguments)
        except ValidationError as error:
            return refusal(wanted.invalid or faults_in(error, "the arguments"))
        show: dict[str, Any] = {"agent": self._agent}
        if asked.choices:
            show["choices"] = asked.choices
        answer = await self._questions.ask(
            path,
            NEEDS_INPUT,
            asked.question,
            {"answer": _fits(asked.choices)},
            scope,
            show=show,
            terms=Terms.of_asking(self._asking, "no_answer"),
        )
        if isinstance(answer, NobodyAnswered):
            note = "nobody has answered in time; go on with what you know, or say that it cannot be done"
            return ToolAnswer(json.dumps({"no_answer": note}))
        told = {"answer": answer.value, **({"note": answer.note} if answer.note else {})}
        evidence = Evidence(tool=ASK_PERSON.name, arguments=asked.model_dump(), result=told)
        return ToolAnswer(json.dumps(told, ensure_ascii=False), executed=ExecutedCall(evidence))


def person_for(agent: AgentEntry, questions: Questions) -> AskPerson | None:
    """Returns how an agent asks people; None where it may not."""
    return None if agent.may_ask is None else PersonToAsk(questions, agent.may_ask, agent.name).ask


def _fits(choices: Sequence[str]) -> Check:
    def fault(value: Any) -> str | None:
        if not isinstance(value, str) or not value.strip() or len(value) > _LONGEST:
            return f"answer needs a value: a text of at most {_LONGEST} characters"
        if choices and value not in choices:
            return f"{value!r} is not one of the choices: {', '.join(choices)}"
        return None

    return fault
