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
from functools import cache
from typing import Any

from ...saga.agents.model_protocol import ChatMessage, ModelReply, ModelRequest, ToolCall, ToolSchema
from ...saga.limits.usage import CallUsage
from .model_failure import ModelFailure, application_error
from .openai_messages import wire_message
from .stand_in import stand_in_reply
from .structured_output import parse_answer, parse_json, strict_schema

# litellm reads this when it is imported; without it, litellm fetches its price list from the network.
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")

import litellm
from litellm.llms.custom_llm import CustomLLM

STAND_IN_MODEL = "stand-in/echo"

litellm.suppress_debug_info = True
litellm.redact_messages_in_exceptions = True
litellm.disable_hf_tokenizer_download = True
logging.getLogger("LiteLLM").setLevel(logging.CRITICAL)
# litellm logs every address at INFO, and the addresses of some providers hold the key.
logging.getLogger("httpx").setLevel(logging.WARNING)

# Providers with OpenAI's own API; a model that litellm does not know is assumed to have all features.
_OPENAI_LIKE = {"openai", "azure", "custom_openai", "hosted_vllm", "lm_studio", "llamafile", "litellm_proxy"}


class _StandIn(CustomLLM):
    """Serves the stand-in model to litellm, in process."""

    async def acompletion(self, *args: Any, **kwargs: Any) -> litellm.ModelResponse:
        asked: dict[str, Any] = kwargs["optional_params"]
        schema = (asked.get("response_format") or {}).get("json_schema", {}).get("schema")
        reply = stand_in_reply(kwargs["messages"], asked.get("tools") or (), schema)
        message: dict[str, Any] = {"role": "assistant", "content": reply.content}
        if reply.tool is not None:
            function = {"name": reply.tool, "arguments": json.dumps(reply.arguments)}
            call_id = f"call_{len(kwargs['messages'])}"
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
    Temporal's job.

    Args:
        request: A `ModelRequest` as JSON, so that it passes any data converter.

    Returns:
        A `ModelReply` as JSON. An answer that breaks the output schema is a reply too, with `invalid` set.

    Raises:
        ApplicationError: Every model failed. `ModelUnavailable` is worth a retry, and `ModelRefused` is not.
    """
    asked = ModelRequest.model_validate(request)
    failures: list[ModelFailure] = []
    for model in asked.models:
        outcome = await _ask(model, asked)
        if isinstance(outcome, ModelFailure):
            failures.append(outcome)
            continue
        reply = _reply(model, asked, outcome, model_calls=len(failures) + 1)
        return reply.model_dump(mode="json")
    raise application_error(failures)


async def _ask(model: str, request: ModelRequest) -> litellm.ModelResponse | ModelFailure:
    """Sends one request to one model."""
    try:
        # litellm's timeout is for each read, so a provider that sends very slowly would never reach it.
        async with asyncio.timeout(request.timeout):
            response = await litellm.acompletion(**_arguments(model, request))
    except TimeoutError:
        return ModelFailure(model, f"no answer within {request.timeout} s", 408, retryable=True)
    except Exception as error:
        return ModelFailure.of(model, error)
    if not response.choices:
        return ModelFailure(model, "an answer without choices", retryable=True)
    choice = response.choices[0]
    fields = getattr(choice.message, "provider_specific_fields", None) or {}
    if choice.finish_reason == "content_filter" or fields.get("refusal"):
        return ModelFailure(model, f"refused by content policy: {fields.get('refusal') or 'no reason given'}")
    return response


def _arguments(model: str, request: ModelRequest) -> dict[str, Any]:
    messages = [wire_message(message) for message in request.messages]
    # drop_params is set for each call: if it is set globally, litellm answers a 422 with a second request.
    arguments: dict[str, Any] = {
        "model": model,
        "messages": messages,
        "max_retries": 0,
        "num_retries": 0,
        "drop_params": True,
    }
    if request.timeout is not None:
        arguments["timeout"] = request.timeout
    if request.temperature is not None:
        arguments["temperature"] = request.temperature
    if request.tools:
        arguments["tools"] = [{"type": "function", "function": tool.model_dump()} for tool in request.tools]
    if request.output_schema is None:
        return arguments
    if _takes_schema(model, with_tools=bool(request.tools)):
        arguments["response_format"] = _response_format(model, request.output_name, request.output_schema)
    else:
        arguments["messages"] = _with_schema(messages, request.output_schema)
    return arguments


def _with_schema(messages: list[dict[str, Any]], schema: dict[str, Any]) -> list[dict[str, Any]]:
    """Describes the answer in the first system message, because some providers take only one of them."""
    text = f"Give the final answer as JSON, and nothing else, for this JSON Schema:\n{json.dumps(schema)}"
    if not messages or messages[0]["role"] != "system":
        return [{"role": "system", "content": text}, *messages]
    return [{"role": "system", "content": f"{messages[0]['content']}\n\n{text}"}, *messages[1:]]


def _provider(model: str) -> str:
    try:
        return str(litellm.get_llm_provider(model)[1])
    except Exception:
        return ""


def _takes_schema(model: str, *, with_tools: bool) -> bool:
    """Returns whether a model takes `response_format`; some refuse it together with tools."""
    provider = _provider(model)
    if provider in _OPENAI_LIKE:
        known = model in litellm.model_cost or model.removeprefix("openai/") in litellm.model_cost
        return not known or litellm.supports_response_schema(model)
    return model == STAND_IN_MODEL or (not with_tools and litellm.supports_response_schema(model))


def _response_format(model: str, name: str, schema: dict[str, Any]) -> dict[str, Any]:
    strict = strict_schema(schema) if _provider(model) in _OPENAI_LIKE else None
    described = {"name": name, "schema": strict or schema, "strict": strict is not None}
    return {"type": "json_schema", "json_schema": described}


def _reply(
    model: str, request: ModelRequest, response: litellm.ModelResponse, model_calls: int
) -> ModelReply:
    choice = response.choices[0]
    content = choice.message.content
    usage = _usage(model, request, response, model_calls)
    calls = tuple(
        _tool_call(call, f"call_{len(request.messages)}_{index}")
        for index, call in enumerate(choice.message.tool_calls or ())
    )
    if calls:
        return ModelReply(model=model, content=content, tool_calls=calls, usage=usage)
    output, invalid = parse_answer(content, request.output_schema)
    if invalid is not None and choice.finish_reason == "length":
        invalid = f"The answer was cut off at the model's output limit; answer more briefly. {invalid}"
    return ModelReply(model=model, content=content, output=output, invalid=invalid, usage=usage)


def _tool_call(call: Any, spare_id: str) -> ToolCall:
    name, text = call.function.name or "", call.function.arguments or "{}"
    arguments, invalid = None, None
    try:
        arguments = parse_json(text)
    except ValueError as error:
        invalid = f"The arguments are not JSON ({error}): {text[:200]}"
    if invalid is None and not isinstance(arguments, dict):
        arguments, invalid = None, f"The arguments are not a JSON object: {text[:200]}"
    return ToolCall(id=call.id or spare_id, name=name, arguments=arguments, invalid=invalid)


def _usage(model: str, request: ModelRequest, response: litellm.ModelResponse, model_calls: int) -> CallUsage:
    usage = getattr(response, "usage", None) or litellm.Usage()
    if not usage.prompt_tokens:
        messages = [wire_message(message) for message in request.messages]
        usage.prompt_tokens = litellm.token_counter(model=model, messages=messages)
    if not usage.completion_tokens:
        message = response.choices[0].message
        said = [message.content or "", *(str(call.function.arguments) for call in message.tool_calls or ())]
        usage.completion_tokens = litellm.token_counter(model=model, text="".join(said))
    usage.total_tokens = usage.prompt_tokens + usage.completion_tokens
    response.usage = usage
    return CallUsage(
        model_calls=model_calls,
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        usd=_price(model, response),
    )


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
