"""The agent of the gateway benchmark, as a process: a loop of chat completions and tools."""

import http.client
import json
import os
from typing import Any
from urllib.parse import urlsplit


class Line:
    """One connection that is kept, as every client of a provider keeps it."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._path = parts.path
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=100)

    def post(self, body: Any, path: str = "") -> Any:
        headers = {
            "content-type": "application/json",
            "accept": "application/json, text/event-stream",
            "authorization": f"Bearer {os.environ['COUNTERSTEP_TOKEN']}",
        }
        self._connection.request("POST", self._path + path, json.dumps(body), headers)
        answer = self._connection.getresponse()
        read = json.loads(answer.read())
        if answer.status != 200:
            raise SystemExit(str(read))
        return read


def main() -> str:
    models, tools = Line(os.environ["OPENAI_BASE_URL"]), Line(os.environ["COUNTERSTEP_MCP_URL"])

    def ask(method: str, params: Any) -> Any:
        return tools.post({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})["result"]

    offered = [
        {"type": "function", "function": {"name": tool["name"], "parameters": tool["inputSchema"]}}
        for tool in ask("tools/list", {})["tools"]
    ]
    said: list[Any] = [{"role": "user", "content": os.environ["COUNTERSTEP_INPUT"]}]
    while True:
        request = {"model": "bench", "messages": said, "tools": offered}
        message = models.post(request, "/chat/completions")["choices"][0]["message"]
        said.append(message)
        if not message.get("tool_calls"):
            return str(message["content"])
        for call in message["tool_calls"]:
            function = call["function"]
            arguments = json.loads(function["arguments"])
            result = ask("tools/call", {"name": function["name"], "arguments": arguments})
            text = result["content"][0]["text"]
            said.append({"role": "tool", "tool_call_id": call["id"], "content": text})


if __name__ == "__main__":
    print(main())
