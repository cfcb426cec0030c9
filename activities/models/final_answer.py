"""A tool by which a model answers, and words on when to: it must be as easy to finish as to give up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain, count
from typing import Any

from .answer_schema import AnswerForm

_TEXT = {"type": "string"}


@dataclass(frozen=True, slots=True)
class FinalAnswer:
    """The tool that takes the answer, for models that may not take tools and a schema for it together.

    Attributes:
        name: Its name, which no other tool has.
        schema: The type of the answer.
    """

    name: str
    schema: Mapping[str, Any]

    @classmethod
    def beside(cls, tools: Iterable[str], schema: Mapping[str, Any] | None) -> FinalAnswer:
        """Makes the tool; `schema` None stands for text."""
        taken = set(tools)
        names = chain(["final_answer"], (f"final_answer_{number}" for number in count(2)))
        return cls(next(name for name in names if name not in taken), schema or _TEXT)

    def as_tool(self) -> dict[str, Any]:
        """Returns the tool as it is offered."""
        description = "Give the final answer. Call this as soon as the job is done; it ends the job well."
        function = {
            "name": self.name,
            "description": description,
            "parameters": AnswerForm.of(self.schema).sent,
        }
        return {"type": "function", "function": function}


def when_done(final: FinalAnswer | None, *, as_json: bool) -> str:
    """Says how a model with tools ends its job."""
    if final is not None:
        return (
            f"As soon as the job is done, call {final.name} with the answer. "
            "Do not repeat what has succeeded, and do not give up a job that is done."
        )
    what = "the final answer as JSON" if as_json else "the final answer"
    return (
        f"As soon as the job is done, give {what} and call no more tools. "
        "Do not repeat what has succeeded, and do not give up a job that is done."
    )
