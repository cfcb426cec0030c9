"""The calls with effects that an agent has made in its step: none is made a second time unawares."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from ..spec.arguments import canonical, completed
from ..spec.catalog import ToolEntry
from .model_protocol import ChatMessage

_FURTHER_UP = '"it is further up in this conversation"'
"""Where a provider has given several calls the same id: better than the result of another call."""

_ELSEWHERE = '"it was made before this conversation, which does not have its result"'


class EarlierCalls:
    """What one run of an agent has done, by tool and canonical arguments.

    Attributes:
        done: The ids by which the model has asked for the calls that have succeeded.
        unsure: The idempotency keys of retriable calls whose outcome nobody knows, which they keep when they
            are made again.
    """

    def __init__(
        self, done: Mapping[str, str], unsure: Mapping[str, str], said: Iterable[ChatMessage]
    ) -> None:
        """Takes over what was done before.

        Args:
            done: See the attributes.
            unsure: See the attributes.
            said: The conversation so far, which has the results.
        """
        self.done: dict[str, str] = {}
        self.unsure: dict[str, str] = {}
        self._results: dict[str, str] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self.take_over(done, unsure, said)

    def take_over(
        self, done: Mapping[str, str], unsure: Mapping[str, str], said: Iterable[ChatMessage]
    ) -> None:
        """Takes over what was done elsewhere; what is known already stays.

        Args:
            done: See the attributes.
            unsure: See the attributes.
            said: The conversation, which has the results.
        """
        told: dict[str | None, str] = {}
        for message in said if done else ():
            known = message.tool_call_id in told
            told[message.tool_call_id] = _FURTHER_UP if known else message.content or "null"
        results = {key: told.get(id_ or None, _ELSEWHERE) for key, id_ in done.items()}
        self._results = results | self._results
        self.done |= done
        self.unsure = dict(unsure)

    def leave(self) -> None:
        """Forgets by which ids the calls were asked for: the conversation that has these is left behind."""
        self.done = dict.fromkeys(self.done, "")

    @staticmethod
    def key(tool: ToolEntry, arguments: Mapping[str, Any]) -> str:
        """Returns what tells calls apart: the tool, and the arguments with their defaults."""
        return f"{tool.name} {canonical(completed(tool.input_schema, arguments))}"

    def lock(self, key: str) -> asyncio.Lock:
        """Returns what lets one of several equal calls of a turn go first."""
        return self._locks.setdefault(key, asyncio.Lock())

    def result(self, key: str) -> str | None:
        """Returns what the model was told of the call that has succeeded; None where there is none."""
        return self._results.get(key)

    def succeed(self, keys: Iterable[str], call_id: str, told: str) -> None:
        """Records that a call has succeeded.

        Args:
            keys: As what it counts: as it was asked for, and as it was made.
            call_id: By which id the model has asked for it.
            told: What the model is told.
        """
        for key in keys:
            self.done[key] = call_id
            self._results[key] = told
            self.unsure.pop(key, None)

    def forget(self, call_ids: Collection[str]) -> None:
        """Forgets calls that are undone: who asks for one of them again has it made again.

        Args:
            call_ids: By which ids they were asked for.
        """
        for key in [key for key, id_ in self.done.items() if id_ in call_ids]:
            del self.done[key], self._results[key]
