"""The contract of one model call: what the workflow asks, what the activity answers."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from ..limits.usage import CallUsage, _Frozen


class ToolCall(_Frozen):
    """One call of a tool that a model asked for.

    Attributes:
        id: The call's id; the tool's answer must carry it.
        name: The tool's name as it was offered to the model.
        arguments: The arguments by name; None when they are unusable.
        invalid: Why the arguments are unusable, in words for the model; None when they are fine.
    """

    id: str
    name: str
    arguments: dict[str, Any] | None = None
    invalid: str | None = None


class ChatMessage(_Frozen):
    """One message of a conversation.

    Attributes:
        role: Who speaks; ``tool`` is the answer to a tool call.
        content: The text.
        tool_calls: What the assistant asked for.
        tool_call_id: With role ``tool``: the id of the call this answers.
    """

    role: Literal["system", "user", "assistant", "tool"]
    content: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None


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
"""Offered to every agent that has tools: an honest way out."""


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
        timeout: Seconds for one request to one provider; None leaves it to the activity's timeout.
    """

    agent: str
    models: tuple[str, ...] = Field(min_length=1)
    messages: tuple[ChatMessage, ...]
    tools: tuple[ToolSchema, ...] = ()
    output_schema: dict[str, Any] | None = None
    output_name: str = "answer"
    temperature: float | None = None
    timeout: float | None = Field(default=None, gt=0)


class ModelReply(_Frozen):
    """The answer of the model that gave one.

    Attributes:
        model: The model that answered, one of the request's `models`.
        content: The text as the model wrote it.
        tool_calls: What it asks for; then it has not answered yet.
        output: The answer itself: the parsed value under an output schema, else the text.
        invalid: Why the answer is unusable, in words for the model; None when it is fine.
        usage: What the call consumed.
    """

    model: str
    content: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    output: Any = None
    invalid: str | None = None
    usage: CallUsage
