"""Watches the tool calls of one conversation for loops."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from ..effect import Effect
from ..limits.loop_guard import LoopGuard, SeenCall
from ..spec.arguments import canonical, completed
from ..spec.catalog import AgentEntry, ToolEntry
from .model_protocol import ASK_PERSON, ToolCall
from .tool_answer import ToolAnswer

_HINT = (
    "this is the same call with the same outcome as before; another one like it is refused and ends the job: "
    "go on with what you know, or call something else"
)


class LoopWatch:
    """Watches the calls of one agent; what a tool says may be repeated (``repeats="allow"``) is no loop.

    Attributes:
        guard: What it has seen; those to whom a conversation is handed over go on with it.
    """

    def __init__(
        self, agent: str, offered: Mapping[str, ToolEntry | AgentEntry], seen: LoopGuard | None, engine: int
    ) -> None:
        """Begins, or goes on, to watch.

        Args:
            agent: Whose calls they are.
            offered: The tools and agents that it may call, by what the model calls them.
            seen: See the attributes; None where the conversation begins.
            engine: See `Snapshot`.
        """
        self.guard = seen if seen is not None else LoopGuard()
        self._agent = agent
        self._offered = offered
        self._heeds_loops = engine >= 4

    def loop(self, wanted: Iterable[ToolCall], at: str) -> str | None:
        """Says which loop one of the calls of a turn would go on with; None where all may be made.

        Args:
            wanted: The calls.
            at: The path of the model call that asks for them.
        """
        seen = (self._seen(call, at) for call in wanted)
        return next((loop for call in seen if call and (loop := self.guard.loop(call))), None)

    def note(self, wanted: Sequence[ToolCall], answers: Sequence[ToolAnswer], at: str) -> list[ToolAnswer]:
        """Takes down the calls of a turn.

        Args:
            wanted: The calls.
            answers: What the model is told of each.
            at: The path of the model call that has asked for them.

        Returns:
            The answers, with a hint where the same call once more would be a loop.
        """
        return [self._note(call, answer, at) for call, answer in zip(wanted, answers, strict=True)]

    def _note(self, wanted: ToolCall, answer: ToolAnswer, at: str) -> ToolAnswer:
        seen = self._seen(wanted, at)
        if seen is None:
            if answer.changed:
                self.guard.forget()
            return answer
        if self._reads(wanted.name):
            seen = seen.answered(answer.text)
        is_last = self.guard.note(seen, changed=answer.changed)
        return replace(answer, text=_hinted(answer.text)) if is_last else answer

    def _seen(self, wanted: ToolCall, at: str) -> SeenCall | None:
        entry = self._offered.get(wanted.name)
        if wanted.arguments is None or not self._heeds_loops:
            return None
        if entry is None:
            if wanted.name != ASK_PERSON.name:
                return None
            return SeenCall.of(self._agent, wanted.name, canonical(wanted.arguments), at)
        if isinstance(entry, ToolEntry) and entry.repeats == "allow":
            return None
        arguments = canonical(completed(entry.input_schema, wanted.arguments))
        return SeenCall.of(self._agent, entry.name, arguments, at)

    def _reads(self, name: str) -> bool:
        """Says whether another answer is a change: not of an agent, which seldom says a thing twice alike."""
        entry = self._offered.get(name)
        return entry is None or (isinstance(entry, ToolEntry) and entry.effect is Effect.READ_ONLY)


def _hinted(text: str) -> str:
    told = json.loads(text)
    is_note = isinstance(told, dict) and not told.keys().isdisjoint(("error", "repeated"))
    return json.dumps({**(told if is_note else {"result": told}), "hint": _HINT}, ensure_ascii=False)
