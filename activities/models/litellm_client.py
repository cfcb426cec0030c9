"""Asks a language model: one request, one answer, and what it cost.

The only module that imports litellm. The import takes seconds, so only a worker loads this module, and only
one that needs it: `call_model.py` is the activity.
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

# Read at import: without it litellm fetches its price list from the network.
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")

import litellm
from litellm.llms.custom_llm import CustomLLM

STAND_IN_MODEL = "stand-in/echo"

litellm.suppress_debug_info = True
litellm.redact_messages_in_exceptions = True
litellm.disable_hf_tokenizer_download = True
logging.getLogger("LiteLLM").setLevel(logging.CRITICAL)
# It logs every address at INFO, and some providers take their key in the address.
logging.getLogger("httpx").setLevel(logging.WARNING)

# Providers that speak OpenAI's own dialect; what litellm does not know of them is taken as able.
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
    """Makes the model client load what it otherwise loads with its first calls; once a process.

    That takes about a second, in which nothing else would run: no heartbeat of other calls either. No
    network is used. Not for a thread that runs an event loop.
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

    A failure of one model, whatever it is, goes on to the next. Nothing is retried in here: Temporal
    owns retries.

    Args:
        request: A `ModelRequest` as JSON, so that it passes any data converter.

    Returns:
        A `ModelReply` as JSON. An answer that breaks the output schema is a reply too, with `invalid` set.

    Raises:
        ApplicationError: Every model failed; `ModelUnavailable` is worth a retry, `ModelRefused` is not.
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
        # litellm's timeout is for each read; a provider that trickles would pass it for ever.
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
    # Parameters are dropped for each call: set for all calls, litellm answers a 422 with a second request.
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
    """Says in the first system message what the answer must look like; some providers take no other one."""
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
    """Whether a model takes `response_format`; some refuse it together with tools."""
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
    """Returns what a response cost in US dollars, None when nobody knows."""
    try:
        usd = litellm.completion_cost(completion_response=response, model=model)
    except Exception:
        return None
    # A model that is listed without a price comes out as 0, like one that is free.
    names = (model, model.partition("/")[2], response.model or "")
    free = any(litellm.model_cost.get(name, {}).get("input_cost_per_token") == 0 for name in names)
    return usd if usd > 0 or free else None
