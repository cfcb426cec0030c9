"""Room in the budgets for one call of a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ...limits.budget import Budget
from ...limits.cost_bound import LONGEST_ANSWER, ModelFacts, RequestBound, most_input_tokens
from ...limits.usage import Usage
from ..model_protocol import ModelRequest

USEFUL_ANSWER: Final = 1024
"""Tokens of an answer that is worth waiting for: an answer that is cut off is paid, and of no use."""

SHORTEST_ANSWER: Final = 16
"""The least that providers take as the most tokens of an answer (OpenAI's `max_output_tokens`)."""

_PLEASE: Final = 300
"""Tokens of what a model is told that has to sum up."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What is known of a conversation whose last request was answered.

    Attributes:
        messages: How many messages that request had.
        tokens: To how many tokens they, and the tools, came at most.
    """

    messages: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Appraisal:
    """What one request may come to, however long its answer is.

    Attributes:
        input_tokens: The most tokens that are sent.
        longest: The longest answer of any of its models, or that the agent allows.
        facts: What is known of the models.
        is_told: Whether the models have to be told how long their answer may be, as nobody knows it.
    """

    input_tokens: int
    longest: int
    facts: tuple[ModelFacts, ...]
    is_told: bool

    @classmethod
    def of(cls, request: ModelRequest, known: Mapping[str, ModelFacts], heard: Heard | None) -> Appraisal:
        """Appraises a request.

        Args:
            request: The request.
            known: What is known of models, by name.
            heard: What is known of the conversation; it counts where one model has it alone, as another one
                counts tokens otherwise.
        """
        facts = tuple(known.get(model, ModelFacts()) for model in request.models)
        lengths = [fact.longest_answer for fact in facts]
        longest = request.max_tokens or max(length or LONGEST_ANSWER for length in lengths)
        is_told = any(length is None for length in lengths) and request.max_tokens is None
        if request.hosted is not None:  # its host has counted
            return cls(request.hosted.input_tokens, longest, facts, is_told)
        if heard is None or len(request.models) > 1:
            heard = Heard(0, 0)
        messages = [_json(message) for message in request.messages[heard.messages :]]
        # What was offered has been counted with what was heard.
        tools = [] if heard.tokens else [_json(tool) for tool in request.tools]
        tools += [request.phrases] if request.phrases else []
        schema = [] if heard.tokens or request.output_schema is None else [request.output_schema] * 2
        tokens = heard.tokens + most_input_tokens(messages, [*tools, *schema])
        return cls(tokens, longest, facts, is_told)

    def bound(self, answer: int) -> RequestBound:
        """Returns what a request comes to whose answer has so many tokens."""
        return RequestBound(input_tokens=self.input_tokens, output_tokens=answer, usd=self._usd(answer))

    def after(self, bound: RequestBound) -> RequestBound:
        """Returns what one more request may come to that asks for a useful answer after another one."""
        sent = bound.input_tokens + bound.output_tokens + _PLEASE
        answer = min(self.longest, USEFUL_ANSWER)
        usd = max(facts.usd(sent, answer) for facts in self.facts)
        return RequestBound(input_tokens=sent, output_tokens=answer, usd=usd)

    def longest_within(self, left: Budget) -> int:
        """Returns how many tokens an answer may have so that the request keeps within what is left."""
        most = self.longest
        if left.tokens is not None:
            most = min(most, left.tokens - self.input_tokens)
        if left.usd is not None:
            for facts in self.facts:
                room = left.usd - facts.usd(self.input_tokens, 0)
                price = facts.output_usd or 0.0
                if room < 0:
                    return 0
                most = min(most, int(room / price)) if price else most
        return max(most, 0)

    def fair(self, left: Budget, *, others_wait: bool) -> int:
        """Returns how long an answer may be that leaves room for others.

        Half of what is left is for one call, so that calls side by side are not held up by the first one;
        where that is little, all of it is.

        Args:
            left: What is left of the budgets.
            others_wait: Whether calls are under way that will give something back.
        """
        useful = min(self.longest, USEFUL_ANSWER)
        half = self.longest_within(left.part(2, Usage()))
        if half >= useful or others_wait:
            return max(half, useful)
        return max(self.longest_within(left), useful)

    def _usd(self, answer: int) -> float:
        return max(facts.usd(self.input_tokens, answer) for facts in self.facts)


def usage_of(bound: RequestBound | None) -> Usage:
    """Returns one request as what may be spent."""
    return Usage(model_calls=1) if bound is None else Usage(model_calls=1, **bound.model_dump())


def _json(value: Any) -> dict[str, Any]:
    dumped: dict[str, Any] = value.model_dump(mode="json", exclude_defaults=True)
    return dumped
