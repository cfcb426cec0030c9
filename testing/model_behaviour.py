"""What a `ModelServer` does with a request: an answer, or one of the ways in which providers misbehave."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

__all__ = ["Behaviour", "ScriptedCall", "call"]


@dataclass(frozen=True, slots=True)
class ScriptedCall:
    """One tool call in an answer.

    Attributes:
        name: The tool's name as it was offered.
        arguments: The arguments as the model wrote them: JSON text, or whatever a test puts there.
        id: The call's id; chosen by the server when empty.
    """

    name: str
    arguments: str
    id: str = ""


def call(name: str, /, **arguments: Any) -> ScriptedCall:
    """Returns a tool call whose arguments are the given JSON values."""
    return ScriptedCall(name, json.dumps(arguments))


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What the server does with one request; made by the class methods, refined by `with_`.

    Attributes:
        content: The text of the answer.
        tool_calls: The tool calls of the answer.
        usage: Input and output tokens the answer states; None leaves the usage out.
        finish_reason: Why the model stopped; derived from the answer when empty.
        delay: Seconds to wait before anything is sent.
        status: HTTP status; anything but 200 answers with `body`.
        headers: Extra response headers.
        body: The whole response body, sent as it is instead of an answer.
        drop: Close the connection without a response.
    """

    content: str | None = None
    tool_calls: tuple[ScriptedCall, ...] = ()
    usage: tuple[int, int] | None = (10, 5)
    finish_reason: str = ""
    delay: float = 0.0
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None
    drop: bool = False

    def with_(self, **changes: Any) -> Behaviour:
        """Returns a copy with some attributes changed, e.g. ``usage=(1000, 20)`` or ``delay=0.2``."""
        return replace(self, **changes)

    @classmethod
    def text(cls, content: str) -> Behaviour:
        """Answers with this text."""
        return cls(content=content)

    @classmethod
    def json(cls, value: Any) -> Behaviour:
        """Answers with this value as JSON text; a test may choose a value that breaks the schema."""
        return cls(content=json.dumps(value))

    @classmethod
    def calls(cls, *calls: ScriptedCall) -> Behaviour:
        """Answers with one tool call or several."""
        return cls(tool_calls=calls)

    @classmethod
    def message(
        cls, *, finish_reason: str = "", usage: Mapping[str, Any] | None = None, **fields: Any
    ) -> Behaviour:
        """Answers with a message of exactly these fields, reasoning and oddities included.

        Args:
            finish_reason: Why the model stopped; derived from the message when empty.
            usage: The usage as the answer states it, right or wrong.
            **fields: The fields of the message beside its role.
        """
        reason = finish_reason or ("tool_calls" if fields.get("tool_calls") else "stop")
        said = {"role": "assistant", "content": None, **fields}
        stated = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, **(usage or {})}
        choice = {"index": 0, "message": said, "finish_reason": reason}
        envelope = {"id": "chatcmpl-counterstep", "object": "chat.completion", "created": 0, "model": "model"}
        return cls(body=json.dumps({**envelope, "choices": [choice], "usage": stated}))

    @classmethod
    def error(
        cls, status: int, message: str = "scripted error", *, code: str = "error", retry_after: str = ""
    ) -> Behaviour:
        """Fails in the shape of an OpenAI error.

        Args:
            status: The HTTP status, e.g. 429, 500 or 503.
            message: The provider's reason.
            code: The provider's error code.
            retry_after: The value of the retry-after header (seconds or an HTTP date); none when empty.
        """
        body = json.dumps({"error": {"message": message, "type": code, "param": None, "code": code}})
        headers = {"retry-after": retry_after} if retry_after else {}
        return cls(status=status, body=body, headers=headers)

    @classmethod
    def refused_key(cls, key: str = "sk-test") -> Behaviour:
        """Refuses the API key, and quotes it as careless providers do."""
        return cls.error(401, f"Incorrect API key provided: {key}.", code="invalid_api_key")

    @classmethod
    def context_overflow(cls) -> Behaviour:
        """Refuses the conversation as too long."""
        message = "This model's maximum context length is 8192 tokens, your messages have 9000 tokens."
        return cls.error(400, message, code="context_length_exceeded")

    @classmethod
    def hang(cls, seconds: float) -> Behaviour:
        """Answers only after so many seconds."""
        return cls(content="late", delay=seconds)

    @classmethod
    def broken_json(cls) -> Behaviour:
        """Sends status 200 with a body cut off in the middle."""
        return cls(body='{"id": "x", "choices": [{"mess')

    @classmethod
    def empty_choices(cls) -> Behaviour:
        """Sends a well-formed answer without any choice in it."""
        return cls(body=json.dumps({"id": "x", "object": "chat.completion", "model": "x", "choices": []}))

    @classmethod
    def dropped(cls) -> Behaviour:
        """Closes the connection without a response."""
        return cls(drop=True)
