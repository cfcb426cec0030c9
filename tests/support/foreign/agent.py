"""An agent without any framework, and without a line of ours: the standard library alone.

It speaks one of the dialects with the address that the environment names, and MCP with the tools. What else
it does is said in its input.
"""

import json
import os
import sys
import threading
import time
import urllib.error
import urllib.request
from typing import Any

GIVEN = json.loads(os.environ["COUNTERSTEP_INPUT"])
DIALECT = GIVEN.get("dialect", "chat")
TOKEN = os.environ["COUNTERSTEP_TOKEN"]


def post(url: str, body: Any, token: str = TOKEN) -> tuple[int, Any]:
    headers = {
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "authorization": f"Bearer {token}",
    }
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=100) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read() or b"null")


def mcp(method: str, params: Any) -> Any:
    status, answer = post(
        os.environ["COUNTERSTEP_MCP_URL"], {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    )
    if status != 200 or "result" not in answer:
        raise SystemExit(f"{method}: {status} {answer}")
    return answer["result"]


def use(name: str, arguments: Any) -> Any:
    result = mcp("tools/call", {"name": name, "arguments": arguments})
    return result["content"][0]["text"]


def tools() -> Any:
    return mcp("tools/list", {})["tools"]


def chat(wish: str) -> Any:
    said: list[Any] = [{"role": "user", "content": wish}]
    offered = [
        {"type": "function", "function": {"name": one["name"], "parameters": one["inputSchema"]}}
        for one in tools()
    ]
    while True:
        body = {"model": GIVEN.get("model", "travel-model"), "messages": said, "tools": offered}
        status, answer = post(f"{os.environ['OPENAI_BASE_URL']}/chat/completions", body)
        if status != 200:
            raise SystemExit(f"{status}: {answer['error']['type']}: {answer['error']['message']}")
        message = answer["choices"][0]["message"]
        said.append(message)
        if not message.get("tool_calls"):
            return message["content"]
        for call in message["tool_calls"]:
            text = use(call["function"]["name"], json.loads(call["function"]["arguments"]))
            said.append({"role": "tool", "tool_call_id": call["id"], "content": text})


def responses(wish: str) -> Any:
    offered = [{"type": "function", "name": one["name"], "parameters": one["inputSchema"]} for one in tools()]
    given: Any = wish
    earlier = None
    while True:
        body = {"model": GIVEN.get("model", "travel-model"), "input": given, "tools": offered}
        if earlier is not None:
            body["previous_response_id"] = earlier
        status, answer = post(f"{os.environ['OPENAI_BASE_URL']}/responses", body)
        if status != 200:
            raise SystemExit(f"{status}: {answer['error']['message']}")
        earlier = answer["id"]
        calls = [item for item in answer["output"] if item["type"] == "function_call"]
        if not calls:
            return answer["output"][-1]["content"][0]["text"]
        given = [
            {
                "type": "function_call_output",
                "call_id": call["call_id"],
                "output": use(call["name"], json.loads(call["arguments"])),
            }
            for call in calls
        ]


def messages(wish: str) -> Any:
    said: list[Any] = [{"role": "user", "content": wish}]
    offered = [{"name": one["name"], "input_schema": one["inputSchema"]} for one in tools()]
    while True:
        body = {
            "model": GIVEN.get("model", "travel-model"),
            "max_tokens": 500,
            "messages": said,
            "tools": offered,
        }
        status, answer = post(f"{os.environ['ANTHROPIC_BASE_URL']}/v1/messages", body)
        if status != 200:
            raise SystemExit(f"{status}: {answer['error']['message']}")
        said.append({"role": "assistant", "content": answer["content"]})
        calls = [block for block in answer["content"] if block["type"] == "tool_use"]
        if not calls:
            return answer["content"][0]["text"]
        results = [
            {"type": "tool_result", "tool_use_id": call["id"], "content": use(call["name"], call["input"])}
            for call in calls
        ]
        said.append({"role": "user", "content": results})


def is_first(what: str) -> bool:
    """Says whether the process is started for the first time, and remembers it where nobody clears up."""
    marker = os.path.join(os.environ.get("REMEMBER", ""), GIVEN["remember"], what)
    os.makedirs(os.path.dirname(marker), exist_ok=True)
    if os.path.exists(marker):
        return False
    open(marker, "w").close()
    return True


def main() -> Any:
    mode = GIVEN.get("mode", "")
    if mode == "changes its mind":
        # The first time it books Oslo and breaks; afterwards it wants nothing of that.
        if is_first("mind"):
            use("book_flight", {"city": "Oslo", "price": 80})
            sys.exit("the agent breaks")
        use("book_hotel", {"city": "Rome", "nights": 2})
        return "only a hotel"
    if mode == "does":
        # A list of calls for each time that it is started; all but the last end with its breaking.
        lists = GIVEN["lists"]
        number = next(n for n in range(len(lists)) if n == len(lists) - 1 or is_first(f"start {n}"))
        for name, arguments in lists[number]:
            use(name, arguments)
        if number < len(lists) - 1:
            sys.exit("the agent breaks")
        return "did it"
    if mode == "breaks once":
        use("book_flight", {"city": "Oslo", "price": 80})
        if is_first("break"):
            sys.exit("the agent breaks")
        use("book_flight", {"city": "Oslo", "price": 80})
        return "booked"
    if mode == "leaves":  # in the middle of what it asks for, when it was started again
        if is_first("start"):
            use("put", {"what": "flight", **GIVEN.get("slowly", {})})
            sys.exit("the agent breaks")
        if GIVEN["code"] == 0 or is_first("again"):
            threading.Thread(target=use, args=("put", {"what": "hotel"}), daemon=True).start()
            time.sleep(1)
            print("did it", flush=True)
            os._exit(GIVEN["code"])
        use("put", {"what": "hotel"})
        return "did it"
    if mode == "waits":
        use("book_flight", {"city": "Oslo", "price": 80})
        time.sleep(60)
    if mode == "asks":
        return use("book_dear", {"city": "Rome", "price": 5000})
    if mode == "walks away":  # from a question that nobody will answer
        asking = threading.Thread(target=use, args=("book_dear", {"city": "Rome", "price": 5000}))
        asking.daemon = True
        asking.start()
        asking.join(1)
        return "I did not wait"
    if mode == "writes":
        with open(os.environ["COUNTERSTEP_OUTPUT"], "w") as answer:
            json.dump(GIVEN["answer"], answer)
        return "this line is not the answer"
    if mode == "environment":
        return json.dumps({"names": sorted(os.environ), "cwd": os.getcwd(), "home": os.environ["HOME"]})
    if mode == "says":
        sys.stderr.write(GIVEN.get("complaint", ""))
        if "code" in GIVEN:
            sys.exit(GIVEN["code"])
        return GIVEN["line"]
    return {"chat": chat, "responses": responses, "messages": messages}[DIALECT](GIVEN["wish"])


if __name__ == "__main__":
    print(main())
