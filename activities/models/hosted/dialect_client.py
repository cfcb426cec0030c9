"""Asks models with requests that somebody else has written, in the dialect in which they are written."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from functools import partial
from types import ModuleType
from typing import Any

import httpx

from ....saga.agents.hosted_body import Dialect
from ....saga.agents.model_protocol import ModelReply, ModelRequest
from ....saga.limits.cost_bound import LONGEST_ANSWER
from ....saga.limits.unpriced import UnpricedModels
from ....saga.limits.usage import CallUsage
from ..model_answer import scrubbed
from ..model_chain import PaidAnswer, PreparedRequest
from ..model_failure import ModelFailure
from ..price_list import PriceList
from ..raw_answer import RawAnswer, first_count, token_count
from .body_fields import BETAS, split
from .dialects import bounded
from .hosted_bodies import HostedBodies, ProviderRefusal

logger = logging.getLogger("counterstep.gateway")

_SENT = ("input_tokens", "prompt_tokens")
_CACHED = ("cache_creation_input_tokens", "cache_read_input_tokens")
_ANSWERED = ("output_tokens", "completion_tokens")


class DialectClient:
    """Sends bodies as they are; what an answer costs is counted as for every other request."""

    def __init__(self, client: ModuleType, prices: PriceList) -> None:
        """Prepares to ask.

        Args:
            client: The module of the model client; this one does not load it.
            prices: What models cost.
        """
        self._client = client
        self._prices = prices

    def prepare(
        self, model: str, request: ModelRequest, bodies: HostedBodies, unpriced: UnpricedModels
    ) -> PreparedRequest | ModelFailure:
        """Prepares a request whose body is with its host; see `Prepare`."""
        assert request.hosted is not None
        key = request.hosted.key
        if reason := self._prices.refusal(model, unpriced):
            bodies.refuse(key, ProviderRefusal(403, reason))
            return ModelFailure(model, reason)
        dialect, body = bodies.body(key)
        longest = request.max_tokens or self._prices.listed(model).get("max_output_tokens") or LONGEST_ANSWER
        if request.most is not None:
            body = bounded(dialect, body, longest)
        sent = request.hosted.input_tokens
        usd = self._prices.of_tokens_or_assumed(model, sent, longest, unpriced)
        most = CallUsage(model_calls=1, input_tokens=sent, output_tokens=longest, usd=usd)
        return PreparedRequest(most, partial(self._ask, model, request, dialect, body, bodies, unpriced))

    async def _ask(
        self,
        model: str,
        request: ModelRequest,
        dialect: Dialect,
        body: Mapping[str, Any],
        bodies: HostedBodies,
        unpriced: UnpricedModels,
    ) -> PaidAnswer | ModelFailure:
        assert request.hosted is not None
        key, raw = request.hosted.key, RawAnswer()
        try:
            async with asyncio.timeout(request.timeout):
                response = await self._send(model, dialect, body, request.timeout, raw)
        except TimeoutError:
            reason = f"no answer within {request.timeout} s"
            bodies.refuse(key, ProviderRefusal(None, reason))
            return ModelFailure(model, reason, 408, retryable=True, may_have_cost=True)
        except Exception as error:
            if not raw.has_answer:
                failure = ModelFailure.of(model, error)
                if failure.retryable and not raw.has_heard and _is_of_the_request(error):
                    # It was never sent; as an outage of the provider it would be tried again, for all tasks.
                    failure = ModelFailure(model, f"the request cannot be written: {failure.reason}", 400)
                bodies.refuse(key, ProviderRefusal(failure.status, failure.told))
                return failure
            # The provider has answered, and is paid; the client could not read it.
            response = self._client.ModelResponse(**raw.mended(model))
            if dialect != "chat":
                return self._unreadable(model, request, response, unpriced)
        try:
            answer = _as_json(response)
        except (ValueError, RecursionError):  # nested too deeply
            return self._unreadable(model, request, response, unpriced)
        usage = self._usage(model, request, response, answer, unpriced)
        bodies.keep(key, answer)
        return PaidAnswer(usage, lambda: ModelReply(model=model, output=answer, usage=usage))

    def _unreadable(
        self, model: str, request: ModelRequest, response: Any, unpriced: UnpricedModels
    ) -> PaidAnswer:
        """Returns what is paid for, and cannot be told to the process."""
        stated = response.get("usage") if isinstance(response, Mapping) else response.usage
        stated = stated if isinstance(stated, Mapping | None) else stated.model_dump()
        usage = self._usage(model, request, response, {"usage": stated}, unpriced)
        invalid = f"{model} has answered with what cannot be read; it is paid for, and not asked again"
        return PaidAnswer(usage, lambda: ModelReply(model=model, invalid=invalid, usage=usage))

    async def _send(
        self,
        model: str,
        dialect: Dialect,
        body: Mapping[str, Any],
        timeout: float | None,
        raw: RawAnswer,
    ) -> Any:
        said, others = split(dialect, body)
        said |= {"model": model, "timeout": timeout, "logger_fn": raw.hear}
        is_like_openai = self._is_like_openai(model)
        if others and is_like_openai and dialect != "messages":
            said["extra_body"], others = others, {}
        if others:
            logger.warning("%s is not told the fields %s", model, ", ".join(sorted(others)))
        if dialect == "messages":
            if body.get(BETAS) and not is_like_openai:
                said["extra_headers"] = {"anthropic-beta": ",".join(body[BETAS])}
            return await self._client.anthropic.messages.acreate(**said)
        said["drop_params"] = True  # of what a provider does not know at all the client would make an error
        if dialect == "responses":
            return await self._client.aresponses(**said)
        return await self._client.acompletion(**said, max_retries=0, num_retries=0)

    def _is_like_openai(self, model: str) -> bool:
        """Says whether the provider of a model takes further fields as OpenAI does, beside the known ones."""
        try:
            provider = self._client.get_llm_provider(model)[1]
        except Exception:
            return False
        return provider in ("openai", "azure", *self._client.openai_compatible_providers)

    def _usage(
        self,
        model: str,
        request: ModelRequest,
        response: Any,
        answer: Mapping[str, Any],
        unpriced: UnpricedModels,
    ) -> CallUsage:
        """Returns what an answer has cost; what the provider does not say is estimated."""
        assert request.hosted is not None
        stated = answer.get("usage")
        stated = stated if isinstance(stated, Mapping) else {}
        sent = first_count(stated, _SENT)
        if request.hosted.dialect == "messages":  # the other dialects count them among those that are sent
            sent += sum(token_count(stated.get(name)) for name in _CACHED)
        sent = sent or request.hosted.input_tokens // 4
        written = first_count(stated, _ANSWERED) or len(json.dumps(answer)) // 4
        usd = self._prices.of_response(model, response)
        if usd is None:
            usd = self._prices.of_tokens_or_assumed(model, sent, written, unpriced)
        return CallUsage(model_calls=1, input_tokens=sent, output_tokens=written, usd=usd)


def _is_of_the_request(error: BaseException | None) -> bool:
    """Says whether the model client could not make a request of a body at all."""
    chain = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__ or error.__context__
    kinds = AttributeError | LookupError | TypeError | ValueError
    is_answer = any(isinstance(link, json.JSONDecodeError | httpx.HTTPError | OSError) for link in chain)
    return not is_answer and isinstance(chain[-1], kinds)


def _as_json(response: Any) -> dict[str, Any]:
    """Returns the whole answer; what is not there the clients read as null."""
    if isinstance(response, Mapping):
        return dict(scrubbed(json.loads(json.dumps(response, default=str))))
    dumped = response.model_dump(mode="json", exclude_none=True, warnings=False)
    for choice in dumped.get("choices", ()):
        choice.get("message", {}).setdefault("content", None)
    return dict(scrubbed(dumped))
