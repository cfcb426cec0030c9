"""What the examples that script their models have in common: what a model was told, read from its request."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from counterstep.testing.model_behaviour import Behaviour, ScriptedCall

_TEAM = "What your team tells you: "


class Conversation:
    """What one request tells a model: its instructions, its input, its team's words, its tools' results.

    Attributes:
        system: The instructions.
        input: What the agent was given.
        team: What the team tells; empty where there is none.
        results: What tools have returned, by the tool's name; of several calls the last.
    """

    def __init__(self, request: Mapping[str, Any]) -> None:
        """Reads a request.

        Args:
            request: Its body, as a model server gets it.
        """
        messages = request["messages"]
        self.system = str(messages[0]["content"])
        self.input: dict[str, Any] = {}
        self.team: dict[str, Any] = {}
        self.results: dict[str, Any] = {}
        self._error = ""
        self._tools = [tool["function"]["name"] for tool in request.get("tools") or ()]
        called = {
            made["id"]: made["function"]["name"] for m in messages for made in m.get("tool_calls") or ()
        }
        for message in messages[1:]:
            text = str(message.get("content") or "")
            if message["role"] == "tool":
                self._hear_tool(called[message["tool_call_id"]], text)
            elif text.startswith(_TEAM):
                self.team = json.loads(text.removeprefix(_TEAM))
            elif message["role"] == "user" and not self.input:
                self.input = json.loads(text)

    def _hear_tool(self, name: str, text: str) -> None:
        result = json.loads(text)
        if isinstance(result, dict) and "error" in result:
            self._error = f"{name}: {result['error']}"
        elif not (isinstance(result, dict) and "not_done" in result):
            self.results[name] = result.get("result", result) if isinstance(result, dict) else result

    def failed(self) -> Behaviour | None:
        """Gives the job up where a tool has failed for good, so that what was done for it is undone."""
        if not self._error:
            return None
        name = next(name for name in self._tools if name.startswith("abandon"))
        return Behaviour.calls(ScriptedCall(name, json.dumps({"reason": self._error})))
