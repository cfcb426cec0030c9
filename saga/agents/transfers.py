"""The tools with which an agent hands its conversation over."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Sequence
from itertools import chain, count
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from ..spec.json_schema import check_input, in_short
from ..spec.teams.handoff import SUMMARY
from .model_protocol import TRANSFER_TO, ChatMessage, ToolCall, ToolSchema
from .tool_answer import ToolAnswer, refusal

_LONGEST_NAME: Final = 64


class Transfer(BaseModel):
    """One handoff that a model has asked for.

    Attributes:
        to: Who takes over, as the conversation calls it.
        arguments: The metadata; JSON.
        summary: What was said before, where the one who takes over is to see no more; empty otherwise.
    """

    model_config = ConfigDict(frozen=True)

    to: str
    arguments: dict[str, Any] = {}
    summary: str = ""


class TransferTool(BaseModel):
    """One agent to whom the conversation may be handed over.

    Attributes:
        to: Who that is, as the conversation calls it.
        description: When to hand over.
        parameters: JSON Schema of the arguments.
        sums_up: Whether the model is asked for a summary.
    """

    model_config = ConfigDict(frozen=True)

    to: str
    description: str
    parameters: dict[str, Any]
    sums_up: bool = False

    @property
    def name(self) -> str:
        """What the model calls it, where no other is called so: letters beyond ASCII are not told apart."""
        return re.sub(r"[^A-Za-z0-9_-]", "_", f"{TRANSFER_TO}{self.to}")[:_LONGEST_NAME]


class Transfers:
    """Where an agent may hand its conversation over to.

    Attributes:
        tools: To whom.
        names: What the model calls them.
        made: The handoff that it has asked for; None while it has asked for none.
    """

    def __init__(self, tools: Iterable[TransferTool]) -> None:
        """Offers handoffs to an agent."""
        self.tools = tuple(tools)
        self.made: Transfer | None = None
        self._named: dict[str, TransferTool] = {}
        for tool in self.tools:
            numbered = (f"{tool.name[: _LONGEST_NAME - 4]}_{number}" for number in count(2))
            name = next(name for name in chain((tool.name,), numbered) if name not in self._named)
            self._named[name] = tool
        self.names = frozenset(self._named)

    def offered(self) -> list[ToolSchema]:
        """Returns what the model is shown of them."""
        return [
            ToolSchema(name=name, description=tool.description, parameters=tool.parameters)
            for name, tool in self._named.items()
        ]

    def use(self, wanted: Sequence[ToolCall]) -> list[ToolAnswer]:
        """Takes the handoffs that a model has asked for in one turn: the first one counts.

        Args:
            wanted: What it asks for; at least one.

        Returns:
            One answer for each, in order.
        """
        first, *others = wanted
        answer = self._take(first)
        told = f"not done: of several handoffs in one turn only the first counts, and that was {first.name}"
        return [answer, *(ToolAnswer(json.dumps({"ignored": told})) for _ in others)]

    def _take(self, wanted: ToolCall) -> ToolAnswer:
        tool = self._named[wanted.name]
        if wanted.arguments is None:
            return refusal(wanted.invalid or "the arguments are not a JSON object")
        faults = check_input(tool.parameters, wanted.arguments)
        if faults:
            return refusal(in_short(faults))
        arguments = dict(wanted.arguments)
        summary = arguments.pop(SUMMARY) if tool.sums_up else ""
        self.made = Transfer(to=tool.to, arguments=arguments, summary=summary)
        return ToolAnswer(json.dumps({"handed_over_to": tool.to}))


def without_transfers(messages: Sequence[ChatMessage], names: Collection[str]) -> list[ChatMessage]:
    """Returns what was said without the handoffs themselves, which the next one has no tools for.

    Args:
        messages: What was said; the answers to the tool calls of a message follow it, in their order.
        names: What the models call the handoffs.
    """
    kept: list[ChatMessage] = []
    at = 0
    while at < len(messages):
        message = messages[at]
        answers = messages[at + 1 : at + 1 + len(message.tool_calls)]
        at += 1 + len(answers)
        if all(call.name not in names for call in message.tool_calls):
            kept += [message, *answers]
            continue
        pairs = [pair for pair in zip(message.tool_calls, answers, strict=True) if pair[0].name not in names]
        if pairs or message.content:
            calls = tuple(call for call, _ in pairs)
            kept.append(message.model_copy(update={"tool_calls": calls, "extras": {}, "model": ""}))
        kept += [answer for _, answer in pairs]
    return kept


def last_messages(messages: Sequence[ChatMessage], count: int) -> Sequence[ChatMessage]:
    """Returns the last messages, and so many more that no answer of a tool stands without its call."""
    start = max(0, len(messages) - count)
    while start > 0 and messages[start].role == "tool":
        start -= 1
    return messages[start:]
