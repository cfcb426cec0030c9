"""The fields of requests to models: which are a dialect's own, and what is wrong with a request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ....saga.agents.hosted_body import Dialect

BETAS: Final = "betas"
"""The field that stands for Anthropic's header ``anthropic-beta``, as in the arguments of its clients."""

_TRAVEL: Final = frozenset({"model", "stream", "stream_options", BETAS})
"""Who is asked, and how the answer travels; the host says that."""

_OWN: Final[Mapping[Dialect, frozenset[str]]] = {
    "chat": frozenset(
        [
            "audio",
            "frequency_penalty",
            "function_call",
            "functions",
            "logit_bias",
            "logprobs",
            "max_completion_tokens",
            "max_tokens",
            "messages",
            "modalities",
            "n",
            "parallel_tool_calls",
            "prediction",
            "presence_penalty",
            "prompt_cache_key",
            "prompt_cache_retention",
            "reasoning_effort",
            "response_format",
            "safety_identifier",
            "seed",
            "service_tier",
            "stop",
            "store",
            "temperature",
            "thinking",
            "tool_choice",
            "tools",
            "top_k",
            "top_logprobs",
            "top_p",
            "user",
            "verbosity",
            "web_search_options",
        ]
    ),
    "responses": frozenset(
        [
            "context_management",
            "include",
            "input",
            "instructions",
            "max_output_tokens",
            "max_tool_calls",
            "metadata",
            "parallel_tool_calls",
            "prompt_cache_key",
            "prompt_cache_options",
            "prompt_cache_retention",
            "reasoning",
            "safety_identifier",
            "service_tier",
            "store",
            "temperature",
            "text",
            "tool_choice",
            "tools",
            "top_logprobs",
            "top_p",
            "truncation",
            "user",
        ]
    ),
    "messages": frozenset(
        [
            "cache_control",
            "compaction",
            "container",
            "context_management",
            "inference_geo",
            "max_tokens",
            "mcp_servers",
            "messages",
            "metadata",
            "output_config",
            "output_format",
            "safeguards",
            "speed",
            "stop_sequences",
            "system",
            "temperature",
            "thinking",
            "tool_choice",
            "tools",
            "top_k",
            "top_p",
        ]
    ),
}
"""What the model client takes of each dialect. By its other arguments it is told addresses, keys, prices and
other models, so that nothing that is not listed here may become one of them."""

_NEEDED: Final[Mapping[Dialect, Mapping[str, tuple[type, ...]]]] = {
    "chat": {"messages": (list,)},
    "responses": {"input": (str, list)},
    "messages": {"messages": (list,), "max_tokens": (int,)},
}

_TYPED: Final[Mapping[str, type]] = {"tools": list, "stream_options": dict, "metadata": dict}
"""What may be left out, or null."""

_WRITTEN: Final[Mapping[type, str]] = {str: "a text", list: "a list", int: "a number", dict: "an object"}


def split(dialect: Dialect, body: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the fields of a body that are its dialect's own, and the others.

    Args:
        dialect: How the body is written.
        body: The body; its model, and how its answer travels, are in neither.
    """
    own = {name: value for name, value in body.items() if name in _OWN[dialect] - _TRAVEL}
    return own, {name: value for name, value in body.items() if name not in _OWN[dialect] | _TRAVEL}


def faults_of(dialect: Dialect, body: Mapping[str, Any]) -> list[str]:
    """Returns what is wrong with a request, whoever is asked; the rest the provider says."""
    needed = [
        f"{name} has to be {' or '.join(_WRITTEN[type_] for type_ in types)}"
        for name, types in _NEEDED[dialect].items()
        if not isinstance(body.get(name), types) or isinstance(body.get(name), bool)
    ]
    typed = [
        f"{name} has to be {_WRITTEN[type_]}"
        for name, type_ in _TYPED.items()
        if body.get(name) is not None and not isinstance(body[name], type_)
    ]
    listed = [
        f"{name}[{at}] has to be an object"
        for name in ("messages", "input", "tools")
        if isinstance(items := body.get(name), list)
        for at, item in enumerate(items)
        if not isinstance(item, Mapping)
    ]
    return needed + typed + listed[:1]


def other_models(body: Mapping[str, Any]) -> list[str]:
    """Returns the models that a provider would ask besides, or in place of, the one that is named.

    A tool may name one, as Anthropic's advisor does; OpenRouter takes ``models`` to fall back to, and
    LiteLLM's proxy ``fallbacks``.
    """
    tools = body.get("tools") or ()
    named = [tool.get("model") for tool in tools if isinstance(tool, Mapping)]
    return [str(model) for model in [*named, body.get("models"), body.get("fallbacks")] if model]
