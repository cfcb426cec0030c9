"""A provider of models that plays one script in three dialects, and counts what it is paid for."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from counterstep.activities.gateway.streams import as_stream
from counterstep.saga.agents.hosted_body import Dialect

PLAN = (("book_flight", {"city": "Rome", "price": 120}), ("book_hotel", {"city": "Rome", "nights": 2}))
"""The tools that are called, one in each turn; then it answers."""

ANSWER = "Booked a flight and a hotel in Rome."

MODEL = "openai/travel-model"
CLAUDE = "anthropic/claude-sonnet-4-5"

_DIALECTS: dict[str, Dialect] = {
    "/v1/chat/completions": "chat",
    "/v1/responses": "responses",
    "/v1/messages": "messages",
}


@dataclass
class Paid:
    """One request that was answered, and so is paid."""

    dialect: str
    turn: int
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Provider:
    """A running provider.

    Attributes:
        url: Its address, without ``/v1``.
        paid: What it has answered.
        fails: The status of the answers from now on, in place of an answer; 0 for none.
        plan: The tools that are called.
    """

    url: str = ""
    paid: list[Paid] = field(default_factory=list)
    fails: int = 0
    plan: tuple[tuple[str, dict[str, Any]], ...] = PLAN
    _kept: dict[str, list[Any]] = field(default_factory=dict)

    @property
    def turns(self) -> list[int]:
        """The turns that were paid, as they came."""
        return [one.turn for one in self.paid]

    @property
    def paid_twice(self) -> int:
        """How many requests were answered more often than once."""
        return len(self.paid) - len(set(self.turns))

    @property
    def environment(self) -> dict[str, str]:
        """What makes litellm ask it."""
        return {
            "OPENAI_BASE_URL": f"{self.url}/v1",
            "OPENAI_API_KEY": "sk-provider",
            "ANTHROPIC_API_BASE": self.url,
            "ANTHROPIC_API_KEY": "sk-ant-provider",
        }

    def answer(self, dialect: str, body: dict[str, Any]) -> dict[str, Any]:
        """Answers a request, by how many tools were called in it so far."""
        if dialect == "responses":
            body = {**body, "input": self._whole(body)}
        turn = _results(dialect, body)
        self.paid.append(Paid(dialect, turn, body))
        called = self.plan[turn] if turn < len(self.plan) else None
        name = None if called is None else _offered(body, called[0])
        arguments = {} if called is None else called[1]
        if called is None and _has_final_answer(body):
            name, arguments = "final_answer", {"answer": ANSWER}
        if dialect == "chat" and _is_react(body):
            text = f"Thought: I now know the final answer\nFinal Answer: {ANSWER}"
            if name is not None:
                text = f"Thought: I need {name}.\nAction: {name}\nAction Input: {json.dumps(arguments)}"
            return _chat(str(body.get("model")), None, {}, text)
        answer = _WRITTEN[dialect](str(body.get("model")), name, arguments)
        if dialect == "responses":
            self._kept[answer["id"]] = [*body["input"], *answer["output"]]
        return answer

    def _whole(self, body: dict[str, Any]) -> list[Any]:
        """Returns the input with the conversation that a client has left here."""
        given = body["input"]
        items = [{"role": "user", "content": given}] if isinstance(given, str) else list(given)
        return [*self._kept.get(str(body.get("previous_response_id")), ()), *items]


@contextmanager
def provider() -> Iterator[Provider]:
    """Starts a provider in threads of this process."""
    played = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            dialect = _DIALECTS.get(self.path.partition("?")[0])
            if dialect is None:
                self._send(404, {"error": {"message": f"no {self.path}"}})
            elif played.fails:
                self._send(played.fails, {"error": {"message": "as scripted", "type": "scripted"}})
            elif body.get("stream"):
                answer = played.answer(dialect, body)
                text = "".join(as_stream(dialect, answer, body))
                self._send(200, text, "text/event-stream")
            else:
                answer = played.answer(dialect, body)
                if played.paid:
                    played.paid[-1].headers = {name.lower(): value for name, value in self.headers.items()}
                self._send(200, answer)

        def _send(self, status: int, body: Any, kind: str = "application/json") -> None:
            raw = (body if isinstance(body, str) else json.dumps(body)).encode()
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    played.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield played
    finally:
        server.shutdown()
        server.server_close()


def _results(dialect: str, body: dict[str, Any]) -> int:
    """Counts the results of tools in a conversation."""
    if dialect == "chat":
        said = body["messages"]
        if _is_react(body):
            written = [
                m["content"] for m in said if m["role"] == "assistant" and isinstance(m["content"], str)
            ]
            return sum(text.count("\nObservation:") for text in written)
        if _has_final_answer(body):
            # smolagents writes results as messages of the user
            return sum(
                message["role"] in ("user", "tool-response")
                and "Observation:" in json.dumps(message["content"])
                for message in said
            )
        return sum(message["role"] == "tool" for message in said)
    if dialect == "responses":
        items = body["input"] if isinstance(body["input"], list) else []
        return sum(item.get("type") == "function_call_output" for item in items)
    blocks = [block for m in body["messages"] if isinstance(m["content"], list) for block in m["content"]]
    return sum(block.get("type") == "tool_result" for block in blocks)


def _is_react(body: dict[str, Any]) -> bool:
    """Says whether an agent writes its calls as text (ReAct), as CrewAI does with models it does not know."""
    return not body.get("tools") and "Action Input" in json.dumps(body["messages"])


def _has_final_answer(body: dict[str, Any]) -> bool:
    """Says whether an agent answers by a tool, as those of smolagents do."""
    return any((tool.get("function") or {}).get("name") == "final_answer" for tool in body.get("tools") or ())


def _offered(body: dict[str, Any], suffix: str) -> str:
    """Returns how a client names a tool."""
    for tool in body.get("tools") or ():
        if tool.get("type") == "namespace":
            inner = next((one["name"] for one in tool["tools"] if one["name"].endswith(suffix)), None)
            if inner is not None:
                return f"{tool['name']}::{inner}"
        name = (tool.get("function") or tool).get("name", "")
        if name.endswith(suffix):
            return str(name)
    return suffix


def _chat(model: str, name: str | None, arguments: dict[str, Any], text: str = ANSWER) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": text if name is None else None}
    if name is not None:
        function = {"name": name, "arguments": json.dumps(arguments)}
        message["tool_calls"] = [{"id": _id("call_"), "type": "function", "function": function}]
    return {
        "id": _id("chatcmpl-"),
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [
            {"index": 0, "message": message, "finish_reason": "stop" if name is None else "tool_calls"}
        ],
        "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
    }


def _responses(model: str, name: str | None, arguments: dict[str, Any]) -> dict[str, Any]:
    content = [{"type": "output_text", "text": ANSWER, "annotations": []}]
    item: dict[str, Any] = {
        "type": "message",
        "id": _id("msg_"),
        "status": "completed",
        "role": "assistant",
        "content": content,
    }
    if name is not None:
        space, _, own = name.rpartition("::")
        item = {
            "type": "function_call",
            "id": _id("fc_"),
            "call_id": _id("call_"),
            "name": own,
            "arguments": json.dumps(arguments),
            "status": "completed",
            **({"namespace": space} if space else {}),
        }
    return {
        "id": _id("resp_"),
        "object": "response",
        "created_at": int(time.time()),
        "status": "completed",
        "model": model,
        "output": [item],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "temperature": 1.0,
        "top_p": 1.0,
        "usage": {
            "input_tokens": 100,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 20,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 120,
        },
    }


def _messages(model: str, name: str | None, arguments: dict[str, Any]) -> dict[str, Any]:
    block: dict[str, Any] = {"type": "text", "text": ANSWER}
    if name is not None:
        block = {"type": "tool_use", "id": _id("toolu_"), "name": name, "input": arguments}
    return {
        "id": _id("msg_"),
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [block],
        "stop_reason": "end_turn" if name is None else "tool_use",
        "stop_sequence": None,
        "usage": {"input_tokens": 100, "output_tokens": 20},
    }


def _id(prefix: str) -> str:
    """Returns an id that is another one each time, as a real provider's."""
    return prefix + uuid.uuid4().hex[:24]


_WRITTEN = {"chat": _chat, "responses": _responses, "messages": _messages}
