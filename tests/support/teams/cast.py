"""Plays the models of many tasks at once: what each says depends on the task and its turn."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from counterstep.testing.model_behaviour import Behaviour, call
from counterstep.testing.model_server import ModelServer
from counterstep.tests.support.bundles.desk import HELD

FAILS: Final = "fails"
"""In place of an answer: the provider refuses, for good."""

Words = Mapping[str, Sequence[Any]]
"""What each model says, turn by turn: an answer, or what makes a `Behaviour` of the task's name."""

_BUSY: Final = frozenset({"ann", "bob", "cid", "editor"})
"""Those who put a thing on the desk in each turn, before they answer."""

_TASK: Final = re.compile(r'"what": ?"([^"]+)"')


@dataclass
class _Play:
    words: Words
    busy: bool
    held: str
    begun: Counter[str] = field(default_factory=Counter)
    said: Counter[str] = field(default_factory=Counter)
    requests: list[dict[str, Any]] = field(default_factory=list)


def calls_in(words: Words, *, busy: bool = True) -> int:
    """Returns how many model calls a play takes: one a turn, and one before it to put something down."""
    return sum(len(said) * (2 if busy and name in _BUSY else 1) for name, said in words.items())


class Cast:
    """The models of one server."""

    def __init__(self, models: ModelServer) -> None:
        """Answers every request that comes to a server."""
        self._plays: dict[str, _Play] = {}
        models.default = self._answer

    def play(self, task: str, words: Words, *, busy: bool = True, held: str = "") -> None:
        """Says what the models say in a task.

        Args:
            task: The ``what`` of its input.
            words: What they say.
            busy: Whether those who can put ``TASK MODEL N`` on the desk in their N-th turn.
            held: Which of these, as ``MODEL N``, is held after its effect; empty for none.
        """
        self._plays[task] = _Play(words, busy, held)

    def count(self, task: str) -> int:
        """Returns how many requests a task has made."""
        return len(self._plays[task].requests)

    def requests(self, task: str, model: str = "") -> list[dict[str, Any]]:
        """Returns the bodies of a task's requests, of one model if that is given."""
        return [body for body in self._plays[task].requests if model in ("", body["model"])]

    def _answer(self, body: dict[str, Any]) -> Behaviour:
        asked = "".join(str(message["content"]) for message in body["messages"] if message["role"] == "user")
        found = _TASK.search(asked)
        if found is None or found[1] not in self._plays:
            return Behaviour.error(400, "nobody plays this task")
        play, model = self._plays[found[1]], str(body["model"])
        play.requests.append(body)
        if play.busy and model in _BUSY and body["messages"][-1]["role"] != "tool":
            play.begun[model] += 1
            what = f"{model} {play.begun[model]}"
            late = {"late": HELD} if what == play.held else {}
            return Behaviour.calls(call("put", what=f"{found[1]} {what}", **late))
        said = play.words.get(model, ())[play.said[model] :]
        play.said[model] += 1
        if not said:
            return Behaviour.error(400, f"{model} was not to be asked {play.said[model]} times")
        if callable(said[0]):
            made: Behaviour = said[0](found[1])
            return made
        return Behaviour.error(400, "it is down") if said[0] == FAILS else Behaviour.json(said[0])
