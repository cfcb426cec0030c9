"""What one request to a model may cost at most, known before it is sent."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

LONGEST_ANSWER = 4096
"""Tokens of the longest answer of a model of which nobody knows more; then it is told so as well."""

TOKENS_OF_A_MESSAGE = 16
"""What providers put around each message; OpenAI's own count is 3 or 4."""

TOKENS_AROUND = 800
"""What is put around a conversation: providers tell their models about tools in general (with Anthropic's up
to 530 tokens), and the client says how an answer is to be given."""


class ModelFacts(BaseModel):
    """What is known of a model before it is asked.

    Attributes:
        input_usd: US dollars of a token that is sent; None where no price is known.
        output_usd: US dollars of a token of the answer, likewise.
        longest_answer: The most tokens of one answer; None where nobody knows.
    """

    model_config = ConfigDict(frozen=True)

    input_usd: float | None = Field(default=None, ge=0)
    output_usd: float | None = Field(default=None, ge=0)
    longest_answer: int | None = Field(default=None, ge=1)

    def usd(self, input_tokens: int, output_tokens: int) -> float:
        """Returns what so many tokens cost; 0 where no price is known."""
        return input_tokens * (self.input_usd or 0.0) + output_tokens * (self.output_usd or 0.0)


class RequestBound(BaseModel):
    """The most that one request may come to.

    Attributes:
        input_tokens: Tokens that are sent.
        output_tokens: Tokens of the answer.
        usd: US dollars, at the prices that are known.
    """

    model_config = ConfigDict(frozen=True)

    input_tokens: int = Field(ge=0)
    output_tokens: int = Field(ge=0)
    usd: float = Field(default=0.0, ge=0)


def most_input_tokens(messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]) -> int:
    """Returns more tokens than a request can come to.

    A token of a byte-level tokenizer is at least one byte of UTF-8 (Sennrich et al. 2016, and its form over
    bytes in Radford et al. 2019, section 2.2), so the bytes of the text are a bound for every model.

    Args:
        messages: The conversation, JSON.
        tools: The tools that are offered, and the schema of the answer if there is one, JSON.
    """
    said = sum(_size(message) + TOKENS_OF_A_MESSAGE for message in messages)
    offered = sum(_size(tool) for tool in tools)
    return said + offered + TOKENS_AROUND


def _size(value: Mapping[str, Any]) -> int:
    return len(json.dumps(value, ensure_ascii=False).encode())
