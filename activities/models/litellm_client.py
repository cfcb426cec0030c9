"""Asks a language model: one request, one answer, and what it cost.

This is the only module that imports litellm. The import takes seconds, so only workers that need this module
load it. The activity itself is in `call_model.py`.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import os
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from ...saga.agents.model_protocol import ChatMessage, ModelReply, ModelRequest, ToolSchema
from ...saga.limits.cost_bound import LONGEST_ANSWER, most_input_tokens
from ...saga.limits.unpriced import IGNORED, UnpricedModels
from ...saga.limits.usage import CallUsage
from .answer_schema import response_format
from .final_answer import FinalAnswer, when_done
from .hosted.dialect_client import DialectClient
from .model_answer import read_answer, refusal_of, that_travels
from .model_chain import PaidAnswer, PreparedRequest, ask_in_turn
from .model_failure import ModelFailure
from .openai_messages import is_openai, wire_messages, wire_name, wire_tool, with_word
from .price_list import PriceList
from .raw_answer import RawAnswer, are_parts, token_count
from .request_gate import RequestGate
from .similarity import PhraseVectors, unit_vectors
from .stand_in_call import stand_in_message

# litellm reads this when it is imported; without it, litellm fetches its price list from the network.
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")

import litellm
from litellm.llms.custom_llm import CustomLLM
from litellm.types.utils import LlmProviders
from litellm.utils import ProviderConfigManager

STAND_IN_MODEL = "stand-in/echo"

prices = PriceList(litellm)
"""What models cost."""

dialects = DialectClient(litellm, prices)
"""Sends what others have written."""

_PHRASES = PhraseVectors()

litellm.suppress_debug_info = True
litellm.redact_messages_in_exceptions = True
litellm.disable_hf_tokenizer_download = True
vars(litellm)["DEFAULT_MAX_RETRIES"] = 0  # for embeddings it takes max_retries=0 for none said
logging.getLogger("LiteLLM").setLevel(logging.CRITICAL)
# litellm logs every address at INFO, and the addresses of some providers hold the key.
logging.getLogger("httpx").setLevel(logging.WARNING)

# Providers with OpenAI's own API.
_OPENAI_LIKE = {"openai", "azure", "custom_openai", "hosted_vllm", "lm_studio", "llamafile", "litellm_proxy"}


class _StandIn(CustomLLM):
    """Serves the stand-in model to litellm, in process."""

    async def acompletion(self, *args: Any, **kwargs: Any) -> litellm.ModelResponse:
        message, sizes = stand_in_message(kwargs["messages"], kwargs["optional_params"])
        finish = "tool_calls" if "tool_calls" in message else "stop"
        return litellm.ModelResponse(
            model=kwargs["model"],
            choices=[{"message": message, "finish_reason": finish}],
            usage=litellm.Usage(prompt_tokens=sizes[0], completion_tokens=sizes[1], total_tokens=sum(sizes)),
        )


litellm.custom_provider_map.append({"provider": "stand-in", "custom_handler": _StandIn()})
litellm.register_model(
    {
        STAND_IN_MODEL: {
            "litellm_provider": "stand-in",
            "mode": "chat",
            "input_cost_per_token": 0,
            "output_cost_per_token": 0,
            "supports_function_calling": True,
            "supports_response_schema": True,
        }
    }
)


@cache
def warm_up() -> None:
    """Makes the model client load what it otherwise loads with its first calls, once in each process.

    This takes about a second and uses no network. It must not be called in a thread that runs an event loop,
    because it would block the loop, and with it the heartbeats of other calls.
    """
    schema = {"type": "object", "properties": {}}
    request = ModelRequest(
        agent="",
        models=(STAND_IN_MODEL,),
        messages=(ChatMessage(role="user", content="{}"),),
        tools=(ToolSchema(name="tool", description="", parameters=schema),),
        output_schema=schema,
    )
    asyncio.run(call_model(request.model_dump(mode="json")))
    importlib.import_module("openai.resources")


async def call_model(
    request: dict[str, Any], gate: RequestGate | None = None, unpriced: UnpricedModels = IGNORED
) -> dict[str, Any]:
    """Asks the first model of a request that answers, as `ask_in_turn` describes.

    Args:
        request: A `ModelRequest` as JSON, so that it passes any data converter.
        gate: Breakers and limits that the request meets; None for none.
        unpriced: How models without a known price are treated.

    Returns:
        A `ModelReply` as JSON. An answer that breaks the output schema is a reply too, with `invalid` set.

    Raises:
        ApplicationError: See `ask_in_turn`.
    """
    asked = ModelRequest.model_validate(request)
    bounded = gate is not None and gate.bounds_costs
    prepare = partial(_prepare, bounded=bounded, unpriced=unpriced)
    return that_travels(await ask_in_turn(asked, prepare, gate))


@dataclass(frozen=True, slots=True)
class _Question:
    """What is sent, and the tool by which the model may answer, or None."""

    arguments: dict[str, Any]
    final: FinalAnswer | None


def _prepare(
    model: str, request: ModelRequest, *, bounded: bool, unpriced: UnpricedModels
) -> PreparedRequest | ModelFailure:
    if reason := prices.refusal(model, unpriced):
        return ModelFailure(model, reason)
    if request.phrases:
        return _prepare_comparison(model, request, unpriced)
    question = _question(model, request)
    most = CallUsage(model_calls=1, input_tokens=0, output_tokens=0)
    if bounded:
        most = _most(model, question, unpriced)
    return PreparedRequest(most, partial(_ask, model, request, question, unpriced))


def _most(model: str, question: _Question, unpriced: UnpricedModels) -> CallUsage:
    """Returns what a request may cost at most; a model of which nobody knows a limit is given one."""
    sent = question.arguments
    longest = sent.get("max_tokens") or prices.listed(model).get("max_output_tokens")
    if longest is None:
        longest = sent["max_tokens"] = LONGEST_ANSWER
    schema = sent.get("response_format")
    asked = most_input_tokens(sent["messages"], [*sent.get("tools", ()), *([schema] if schema else ())])
    usd = prices.of_tokens_or_assumed(model, asked, longest, unpriced)
    return CallUsage(model_calls=1, input_tokens=asked, output_tokens=longest, usd=usd)


def _prepare_comparison(model: str, request: ModelRequest, unpriced: UnpricedModels) -> PreparedRequest:
    """Prepares to compare a text with phrases; those whose vectors are known are not sent again."""
    text = request.messages[-1].content or ""
    phrases = _PHRASES.missing(model, (one for some in request.phrases.values() for one in some))
    tokens = most_input_tokens([{"content": one} for one in (text, *phrases)], ())
    usd = prices.of_tokens_or_assumed(model, tokens, 0, unpriced)
    most = CallUsage(model_calls=1, input_tokens=tokens, output_tokens=0, usd=usd)
    return PreparedRequest(most, partial(_compare, model, request, text, phrases, unpriced))


async def _compare(
    model: str, request: ModelRequest, text: str, phrases: list[str], unpriced: UnpricedModels
) -> PaidAnswer | ModelFailure:
    """Asks an embedding model for the vectors of a text, and of phrases that nobody has asked for yet."""
    sent = [text, *phrases]
    try:
        async with asyncio.timeout(request.timeout):
            response = await litellm.aembedding(
                model=model, input=sent, max_retries=0, timeout=request.timeout, encoding_format="float"
            )
    except TimeoutError:
        reason = f"no answer within {request.timeout} s"
        return ModelFailure(model, reason, 408, retryable=True, may_have_cost=True)
    except Exception as error:
        return ModelFailure.of(model, error)
    used = token_count(getattr(response.usage, "prompt_tokens", None)) or _estimated(model, "\n".join(sent))
    usd = prices.of_tokens_or_assumed(model, used, 0, unpriced)
    usage = CallUsage(model_calls=1, input_tokens=used, output_tokens=0, usd=usd)
    vectors = unit_vectors(response.data, len(sent))
    if vectors is not None:
        _PHRASES.keep(model, phrases, vectors[1:])
    scores = None if vectors is None else _PHRASES.scores(model, vectors[0], request.phrases)
    if scores is None:
        return ModelFailure(model, "an answer without a vector for each text", usage=usage)
    return PaidAnswer(usage, lambda: ModelReply(model=model, output=scores, usage=usage))


async def _ask(
    model: str, request: ModelRequest, question: _Question, unpriced: UnpricedModels
) -> PaidAnswer | ModelFailure:
    """Sends one request to one model."""
    raw = RawAnswer()
    try:
        # litellm's timeout is for each read, so a provider that sends very slowly would never reach it.
        async with asyncio.timeout(request.timeout):
            response = await litellm.acompletion(**question.arguments, logger_fn=raw.hear)
    except TimeoutError:
        reason = (
            f"no answer within {request.timeout} s; if the model was still writing, a smaller max_tokens "
            "or a longer timeout of the agent lets it end"
        )
        return ModelFailure(model, reason, 408, retryable=True, may_have_cost=True)
    except Exception as error:
        if not raw.has_answer:
            return ModelFailure.of(model, error)
        # The provider has answered, and is paid; the client could not read it.
        response = litellm.ModelResponse(**raw.mended(model))
    usage = _usage(model, request, response)
    if usage.usd is None:
        usage = usage.model_copy(update={"usd": unpriced.price(usage.input_tokens + usage.output_tokens)})
    if raw.has_no_choice or not response.choices:
        # Another model may be asked; this one is not paid again.
        retryable = not raw.states_tokens
        return ModelFailure(model, "an answer without choices", retryable=retryable, usage=usage)
    choice = response.choices[0]
    if refused := refusal_of(choice):
        return ModelFailure(model, refused, usage=usage)
    try:
        message = choice.message.model_dump(mode="json", warnings=False)
    except ValueError:  # something beside its text is nested too deeply, and it is paid for
        message = raw.mended(model)["choices"][0]["message"]
    reason = raw.break_off or str(choice.finish_reason)
    read = partial(read_answer, model, request, message, reason, question.final)
    return PaidAnswer(usage, read)


def _question(model: str, request: ModelRequest) -> _Question:
    messages = wire_messages(request.messages, partial(_extras_for, model))
    # drop_params is set for each call: if it is set globally, litellm answers a 422 with a second request.
    arguments: dict[str, Any] = {
        "model": model,
        "max_retries": 0,
        "num_retries": 0,
        "drop_params": True,
    }
    for name in ("timeout", "temperature", "max_tokens"):
        if (value := getattr(request, name)) is not None:
            arguments[name] = value
    if request.seed is not None and "seed" in (litellm.get_supported_openai_params(model) or ()):
        arguments["seed"] = request.seed
    if request.most is not None and request.max_tokens is not None:
        # It counts for all models of the chain, and each takes no more than its own longest answer.
        longest = prices.listed(model).get("max_output_tokens") or request.max_tokens
        arguments["max_tokens"] = min(request.max_tokens, longest)
    schema, with_tools = request.output_schema, bool(request.tools)
    takes_schema = _takes_schema(model, with_tools=with_tools)
    final: FinalAnswer | None = None
    if with_tools:
        if not takes_schema:
            final = FinalAnswer.beside((tool.name for tool in request.tools), schema)
        offered = [wire_tool(tool) for tool in request.tools]
        arguments["tools"] = offered if final is None else [*offered, final.as_tool()]
        messages = with_word(messages, when_done(final, as_json=schema is not None))
    if schema is not None and takes_schema:
        name = wire_name(request.output_name, "answer")
        arguments["response_format"] = response_format(name, schema, strict=_provider(model) in _OPENAI_LIKE)
    elif schema is not None and final is None:
        text = f"Give the final answer as JSON, and nothing else, for this JSON Schema:\n{json.dumps(schema)}"
        messages = with_word(messages, text)
    return _Question({**arguments, "messages": messages}, final)


def _extras_for(model: str, author: str, extras: dict[str, Any]) -> dict[str, Any]:
    """Returns what goes back to a model of what came with a message of `author`, as its provider takes it."""
    provider = _provider(model)
    if _provider(author) != provider:
        return {}
    if not _takes_messages_as_they_are(model, provider):
        return extras
    # Fields of the provider's own then stand where it has put them.
    specific = extras.get("provider_specific_fields") or {}
    return {**specific, **{key: value for key, value in extras.items() if key != "provider_specific_fields"}}


def _takes_messages_as_they_are(model: str, provider: str) -> bool:
    """Whether litellm sends messages to a provider unchanged, because it speaks OpenAI's dialect."""
    if provider in _OPENAI_LIKE:
        return True
    try:
        config = ProviderConfigManager.get_provider_chat_config(model, LlmProviders(provider))
    except ValueError:
        return False
    return isinstance(config, litellm.OpenAIGPTConfig)


