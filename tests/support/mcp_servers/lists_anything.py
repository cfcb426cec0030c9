"""An MCP server without any library that lists the tools of a JSON file, whatever they are.

What its tools answer stands in another file; without one it calls none.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def answer(request: dict[str, Any], tools: Any, results: dict[str, Any]) -> dict[str, Any]:
    """Answers one request."""
    match request["method"]:
        case "initialize":
            version = request["params"]["protocolVersion"]
            server = {"name": "lists", "version": "1"}
            return {
                "result": {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": server}
            }
        case "tools/list":
            return {"result": {"tools": tools}}
        case "tools/call" if request["params"]["name"] in results:
            return {"result": results[request["params"]["name"]]}
        case _:
            return {"error": {"code": -32601, "message": "there is no such method"}}


if __name__ == "__main__":
    listed = json.loads(Path(sys.argv[1]).read_text())
    answers = json.loads(Path(sys.argv[2]).read_text()) if len(sys.argv) > 2 else {}
    for line in sys.stdin:
        message = json.loads(line)
        if "id" in message:
            told = answer(message, listed, answers)
            print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **told}), flush=True)
