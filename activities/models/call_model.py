"""The activity behind every request to a language model; only workers that need the client load it."""

from __future__ import annotations

import asyncio
import importlib
from typing import Any

from temporalio import activity

from ...saga.agents.model_protocol import ModelRequest
from ...saga.history_format import CALL_MODEL, STAND_IN
from .stand_in_call import answer_as_stand_in

_CLIENT = f"{__package__}.litellm_client"


@activity.defn(name=CALL_MODEL)
async def call_model(request: dict[str, Any]) -> dict[str, Any]:
    """Asks a model, as `litellm_client.call_model` describes.

    Args:
        request: A `ModelRequest` as JSON.

    Returns:
        A `ModelReply` as JSON.

    Raises:
        ApplicationError: Every model failed.
    """
    asked = ModelRequest.model_validate(request)
    if asked.models == (STAND_IN,):
        return answer_as_stand_in(asked).model_dump(mode="json")
    # Loading takes seconds. Workers with model agents have done it; on others a judge may be the first.
    client = await asyncio.to_thread(importlib.import_module, _CLIENT)
    reply: dict[str, Any] = await client.call_model(request)
    return reply


def warm_up() -> None:
    """Loads the client and what it would load with its first calls, which takes seconds."""
    importlib.import_module(_CLIENT).warm_up()