def _provider(model: str) -> str:
    try:
        return str(litellm.get_llm_provider(model)[1])
    except Exception:
        return ""


def _takes_schema(model: str, *, with_tools: bool) -> bool:
    """Returns whether a model takes `response_format`; some refuse it together with tools."""
    provider = _provider(model)
    if provider not in _OPENAI_LIKE:
        return model == STAND_IN_MODEL or (not with_tools and litellm.supports_response_schema(model))
    if model in litellm.model_cost or model.removeprefix("openai/") in litellm.model_cost:
        return bool(litellm.supports_response_schema(model))
    # Of a server that only speaks like OpenAI's nobody knows whether it holds both together.
    return not with_tools or provider == "azure" or (provider == "openai" and is_openai(_address()))


def _address() -> str | None:
    return litellm.api_base or os.environ.get("OPENAI_BASE_URL") or os.environ.get("OPENAI_API_BASE")


def _usage(model: str, request: ModelRequest, response: litellm.ModelResponse) -> CallUsage:
    """Returns what one answer has cost; what the provider does not say, or says badly, is estimated."""
    stated = getattr(response, "usage", None)
    used = [token_count(getattr(stated, name, None)) for name in ("prompt_tokens", "completion_tokens")]
    if not used[0]:
        used[0] = _estimated(model, json.dumps(wire_messages(request.messages)))
    if not used[1] and response.choices:
        message = response.choices[0].message
        said = [str(message.content or ""), *(str(call) for call in message.tool_calls or ())]
        used[1] = _estimated(model, "".join(said))
    usage = stated or litellm.Usage()
    details = (usage.prompt_tokens_details, used[0]), (usage.completion_tokens_details, used[1])
    if not all(are_parts(parts, whole) for parts, whole in details):
        usage = litellm.Usage()  # what of it was cached, or thought, cannot be, and would have its own price
    usage.prompt_tokens, usage.completion_tokens, usage.total_tokens = *used, sum(used)
    response.usage = usage
    usd = prices.of_response(model, response)
    return CallUsage(model_calls=1, input_tokens=used[0], output_tokens=used[1], usd=usd)


def _estimated(model: str, text: str) -> int:
    try:
        return int(litellm.token_counter(model=model, text=text))
    except Exception:
        return len(text) // 4
