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
from urllib.parse import urlsplit

from ...saga.agents.model_protocol import ChatMessage, ModelRequest, ToolSchema
from ...saga.limits.usage import CallUsage
from .answer_schema import AnswerForm, strict_schema, tool_parameters
from .final_answer import FinalAnswer, when_done
from .model_answer import read_answer, that_travels
from .model_failure import ModelFailure, application_error
from .openai_messages import wire_messages, wire_name
from .raw_answer import RawAnswer
from .request_log import RequestLog
from .stand_in import stand_in_call_id, stand_in_reply

# litellm reads this when it is imported; without it, litellm fetches its price list from the network.
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")

import litellm
from litellm.llms.custom_llm import CustomLLM
from litellm.types.utils import LlmProviders
from litellm.utils import ProviderConfigManager

STAND_IN_MODEL = "stand-in/echo"

litellm.suppress_debug_info = True
litellm.redact_messages_in_exceptions = True
litellm.disable_hf_tokenizer_download = True
logging.getLogger("LiteLLM").setLevel(logging.CRITICAL)
# litellm logs every address at INFO, and the addresses of some providers hold the key.
logging.getLogger("httpx").setLevel(logging.WARNING)

# Providers with OpenAI's own API.
_OPENAI_LIKE = {"openai", "azure", "custom_openai", "hosted_vllm", "lm_studio", "llamafile", "litellm_proxy"}
_LONGEST_DESCRIPTION = 1024


