"""Watches the calls that agents of frameworks make in one saga for loops, as those of our own agents are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ..agents.earlier_calls import EarlierCalls
from ..agents.loop_watch import LoopWatch
from ..agents.model_protocol import ToolCall
from ..agents.tool_answer import ToolAnswer
from ..spec.catalog import ToolEntry


class AskedCall:
    """One call that an agent asks for.

    Attributes:
        loop: Which loop it would go on with; None where it may be made.
    """

    def __init__(self, agent: WatchedAgent, call: ToolCall, at: str) -> None:
        """Takes a call before it is made."""
        self._agent = agent
        self._call = call
        self._at = at
        self.loop = agent.watch.loop([call], at)

    def told(self, answer: ToolAnswer) -> str:
        """Takes down how it has ended; returns what the model is told, with a hint before it would loop."""
        [answer] = self._agent.watch.note([self._call], [answer], self._at)
        return answer.text


class WatchedAgent:
    """The calls of one agent in one run of it.

    Attributes:
        watch: Knows its last ones.
        run: By which it is told from other runs.
    """

    def __init__(self, watch: LoopWatch, run: object) -> None:
        """Begins to watch, see the attributes."""
        self.watch = watch
        self.run = run
        self._asked = 0
        self._under_way: dict[str, str] = {}

    @contextmanager
    def asks(self, tool: ToolEntry, arguments: Mapping[str, Any]) -> Iterator[AskedCall]:
        """Watches one call to its end; equal ones that go on side by side, as of one turn, are one."""
        call = ToolCall(id="", name=tool.name, arguments=dict(arguments))
        key = EarlierCalls.key(tool, arguments)
        self._asked += 1
        at = self._under_way.get(key)
        if at is not None:
            yield AskedCall(self, call, at)
            return
        at = self._under_way[key] = f"call {self._asked}"
        try:
            yield AskedCall(self, call, at)
        finally:
            del self._under_way[key]


class AgentLoops:
    """The agents of frameworks in one saga.

    Each run of an agent is watched by itself: what a workflow gives one agent after another is no loop. What
    one of them changes is a change for all.
    """

    def __init__(self, tools: Mapping[str, ToolEntry], engine: int) -> None:
        """Begins with none.

        Args:
            tools: What they may call, by full name.
            engine: See `Snapshot`.
        """
        self._tools = tools
        self._engine = engine if engine >= 8 else 0
        self._agents: dict[tuple[int, str], WatchedAgent] = {}

    def of(self, agent: str, run: object) -> WatchedAgent:
        """Returns what watches an agent.

        Args:
            agent: Its name; may be empty.
            run: The same object for all its calls in one run.
        """
        key = id(run), agent
        if key not in self._agents:  # it keeps the run, so that the id stays its own
            self._agents[key] = WatchedAgent(LoopWatch(agent, self._tools, None, self._engine), run)
        return self._agents[key]

    def forget(self) -> None:
        """Begins anew with all of them: something has changed."""
        for agent in self._agents.values():
            agent.watch.guard.forget()
