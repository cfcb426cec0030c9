"""Asks the person at an MCP client what a task wants to know, where the client can show a form."""

from __future__ import annotations

import json
from typing import Any

from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import (
    CallToolRequestParams,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequiredResult,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from .task_answer import Question, TaskAnswer

_ANSWER = "answer"


def can_ask(context: ServerRequestContext[Any]) -> bool:
    """Says whether the client shows forms."""
    capabilities = context.session.client_capabilities
    return capabilities is not None and capabilities.elicitation is not None


def form_of(question: Question) -> ElicitRequestFormParams:
    """Returns a question as a form: what is asked, what is shown, the answers to choose from."""
    shown = json.dumps(question.show, ensure_ascii=False, indent=2) if question.show is not None else ""
    return ElicitRequestFormParams(
        message="\n\n".join(filter(None, (question.ask, shown))),
        requested_schema={
            "type": "object",
            "properties": {
                "action": {"type": "string", "enum": [*question.actions], "title": "Answer"},
                "note": {"type": "string", "title": "Why"},
            },
            "required": ["action"],
        },
    )


async def ask(context: ServerRequestContext[Any], question: Question) -> ElicitResult | None:
    """Asks in the middle of a call, as clients before 2026-07-28 take it; None where there is no way back."""
    form = form_of(question)
    try:
        return await context.session.elicit_form(
            form.message, form.requested_schema, related_request_id=context.request_id
        )
    except MCPError:
        return None


def is_modern(context: ServerRequestContext[Any]) -> bool:
    """Says whether the client is asked by the result of its call, which it then makes again."""
    return context.protocol_version in MODERN_PROTOCOL_VERSIONS


def asked_back(answer: TaskAnswer, question: Question) -> InputRequiredResult:
    """Returns what asks a modern client, with what its next call brings back."""
    state = {"task_id": answer.task_id, "step": question.step, "hash": question.hash}
    request = ElicitRequest(params=form_of(question))
    return InputRequiredResult(input_requests={_ANSWER: request}, request_state=json.dumps(state))


def answered(asked: CallToolRequestParams) -> tuple[dict[str, str], ElicitResult] | None:
    """Returns the question that a modern client's call answers, and the answer; None where there is none."""
    responses, state = asked.input_responses, asked.request_state
    said = (responses or {}).get(_ANSWER)
    if not isinstance(said, ElicitResult) or state is None:
        return None
    try:
        question = json.loads(state)
        return {name: str(question[name]) for name in ("task_id", "step", "hash")}, said
    except (ValueError, KeyError, TypeError):
        return None
