"""A request to a model whose body stays with the host of a process agent."""

from __future__ import annotations

from typing import Literal

from ..limits.usage import _Frozen

Dialect = Literal["chat", "responses", "messages"]
"""How a request to a model is written: OpenAI's chat completions or responses, or Anthropic's messages."""


class HostedBody(_Frozen):
    """Where the body of a request is, and how it is written.

    Attributes:
        key: By which the host knows it.
        dialect: How it is written.
        input_tokens: To how many tokens what is sent comes at most.
    """

    key: str
    dialect: Dialect
    input_tokens: int = 0
