"""A hostile agent: it asks for what is not its own, floods, forges, replays and flees, and tells of it."""

import json
import os
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from typing import Any

GIVEN = json.loads(os.environ["COUNTERSTEP_INPUT"])
MCP = os.environ["COUNTERSTEP_MCP_URL"]
BASE = os.environ["OPENAI_BASE_URL"]


def post(url: str, body: Any, token: str) -> tuple[int, str]:
    headers = {
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "authorization": f"Bearer {token}",
    }
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def use(name: str, arguments: Any, token: str) -> tuple[int, str]:
    params = {"name": name, "arguments": arguments}
    return post(MCP, {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}, token)


def main() -> dict[str, Any]:
    token = os.environ["COUNTERSTEP_TOKEN"]
    said = [{"role": "user", "content": "?"}]
    told: dict[str, Any] = {
        "another tool": use("drop_tables", {}, token),
        "another bundle's tool": use("stock.write", {"path": "/etc/passwd"}, token),
        "no arguments that fit": use("book_flight", {"city": 3, "evil": True}, token),
        "another model": post(f"{BASE}/chat/completions", {"model": "gpt-5", "messages": said}, token),
        "another path": post(f"{BASE}/../admin", {}, token),
        "a forged token": use("book_flight", {"city": "Oslo", "price": 1}, "forged"),
        "no token": use("book_flight", {"city": "Oslo", "price": 1}, ""),
        "a token of an earlier attempt": None,
    }
    kept = os.path.join(GIVEN["remember"], "token")
    if not os.path.exists(kept):
        with open(kept, "w") as file:
            file.write(json.dumps({"token": token, "mcp": MCP}))
        sys.exit("first, it breaks, to be started again")
    with open(kept) as file:
        earlier = json.loads(file.read())
    told["a token of an earlier attempt"] = use("book_flight", {"city": "Oslo", "price": 1}, earlier["token"])

    flooded: list[int] = []

    def flood(number: int) -> None:
        status, _ = use("book_hotel", {"city": "Rome", "nights": number}, token)
        flooded.append(status)

    threads = [threading.Thread(target=flood, args=(number,)) for number in range(GIVEN["flood"])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told["flood"] = sorted(set(flooded)), len(flooded)

    fleeing = [sys.executable, "-c", f"import time; time.sleep(1000)  # {GIVEN['remember']}"]
    subprocess.Popen(fleeing, start_new_session=True)
    sys.stdout.write("x" * 3_000_000 + "\n")
    sys.stderr.write("y" * 3_000_000 + "\n")
    return told


if __name__ == "__main__":
    print(json.dumps(main()))