class _StandIn(CustomLLM):
    """Serves the stand-in model to litellm, in process."""

    async def acompletion(self, *args: Any, **kwargs: Any) -> litellm.ModelResponse:
        asked: dict[str, Any] = kwargs["optional_params"]
        schema = (asked.get("response_format") or {}).get("json_schema", {}).get("schema")
        reply = stand_in_reply(kwargs["messages"], asked.get("tools") or (), schema)
        message: dict[str, Any] = {"role": "assistant", "content": reply.content}
        if reply.tool is not None:
            function = {"name": reply.tool, "arguments": json.dumps(reply.arguments)}
            call_id = stand_in_call_id(kwargs["messages"])
            message["tool_calls"] = [{"id": call_id, "type": "function", "function": function}]
        sizes = [len(json.dumps(part)) // 4 + 1 for part in (kwargs["messages"], message)]
        return litellm.ModelResponse(
            model=kwargs["model"],
            choices=[{"message": message, "finish_reason": "tool_calls" if reply.tool else "stop"}],
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


async def call_model(request: dict[str, Any]) -> dict[str, Any]:
    """Asks the first model of a request that answers.

    If a model fails for any reason, the next one is asked. Nothing is retried in here, because retries are
    Temporal's job. What was paid for is not asked again: an answer that is of no use is a reply too.

    Args:
        request: A `ModelRequest` as JSON, so that it passes any data converter.

    Returns:
        A `ModelReply` as JSON. An answer that breaks the output schema is a reply too, with `invalid` set.

    Raises:
        ApplicationError: Every model failed. `ModelUnavailable` is worth a retry, and `ModelRefused` is not.
            The details are a `ModelSpending`.
    """
    asked = ModelRequest.model_validate(request)
    log = RequestLog()
    failures: list[ModelFailure] = []
    for model in log.may_ask(asked.models) or asked.models:
        log.begin()
        outcome = await _ask(model, asked)
        if isinstance(outcome, ModelFailure):
            failures.append(outcome)
            log.failed(model, outcome.usage, for_good=not outcome.retryable)
            continue
        log.answered(_usage(model, asked, outcome.response))
        choice = outcome.response.choices[0]
        message = choice.message.model_dump(mode="json", warnings=False)
        reply = read_answer(model, asked, message, str(choice.finish_reason), outcome.question.final)
        return that_travels(reply.model_copy(update={"usage": log.spent}))
    raise application_error(failures, log.as_json())


@dataclass(frozen=True, slots=True)
class _Question:
    """What is sent, and the tool by which the model may answer, or None."""

    arguments: dict[str, Any]
    final: FinalAnswer | None


@dataclass(frozen=True, slots=True)
class _Answered:
    question: _Question
    response: litellm.ModelResponse


async def _ask(model: str, request: ModelRequest) -> _Answered | ModelFailure:
    """Sends one request to one model."""
    question, raw = _question(model, request), RawAnswer()
    try:
        # litellm's timeout is for each read, so a provider that sends very slowly would never reach it.
        async with asyncio.timeout(request.timeout):
            response = await litellm.acompletion(**question.arguments, logger_fn=raw.hear)
    except TimeoutError:
        reason = (
            f"no answer within {request.timeout} s; if the model was still writing, a smaller max_tokens "
            "or a longer timeout of the agent lets it end"
        )
        return ModelFailure(model, reason, 408, retryable=True)
    except Exception as error:
        if not raw.has_answer:
            return ModelFailure.of(model, error)
        # The provider has answered, and is paid; the client could not read it.
        response = litellm.ModelResponse(**raw.mended(model))
    if not response.choices:
        usage = _usage(model, request, response)
        return ModelFailure(model, "an answer without choices", retryable=True, usage=usage)
    choice = response.choices[0]
    fields = getattr(choice.message, "provider_specific_fields", None) or {}
    # Newer versions of litellm have it in a field of its own.
    refusal = fields.get("refusal") or getattr(choice.message, "refusal", None)
    if choice.finish_reason == "content_filter" or refusal:
        reason = f"refused by content policy: {refusal or 'no reason given'}"
        return ModelFailure(model, reason, usage=_usage(model, request, response))
    return _Answered(question, response)


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
    schema, with_tools = request.output_schema, bool(request.tools)
    takes_schema = _takes_schema(model, with_tools=with_tools)
    final: FinalAnswer | None = None
    if with_tools:
        if not takes_schema:
            final = FinalAnswer.beside((tool.name for tool in request.tools), schema)
        offered = [_tool(tool) for tool in request.tools]
        arguments["tools"] = offered if final is None else [*offered, final.as_tool()]
        messages = _with_word(messages, when_done(final, as_json=schema is not None))
    if schema is not None and takes_schema:
        arguments["response_format"] = _response_format(model, request.output_name, schema)
    elif schema is not None and final is None:
        text = f"Give the final answer as JSON, and nothing else, for this JSON Schema:\n{json.dumps(schema)}"
        messages = _with_word(messages, text)
    return _Question({**arguments, "messages": messages}, final)


def _tool(tool: ToolSchema) -> dict[str, Any]:
    function = {
        "name": tool.name,
        "description": tool.description[:_LONGEST_DESCRIPTION],
        "parameters": tool_parameters(tool.parameters),
    }
    return {"type": "function", "function": function}


def _with_word(messages: list[dict[str, Any]], text: str) -> list[dict[str, Any]]:
    """Adds to the first system message, because some providers take only one of them."""
    if not messages or messages[0]["role"] != "system":
        return [{"role": "system", "content": text}, *messages]
    return [{"role": "system", "content": f"{messages[0]['content']}\n\n{text}"}, *messages[1:]]


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
    return not with_tools or provider == "azure" or (provider == "openai" and _is_openai_itself())


def _is_openai_itself() -> bool:
    address = litellm.api_base or os.environ.get("OPENAI_BASE_URL") or os.environ.get("OPENAI_API_BASE")
    host = urlsplit(address).hostname if address else None
    return host is None or host == "openai.com" or host.endswith(".openai.com")


def _response_format(model: str, name: str, schema: dict[str, Any]) -> dict[str, Any]:
    sent = AnswerForm.of(schema).sent
    strict = strict_schema(sent) if _provider(model) in _OPENAI_LIKE else None
    described = {"name": wire_name(name, "answer"), "schema": strict or sent, "strict": strict is not None}
    return {"type": "json_schema", "json_schema": described}


def _usage(model: str, request: ModelRequest, response: litellm.ModelResponse) -> CallUsage:
    """Returns what one answer has cost; what the provider does not say, or says badly, is estimated."""
    stated = getattr(response, "usage", None)
    used = [_tokens(getattr(stated, name, None)) for name in ("prompt_tokens", "completion_tokens")]
    if not used[0]:
        used[0] = _estimated(model, json.dumps(wire_messages(request.messages)))
    if not used[1] and response.choices:
        message = response.choices[0].message
        said = [str(message.content or ""), *(str(call) for call in message.tool_calls or ())]
        used[1] = _estimated(model, "".join(said))
    usage = stated or litellm.Usage()
    usage.prompt_tokens, usage.completion_tokens, usage.total_tokens = *used, sum(used)
    response.usage = usage
    usd = _price(model, response)
    return CallUsage(model_calls=1, input_tokens=used[0], output_tokens=used[1], usd=usd)


def _tokens(stated: Any) -> int:
    return stated if isinstance(stated, int) and stated > 0 else 0


def _estimated(model: str, text: str) -> int:
    try:
        return int(litellm.token_counter(model=model, text=text))
    except Exception:
        return len(text) // 4


def _price(model: str, response: litellm.ModelResponse) -> float | None:
    """Returns what a response cost in US dollars, or None if the price is unknown."""
    try:
        usd = litellm.completion_cost(completion_response=response, model=model)
    except Exception:
        return None
    # litellm reports 0 for a model that is listed without a price, as it does for a free one.
    names = (model, model.partition("/")[2], response.model or "")
    free = any(litellm.model_cost.get(name, {}).get("input_cost_per_token") == 0 for name in names)
    return usd if usd > 0 or free else None
