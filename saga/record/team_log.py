"""What teams have decided in a task, and what that has cost: from this a policy can be trained."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final, Literal

from ..failure import trim
from ..limits.usage import CallUsage, Usage
from .bounded import bounded
from .decision_log import log_decision

Operation = Literal["spawn", "delegate", "communicate", "aggregate", "stop"]
"""The five kinds of decisions of an orchestrator: ask a member for the first time, give it another job, pass
on what others have said, combine answers, and stop."""

STOPPED: Final = "stopped"
"""What has become of a turn that was not let to its end: nobody can say how good it was."""

DELEGATES: Final = "delegates"
"""What stands as the pattern where an agent asks others like tools."""

MAX_MOVES: Final = 1000
"""Moves that are kept; the oldest go first."""

_MAX_SAID: Final = 2_000

_CARRIED: Final = 300
"""Moves that go on into a continued run, without what was said."""


class TeamLog:
    """The moves of all teams of one task.

    Attributes:
        moves: JSON objects, oldest first.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        """Begins an empty log; `now` is the task's clock."""
        self.moves: list[dict[str, Any]] = []
        self._now = now

    def restore(self, moves: Iterable[dict[str, Any]]) -> None:
        """Goes on with the log of an earlier run."""
        self.moves = [dict(move) for move in moves]

    def absorb(self, moves: Iterable[dict[str, Any]]) -> None:
        """Adds what was decided in a child."""
        self.moves += [dict(move) for move in moves]
        del self.moves[:-MAX_MOVES]

    def carried(self, room: int = 0) -> list[dict[str, Any]]:
        """Returns what a continued run, or the parent of a child, goes on with.

        Args:
            room: Of what was said, as many bytes as JSON go along, of the newest moves.
        """
        kept: list[dict[str, Any]] = []
        for move in reversed(self.moves[-_CARRIED:]):
            room -= len(json.dumps(move["said"])) if "said" in move else 0
            kept.append({key: part for key, part in move.items() if key != "said" or room >= 0})
        return kept[::-1]

    def decide(
        self,
        operation: Operation,
        *,
        team: str,
        pattern: str,
        reason: str,
        call: str = "",
        member: str = "",
        said: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> None:
        """Records one decision.

        Args:
            operation: Which of the five kinds.
            team: The path of the team.
            pattern: Its pattern.
            reason: Why.
            call: The path of the member's turn; empty for a decision about the team itself.
            member: Who was asked.
            said: What was passed on.
            **more: What else belongs to it; JSON.
        """
        move: dict[str, Any] = {
            "at": self._now().isoformat(),
            "operation": operation,
            "team": team,
            "pattern": pattern,
            "reason": trim(reason, 500),
        }
        if call:
            move |= {"call": call, "member": member, "state": "running", "usage": None}
        if said:
            move["said"] = bounded(said, _MAX_SAID)
        self.moves.append({**move, **more})
        log_decision(
            {"at": move["at"], "kind": operation, "what": member, "step": team, "reason": move["reason"]}
        )
        del self.moves[:-MAX_MOVES]

    def stop_asking(self, path: str, reason: str) -> None:
        """Records that an agent has ended that has asked others like tools; nothing where it has not."""
        kept: list[int] = []
        asked: list[int] = []
        for move in reversed(self.moves):
            if move["team"] != path or move["pattern"] != DELEGATES:
                continue
            number = int(move["call"].rpartition(".")[2]) if "call" in move else 0
            if not number or (asked and number >= asked[-1]):  # of an earlier time
                break
            asked.append(number)
            if move["state"] == "answered":
                kept.append(number)
        if asked:
            self.decide("stop", team=path, pattern=DELEGATES, reason=reason, kept=sorted(kept))

    def end(self, call: str, state: str, error: str = "") -> None:
        """Records what became of a member's turn."""
        for move in reversed(self.moves):
            if move.get("call") == call:
                move["state"] = state
                if error:
                    move["error"] = trim(error, 500)
                return

    def spend(self, path: str, cost: CallUsage | Usage) -> None:
        """Adds what a model call, or a child, at `path` has cost to the turns that it belongs to."""
        seen: set[str] = set()
        for move in reversed(self.moves):  # a team that is asked again has turns of the same paths
            call = move.get("call", "")
            if not call or call in seen or not path.startswith(f"{call}/"):
                continue
            seen.add(call)
            spent = move["usage"] or {"model_calls": 0, "tokens": 0, "usd": 0.0}
            move["usage"] = {
                "model_calls": spent["model_calls"] + cost.model_calls,
                "tokens": spent["tokens"] + cost.input_tokens + cost.output_tokens,
                "usd": spent["usd"] + (cost.usd or 0.0),
            }
