"""What the teams of a task have decided, one by one, with costs and rewards: made of its board."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from ..saga.record.step_record import UNDER_WAY
from ..saga.record.task_state import ENDED
from ..saga.record.team_log import Operation
from .board import Spent

Code = Literal["O1", "O2", "O3", "O4", "O5"]

TurnEnd = Literal["running", "kept", "undone", "failed", "stopped"]

_CODES: Final[Mapping[Operation, Code]] = {
    "spawn": "O1",
    "delegate": "O2",
    "communicate": "O3",
    "aggregate": "O4",
    "stop": "O5",
}

_LOST: Final[Mapping[str, TurnEnd]] = {"failed": "failed", "undone": "undone", "stopped": "stopped"}

_Move = Mapping[str, Any]


class TeamVerdict(BaseModel):
    """One verdict on what a team has answered.

    Attributes:
        validator: Who says so.
        passed: Whether it lets the answer pass.
        score: From 0 to 1 where the validator scores.
        reasons: Why.
    """

    model_config = ConfigDict(frozen=True)

    validator: str
    passed: bool
    score: float | None = None
    reasons: tuple[str, ...] = ()


class TeamReward(BaseModel):
    """How good a decision was, as far as the task can tell.

    Attributes:
        turn: What became of the turn that was decided: ``kept`` as a part of the answer (of a team that goes
            on: so far), ``undone`` (not chosen, superseded, or rolled back), ``failed``, ``stopped`` before
            its end, or still ``running``; None for ``stop``, which asks nobody.
        verdicts: The verdicts of the step's validators on what the team has answered.
        step: The state of the step, as on the board; None where no step of the board is meant.
        task: The state of the task, as on the board.
    """

    model_config = ConfigDict(frozen=True)

    turn: TurnEnd | None = None
    verdicts: tuple[TeamVerdict, ...] = ()
    step: str | None = None
    task: str


class TeamCombination(BaseModel):
    """What has become the answer of a team.

    Attributes:
        kept: The paths of the turns whose effects stand.
        contradictions: Where answers contradict each other.
        importance: How much each member has added to the answer, as parts of 1; empty where the members were
            not asked for that.
    """

    model_config = ConfigDict(frozen=True)

    kept: tuple[str, ...]
    contradictions: tuple[Mapping[str, Any], ...] = ()
    importance: Mapping[str, float] = Field(default_factory=dict)


class TeamDecision(BaseModel):
    """One decision of a team: one line of ``counterstep decisions --json``.

    Attributes:
        format: The version of this format.
        task_id: The workflow id of the task.
        task: The task's name.
        n: Its place among the decisions of this export, counted from 1.
        at: When it was made, in UTC.
        code: ``O1`` to ``O5``, in the order of the operations.
        operation: ``spawn`` asks a member for the first time, ``delegate`` asks it again, ``communicate``
            asks it again and tells it something, ``aggregate`` lets one answer be made of several, and
            ``stop`` ends the team.
        team: The path of the team: its step, and the turns around it where it is inside of another one.
        step: The step of the board that it belongs to; None if there is none.
        pattern: The pattern of the team; ``delegates`` for an agent that asks others like tools.
        run: Which run of the team it is, counted from 1: it runs again where its step is tried again.
        member: Who was asked, as the team calls it; None for ``stop``.
        call: The path of the turn; None for ``stop``.
        reason: Why: why this member now, how the answer came about, or why the team stops.
        sent: What the team has told the member beside its own input; a large one is replaced by a sentence
            that gives its size.
        combined: For ``stop`` with an answer: what that is made of.
        route: Of a job that a router gives to a member: ``to`` (an intent or a member), ``stage`` (what has
            decided it), ``confidence``, and ``draw`` where equals were drawn from: how each stood.
        error: Why the turn has failed, or was undone.
        cost: What the turn has spent on models, with the turns inside of it; nothing for ``stop``.
        reward: How good the decision was.
    """

    model_config = ConfigDict(frozen=True)

    format: Literal[1] = 1
    task_id: str
    task: str
    n: int
    at: datetime
    code: Code
    operation: Operation
    team: str
    step: str | None = None
    pattern: str
    run: int
    member: str | None = None
    call: str | None = None
    reason: str
    sent: Any = None
    combined: TeamCombination | None = None
    route: Mapping[str, Any] | None = None
    error: str | None = None
    cost: Spent
    reward: TeamReward


def team_decisions(board: Mapping[str, Any]) -> list[TeamDecision]:
    """Reads what teams have decided from a board.

    Args:
        board: The board of a task, as its query gives it.

    Returns:
        The decisions, oldest first; none where no team has played.
    """
    return _Moves(board).decisions()


class _Moves:
    """The moves of one board, and what became of each."""

    def __init__(self, board: Mapping[str, Any]) -> None:
        self._board = board
        self._moves: Sequence[_Move] = board.get("moves", ())
        self._runs = _runs(self._moves)
        self._last = {move["team"]: run for move, run in zip(self._moves, self._runs, strict=True)}
        self._ends: dict[str, TurnEnd] = {}

    def decisions(self) -> list[TeamDecision]:
        # Turns begin inside of others only after these, so what is around a turn is known before it.
        return [
            self._decision(number, move, run)
            for number, (move, run) in enumerate(zip(self._moves, self._runs, strict=True), 1)
        ]

    def _decision(self, number: int, move: _Move, run: int) -> TeamDecision:
        team, call = move["team"], move.get("call")
        step = step_of(team, self._board.get("steps", {}))
        end = self._end(move, run, step) if call else None
        if call and end:
            self._ends[call] = end
        return TeamDecision(
            task_id=self._board.get("task_id", ""),
            task=self._board["task"],
            n=number,
            at=move["at"],
            code=_CODES[move["operation"]],
            operation=move["operation"],
            team=team,
            step=step,
            pattern=move["pattern"],
            run=run,
            member=move.get("member"),
            call=call,
            reason=move["reason"],
            sent=move.get("said"),
            combined=self._combined(move, number - 1, run),
            route=move.get("route"),
            error=move.get("error"),
            cost=Spent.model_validate(move.get("usage") or {}),
            reward=TeamReward(
                turn=end,
                verdicts=self._verdicts(team, run, step),
                step=self._board["steps"][step]["state"] if step else None,
                task=self._board["state"],
            ),
        )

    # --- what became of a turn

    def _end(self, move: _Move, run: int, step: str | None) -> TurnEnd:
        call, team, state = str(move["call"]), move["team"], move["state"]
        if state in ("failed", "undone", "stopped"):
            return _LOST[state]
        around = {self._ends[path] for path in _around(call) if path in self._ends}
        if run < self._last[team] or around & {*_LOST.values()} or self._is_undone(call, step):
            return "undone" if state == "answered" else "stopped"
        is_over = self._board["state"] in ENDED or not self._is_open(step)
        if state == "running":
            return "stopped" if is_over else "running"
        return "kept" if call in self._kept(team, run) or not is_over else "undone"

    def _is_open(self, step: str | None) -> bool:
        """Returns whether the step may still go on; of what has no step, the task tells."""
        return step is None or self._board["steps"][step]["state"] in UNDER_WAY

    def _is_undone(self, call: str, step: str | None) -> bool:
        recovered = (self._board.get("recovery") or {}).get("undone", ())
        if step is not None and (self._board["steps"][step]["state"] == "undone" or step in recovered):
            return True
        # What a child has done for the team has the child's path and round in front of its own.
        inside = re.compile(rf"(?:.+/\d+/)?{re.escape(call)}/")
        states = {entry["state"] for entry in self._board.get("ledger", ()) if inside.match(entry["id"])}
        return "undone" in states and states <= {"undone", "void"}

    def _kept(self, team: str, run: int) -> tuple[str, ...]:
        for number, (move, of) in enumerate(zip(self._moves, self._runs, strict=True)):
            combined = self._combined(move, number, of) if (move["team"], of) == (team, run) else None
            if combined is not None:
                return combined.kept
        return ()

    def _combined(self, move: _Move, index: int, run: int) -> TeamCombination | None:
        if "kept" not in move:
            return None
        calls = {
            _number_of(before["call"]): before["call"]
            for before, of in zip(self._moves[:index], self._runs, strict=False)
            if before.get("call") and (before["team"], of) == (move["team"], run)
        }
        return TeamCombination(
            kept=tuple(calls[number] for number in move["kept"] if number in calls),
            contradictions=tuple(move.get("contradictions", ())),
            importance=move.get("importance", {}),
        )

    # --- what validators say

    def _verdicts(self, team: str, run: int, step: str | None) -> tuple[TeamVerdict, ...]:
        if step is None:
            return ()
        if run == self._last[team]:
            found = self._board["steps"][step]["verdicts"]
            keys = TeamVerdict.model_fields
            return tuple(TeamVerdict(**{key: verdict[key] for key in keys}) for verdict in found)
        begin, end = self._begin(team, run), self._begin(team, run + 1)
        return tuple(
            TeamVerdict(
                validator=line["who"],
                passed=line["what"] == "passed",
                reasons=(line["why"],) if line["why"] else (),
            )
            for line in self._board.get("log", ())
            if line["step"] == step and line["what"] in ("passed", "rejected") and begin <= line["at"] < end
        )

    def _begin(self, team: str, run: int) -> str:
        moves = zip(self._moves, self._runs, strict=True)
        return next(str(move["at"]) for move, of in moves if (move["team"], of) == (team, run))


def _runs(moves: Sequence[_Move]) -> list[int]:
    """Returns of each move which run of its team it belongs to: in each, the numbers of turns grow."""
    begun: dict[str, int] = {}
    last: dict[str, int] = {}
    found = []
    for move in moves:
        team = move["team"]
        number = _number_of(move["call"]) if move.get("call") else None
        if number is not None:
            begun[team] = begun.get(team, 1) + (number <= last.get(team, 0))
            last[team] = number
        found.append(begun.setdefault(team, 1))
    return found


def _number_of(call: str) -> int:
    return int(call.rpartition(".")[2])


def _around(call: str) -> list[str]:
    """Returns the paths of which a call may be a part."""
    parts = call.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def step_of(path: str, steps: Mapping[str, Any]) -> str | None:
    """Returns the step to which a path belongs: the longest one that it begins with."""
    found = [name for name in steps if path == name or path.startswith((f"{name}/", f"{name}["))]
    return max(found, key=len, default=None)
