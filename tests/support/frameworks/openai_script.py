"""A model for the OpenAI Agents SDK whose answers stand in the question, so that no kill changes them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from agents import ModelResponse, Usage
from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseFunctionToolCall,
    ResponseOutputMessage,
    ResponseOutputText,
    ResponseUsage,
)
from openai.types.responses.response_usage import InputTokensDetails, OutputTokensDetails

from counterstep.tests.support.frameworks.turns import ECHO, TOKENS


class ScriptedModel:
    """Answers the question that `turns` has written; the turn is told by the calls that it has made."""

    async def get_response(
        self, system_instructions: str | None, input: str | list[Any], *_: Any, **__: Any
    ) -> ModelResponse:
        said = [{"role": "user", "content": input}] if isinstance(input, str) else list(input)
        turns = json.loads(next(item["content"] for item in said if item.get("role") == "user"))
        made = sum(item.get("type") == "function_call" for item in said)
        while made > 0:
            made -= len(turns.pop(0))
        turn, number = turns[0], len(said)
        if turn == ECHO:
            told = [str(item["output"]) for item in said if item.get("type") == "function_call_output"]
            turn = " ".join(told)
        output: list[Any] = (
            [_message(turn)]
            if isinstance(turn, str)
            else [_call(name, given, f"{number}-{at}") for at, (name, given) in enumerate(turn)]
        )
        usage = Usage(requests=1, input_tokens=TOKENS, output_tokens=TOKENS, total_tokens=2 * TOKENS)
        return ModelResponse(output=output, usage=usage, response_id=None)

    async def stream_response(self, *args: Any, **kwargs: Any) -> AsyncIterator[ResponseCompletedEvent]:
        whole = await self.get_response(*args, **kwargs)
        details = {
            "input_tokens_details": InputTokensDetails(cached_tokens=0, cache_write_tokens=0),
            "output_tokens_details": OutputTokensDetails(reasoning_tokens=0),
        }
        usage = ResponseUsage(
            input_tokens=TOKENS,
            output_tokens=TOKENS,
            total_tokens=2 * TOKENS,
            **details,  # type: ignore
        )
        response = Response(
            id="r",
            created_at=0,
            model="scripted",
            object="response",
            output=whole.output,
            parallel_tool_calls=True,
            tool_choice="auto",
            tools=[],
            usage=usage,
        )
        yield ResponseCompletedEvent(response=response, sequence_number=0, type="response.completed")


class ScriptedProvider:
    """Has this one model."""

    def get_model(self, model_name: str | None) -> ScriptedModel:
        return ScriptedModel()


def _message(text: str) -> ResponseOutputMessage:
    content: list[Any] = [ResponseOutputText(text=text, annotations=[], type="output_text")]
    return ResponseOutputMessage(id="", content=content, role="assistant", status="completed", type="message")


def _call(name: str, arguments: Any, id_: str) -> ResponseFunctionToolCall:
    written = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return ResponseFunctionToolCall(
        arguments=written, call_id=id_, name=name, type="function_call", id=id_, status="completed"
    )
