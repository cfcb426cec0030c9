"""An agent elsewhere by script, without a socket: JSON-RPC of A2A, and whatever may go wrong with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx

URL = "http://hotel.example"
CARD: dict[str, Any] = {
    "name": "hotel",
    "description": "Books rooms.",
    "version": "1",
    "supportedInterfaces": [{"url": f"{URL}/a2a", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}],
    "capabilities": {},
    "defaultInputModes": ["application/json"],
    "defaultOutputModes": ["application/json"],
    "skills": [],
}
ROOM = [{"artifactId": "a", "parts": [{"data": {"room": 7}}]}]

Answer = httpx.Response | Exception | Callable[["ScriptedAgent"], Any]


class ScriptedAgent:
    """One that keeps its tasks in memory; its next answers to a method may be said beforehand.

    Attributes:
        asked: The methods that it was asked, in order, without those for its card.
        tasks: What it has begun, by the ids of their contexts.
        script: What it answers next to a method, in place of what it would, after it has done it.
        states: The states that a task goes through, one at each look; the last one stays.
    """

    def __init__(self, *states: str) -> None:
        self.asked: list[str] = []
        self.tasks: dict[str, dict[str, Any]] = {}
        self.script: dict[str, list[Answer]] = {}
        self.states = [*states] or ["COMPLETED"]

    def client(self, _: Any = None) -> httpx.AsyncClient:
        """Returns a client of HTTP that reaches it."""
        return httpx.AsyncClient(transport=httpx.MockTransport(self._answer))

    def begin(self, context: str) -> dict[str, Any]:
        """Begins a task."""
        task = {"id": f"task-{len(self.tasks)}", "contextId": context, "status": self._status("WORKING")}
        self.tasks[context] = task
        return task

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json=CARD)
        said = json.loads(request.content)
        method = said["method"]
        self.asked.append(method)
        scripted = self.script.get(method)
        answer = scripted.pop(0) if scripted else None
        if isinstance(answer, httpx.ConnectError):
            raise answer  # who was not reached has done nothing
        result = getattr(self, f"_{method}")(said["params"])
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx.Response):
            return answer
        if answer is not None:
            result = answer(self)
        return httpx.Response(200, json={"jsonrpc": "2.0", "id": said["id"], **result})

    def _SendMessage(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"result": {"task": self.begin(params["message"]["contextId"])}}

    def _GetTask(self, params: dict[str, Any]) -> dict[str, Any]:
        for task in self.tasks.values():
            if task["id"] == params["id"]:
                state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
                if task["status"]["state"] != "TASK_STATE_CANCELED":
                    task["status"] = self._status(state)
                return {"result": {**task, "artifacts": ROOM if state == "COMPLETED" else []}}
        return {"error": {"code": -32001, "message": "no such task"}}

    def _ListTasks(self, params: dict[str, Any]) -> dict[str, Any]:
        found = [task for context, task in self.tasks.items() if context == params["contextId"]]
        return {"result": {"tasks": found}}

    def _CancelTask(self, params: dict[str, Any]) -> dict[str, Any]:
        for task in self.tasks.values():
            if task["id"] == params["id"]:
                task["status"] = self._status("CANCELED")
                return {"result": task}
        return {"error": {"code": -32001, "message": "no such task"}}

    def _status(self, state: str) -> dict[str, Any]:
        return {"state": f"TASK_STATE_{state}"}


def error(code: int, message: str) -> Answer:
    """An error of JSON-RPC."""
    return lambda _: {"error": {"code": code, "message": message}}
