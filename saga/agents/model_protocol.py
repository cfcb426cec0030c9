"""The contract of one model call: what the workflow asks, what the activity answers."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import Field

from ..limits.cost_bound import RequestBound
from ..limits.usage import CallUsage, _Frozen
from .hosted_body import HostedBody


class ToolCall(_Frozen):
    """One call of a tool that a model asked for.

    Attributes:
        id: The call's id; the tool's answer must carry it.
        name: The tool's name as it was offered to the model.
        arguments: The arguments by name; None when they are unusable.
        invalid: Why the arguments are unusable, in words for the model; None when they are fine.
        extras: What else the provider sent with the call, e.g. a signature; it goes back with it.
    """

    id: str
    name: str
    arguments: dict[str, Any] | None = None
    invalid: str | None = None
    extras: dict[str, Any] = Field(default_factory=dict)


class ChatMessage(_Frozen):
    """One message of a conversation.

    Attributes:
        role: Who speaks; ``tool`` is the answer to a tool call.
        content: The text.
        tool_calls: What the assistant asked for.
        tool_call_id: With role ``tool``: the id of the call this answers.
        extras: What else the provider sent with the message, e.g. its reasoning; it goes back with it.
        model: Whose the extras are; empty where there are none.
    """

    role: Literal["system", "user", "assistant", "tool"]
    content: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    extras: dict[str, Any] = Field(default_factory=dict)
    model: str = ""

    @property
    def size(self) -> int:
        """Its bytes; where it has no extras as many as before there were any, for tasks under way."""
        plain = self.model_dump_json(
            exclude={"extras": True, "model": True, "tool_calls": {"__all__": {"extras"}}}
        )
        extras = [self.extras, *(call.extras for call in self.tool_calls)]
        return len(plain.encode()) + sum(len(json.dumps(part)) for part in extras if part)


class ToolSchema(_Frozen):
    """A tool as it is offered to a model.

    Attributes:
        name: A name every provider takes.
        description: What the tool does.
        parameters: JSON Schema of its arguments, an object.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    description: str
    parameters: dict[str, Any]


GIVE_UP = ToolSchema(
    name="give_up",
    description="Say that the job cannot be done, and why. Everything done for it will be undone.",
    parameters={
        "type": "object",
        "properties": {"reason": {"type": "string"}},
        "required": ["reason"],
        "additionalProperties": False,
    },
)
"""The way out that was offered to every agent with tools before `ABANDON`."""

ABANDON = GIVE_UP.model_copy(
    update={
        "name": "abandon_and_undo_everything",
        "description": (
            "Only for a job that cannot be done at all: undoes everything that was done for it, and ends it "
            "as failed. Never call this when the job is done."
        ),
    }
)
"""Offered to every agent that has tools: an honest way out.

Its name says what it does: small models that have done their job call anything that sounds like an end.
"""

ASK_PERSON = ToolSchema(
    name="ask_person",
    description=(
        "Asks a person for what you have to know and cannot find out by yourself, and returns the answer, "
        "which may take long. Ask rather than guess."
    ),
    parameters={
        "type": "object",
        "properties": {
            "question": {
                "type": "string",
                "description": "One question, with all that is needed to answer it.",
            },
            "choices": {
                "type": "array",
                "items": {"type": "string"},
                "description": "The possible answers, where there are only some.",
            },
        },
        "required": ["question"],
        "additionalProperties": False,
    },
)
"""Offered to agents that may ask people."""

TRANSFER_TO = "transfer_to_"
"""How the tools begin with which an agent hands its conversation over."""

HANDED_OVER = "has handed this conversation over to you"
"""What the one who takes over is told, after who it was."""

WAYS_OUT = frozenset({GIVE_UP.name, ABANDON.name})
"""Whichever of these a model calls, it gives up."""


class ModelRequest(_Frozen):
    """One request to a model, or to the first of several that answers.

    Attributes:
        agent: Who asks, for messages and logs.
        models: litellm model names, tried in this order.
        messages: The conversation so far.
        tools: The tools the model may call.
        output_schema: JSON Schema the answer must satisfy; None for plain text.
        output_name: A name for the schema, where a provider wants one.
        temperature: Passed on where the model takes one.
        max_tokens: The most tokens of one answer; None leaves that to the provider.
        seed: Passed on where the model takes one.
        timeout: Seconds for one request to one provider; None leaves it to the activity's timeout.
        pool: What limits of the pool read of the task, see `Snapshot.pool`.
        most: What the call may come to, which is as much as one request may: who has used that up asks for
            more; None where no budget needs it.
        phrases: Of an embedding model: what the only message is compared with, by the name of what it stands
            for. The answer is then the greatest cosine similarity to the phrases of each name.
        counts_load: Whether the pool counts it as a call of the agent that is under way.
        hosted: Of a process agent, which body is sent as it is to the only model; there are no messages then,
            and the answer's output is the whole answer as its dialect writes it.
    """

    agent: str
    models: tuple[str, ...] = Field(min_length=1)
    messages: tuple[ChatMessage, ...]
    tools: tuple[ToolSchema, ...] = ()
    output_schema: dict[str, Any] | None = None
    output_name: str = "answer"
    temperature: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    timeout: float | None = Field(default=None, gt=0)
    pool: dict[str, Any] | None = None
    most: RequestBound | None = None
    phrases: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    counts_load: bool = False
    hosted: HostedBody | None = None


class ModelReply(_Frozen):
    """The answer of the model that gave one.

    Attributes:
        model: The model that answered, one of the request's `models`.
        content: The text as the model wrote it.
        tool_calls: What it asks for; then it has not answered yet.
        output: The answer itself: the parsed value under an output schema, else the text.
        invalid: Why the answer is unusable, in words for the model; None when it is fine.
        usage: What the call consumed, failed requests and earlier attempts included.
        extras: What else the provider sent with the message.
    """

    model: str
    content: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    output: Any = None
    invalid: str | None = None
    usage: CallUsage
    extras: dict[str, Any] = Field(default_factory=dict)


class ModelSpending(_Frozen):
    """What the requests of one call have cost so far: travels in heartbeats, and with the last failure.

    Attributes:
        spent: Requests, and the tokens of those that were answered.
        refused: The models that will not answer this request, however often they are asked.
        open: Whether a request has left of which nobody knows yet what it has cost.
    """

    spent: CallUsage = CallUsage(model_calls=0, input_tokens=0, output_tokens=0, usd=0.0)
    refused: tuple[str, ...] = ()
    open: bool = False
