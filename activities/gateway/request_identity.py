"""When two requests of a process are the same: what each asks for, without how and when it was written."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any, Final

from ...saga.agents.hosted_body import Dialect
from ..models.hosted.body_fields import BETAS

_OPENAIS: Final = frozenset(
    {
        "stream",
        "stream_options",
        "user",
        "metadata",
        "safety_identifier",
        "prompt_cache_key",
        "prompt_cache_retention",
        "store",
    }
)

_NOT_ASKED: Final[Mapping[Dialect, frozenset[str]]] = {
    "chat": _OPENAIS,
    "responses": _OPENAIS | {"include", "client_metadata"},
    "messages": frozenset({"stream", "metadata", BETAS}),
}
"""Fields that say how an answer travels, who pays, or what is kept, and never what it is."""

_DATE = re.compile(r"(Today's date is |<current_date>)\d{4}-\d\d-\d\d")
"""Command-line agents tell their models the date, which may change before they are started again."""

_INCIDENTAL = re.compile(
    r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}|/(?:tmp|var)/[\w./-]+|\d+(?:\.\d+)?"
)
"""What the loose match leaves out: UUIDs, temporary paths, numbers."""

_CALL_IDS = ("tool_call_id", "call_id", "tool_use_id")


def normal_form(dialect: Dialect, body: Mapping[str, Any]) -> Any:
    """Returns what a request asks for, as JSON that is equal for equal requests.

    The fields that are left out are those that ten frameworks and two command-line agents were seen to change
    when they were started again with the same answers.

    Args:
        dialect: How the body is written.
        body: The body; a conversation that is kept elsewhere is part of it.
    """
    asked = {name: value for name, value in body.items() if name not in _NOT_ASKED[dialect]}
    if dialect == "responses" and isinstance(asked.get("input"), list):
        # Clients make the ids of items, some of them at random; the provider's own are in call_id.
        asked["input"] = [
            {name: value for name, value in item.items() if name != "id"}
            if isinstance(item, dict) and item.get("type") != "item_reference"
            else item
            for item in asked["input"]
        ]
    if dialect == "messages":  # where a cache is asked for moves on from turn to turn
        asked = _without("cache_control", asked)
    return json.loads(_DATE.sub(r"\1DATE", json.dumps(asked, ensure_ascii=False)))


def digest(value: Any) -> str:
    """Returns 16 characters that tell values apart; JSON whose keys may be in any order."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:16]


def loose_digest(asked: Any) -> str:
    """Returns 10 characters that are the same for requests that differ in numbers, ids and paths only.

    Args:
        asked: The request's normal form. The ids of tool calls count as they are: they were in answers.
    """
    ids: list[Any] = []
    _collect(asked.get("messages") or asked.get("input"), ids)
    text = json.dumps(asked, sort_keys=True, ensure_ascii=False)
    return digest([ids, _INCIDENTAL.sub("#", text)])[:10]


def _collect(value: Any, ids: list[Any]) -> None:
    if isinstance(value, dict):
        ids += [value[name] for name in _CALL_IDS if name in value]
        for part in value.values():
            _collect(part, ids)
    elif isinstance(value, list):
        for part in value:
            _collect(part, ids)


def _without(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without(name, part) for key, part in value.items() if key != name}
    return [_without(name, part) for part in value] if isinstance(value, list) else value


class RequestKeys:
    """Names the requests of one attempt: by what they ask for, and the how manieth of their kind they are.

    Requests that run side by side may come in another order when the process is started again, so their place
    in the sequence says nothing. A request that is sent again because its client did not get the answer keeps
    its name.
    """

    def __init__(self) -> None:
        """Has seen nothing yet."""
        self._seen: Counter[str] = Counter()
        self._abandoned: defaultdict[str, list[int]] = defaultdict(list)

    def key(self, kind: str, digest_: str, *, loose: str = "", is_retry: bool = False) -> str:
        """Names a request that has come in.

        Args:
            kind: ``model`` or ``tool``.
            digest_: What it asks for, see `digest`.
            loose: See `loose_digest`; empty for none.
            is_retry: Whether its client says that it sends it again.
        """
        name = f"{kind}:{digest_}"
        if self._abandoned[name]:
            number = self._abandoned[name].pop(0)
        elif is_retry and self._seen[name]:
            number = self._seen[name]
        else:
            self._seen[name] += 1
            number = self._seen[name]
        return f"{name}:{number}:{loose}" if loose else f"{name}:{number}"

    def abandon(self, key: str) -> None:
        """Notes that the client of a request has gone away before it had its answer."""
        kind, digest_, number, *_ = key.split(":")
        self._abandoned[f"{kind}:{digest_}"].append(int(number))


def loose_part(key: str) -> str:
    """Returns the loose digest in a key; empty where there is none."""
    parts = key.split(":")
    return parts[3] if len(parts) > 3 else ""
