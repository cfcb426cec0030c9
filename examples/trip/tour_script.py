"""What plays the models of `tour_team.yaml` without a model: each by rules, on what its tools have returned.

It is a model server of its own, so that everything between an agent and a model is real.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from counterstep.testing.model_behaviour import Behaviour, call
from counterstep.testing.model_server import ModelServer

from ..conversation import Conversation

MODEL = "openai/scripted"
"""The litellm name under which the script is asked."""

_WHO = {
    "book_flight": "carrier",
    "book_train": "carrier",
    "book_hotel": "host",
    "book_entry": "guide",
    "book_table": "guide",
}


@contextmanager
def tour_played() -> Iterator[dict[str, str]]:
    """Plays the models for as long as the block runs.

    Yields:
        The environment variables with which workers ask the script.
    """
    with ModelServer.in_thread() as server:
        server.default = answer
        yield {**server.environment, "COUNTERSTEP_MODEL": MODEL}


def answer(request: Mapping[str, Any]) -> Behaviour:
    """Answers one request: as the leader of a tour, or as who books."""
    heard = Conversation(request)
    if heard.system.startswith("You lead"):
        return _leader(heard)
    return heard.failed() or _booker(heard)


def _leader(heard: Conversation) -> Behaviour:
    if "members" not in heard.team:
        results = heard.team["results"].values()
        return Behaviour.json({"booking_ids": [booking["booking_id"] for booking in results]})
    if "draft_affordable_tour" not in heard.results:
        return Behaviour.calls(call("draft_affordable_tour", **heard.input))
    parts = [_part(operation) for operation in heard.results["draft_affordable_tour"]["operations"]]
    if "wrong" not in heard.team:  # a slip of the first plan, for the validator to find
        parts = [{**part, "who": "host"} if part["id"] == "dinner_rome" else part for part in parts]
    return Behaviour.json({"parts": parts})


def _part(operation: Mapping[str, Any]) -> dict[str, Any]:
    tool = operation["tool"].removeprefix("trip.")
    return {
        "id": operation["id"],
        "who": _WHO[tool],
        "do": f"{tool} {operation['offer']}",
        "after": operation["after"],
    }


def _booker(heard: Conversation) -> Behaviour:
    tool, _, offer = heard.team["part"].partition(" ")
    if tool in heard.results:
        return Behaviour.json(heard.results[tool])
    return Behaviour.calls(call(tool, offer=offer))
