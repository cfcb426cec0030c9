"""The turns of a team in one workflow: begun, awaited and undone as the planner says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from temporalio import workflow

from ..agents.agent_outcome import AgentOutcome
from ..agents.assignment import Assignment
from ..calls.rollback import Rollback
from ..errors import ExpressionError, FailureType
from ..failure import Failed, Failure, trim
from ..record.no_way_on import is_no_way_on
from ..record.task_record import TaskRecord
from ..record.team_log import STOPPED, Operation
from ..spec.catalog import AgentEntry
from ..spec.teams.pattern import DIFFICULTY
from ..temporal.stop_scope import StopScope
from .member_caller import MemberCaller
from .moves import AskMembers, AwaitTurn, Draw, GiveAnswer, MemberCall, Move, Planner, ReachLimit, UndoTurns
from .state import TeamState, Turn, TurnState


class TeamPlay:
    """The turns of one team.

    Attributes:
        team: Which.
        job: What it is to do.
        state: How far it has come.
        outcomes: What came of the turns that have answered, by number.
    """

    def __init__(
        self,
        team: AgentEntry,
        job: Assignment,
        planner: Planner,
        members: MemberCaller,
        record: TaskRecord,
        rollback: Rollback,
        *,
        state: TeamState | None = None,
        outcomes: Mapping[int, AgentOutcome] | None = None,
        first: int = 1,
    ) -> None:
        """Begins a team, or goes on with it.

        Args:
            team: See the attributes.
            job: See the attributes.
            planner: Says what comes next.
            members: Asks members.
            record: The record of this workflow.
            rollback: Undoes what members did.
            state: See the attributes; None where it begins.
            outcomes: See the attributes.
            first: The number of the first turn that is in the ledger of this workflow.
        """
        assert team.team is not None
        self.team = team
        self.job = job
        self.state = state or TeamState(input=job.input)
        self.outcomes = dict(outcomes or {})
        self._pattern = team.team
        self._planner = planner
        self._members = members
        self._record = record
        self._rollback = rollback
        self._first = first
        self._played_in: dict[int, str] = {}
        self._scopes: dict[int, StopScope] = {}
        self._tasks: dict[asyncio.Task[AgentOutcome], Turn] = {}

    @property
    def size(self) -> int:
        """Bytes of the turns."""
        return sum(len(turn.model_dump_json().encode()) for turn in self.state.turns)

    async def play(self, scope: StopScope, is_full: Callable[[], bool]) -> Move:
        """Plays until a move comes that is not for here.

        Args:
            scope: The part of the task that it belongs to.
            is_full: Asked before turns are begun; True where that is to be done elsewhere.

        Returns:
            A move that ends the team, one that undoes turns which are not in the ledger of this workflow, or
            where it is full one that asks members; then nothing of the team runs any more.

        Raises:
            Failed: The team has failed.
            Stopped: The scope was stopped.
        """
        while True:
            scope.check(self.job.step)
            match self._next():
                case AskMembers(calls) as move:
                    if not is_full():
                        for call in calls:
                            self._begin(call, scope)
                    elif self._tasks:
                        await self._next_end(scope)
                    else:
                        return move
                case AwaitTurn():
                    await self._next_end(scope)
                case UndoTurns(turns, reason) if all(number >= self._first for number in turns):
                    await self._undo(turns, reason, scope)
                case move:
                    return move

    async def settle(self, move: Move, scope: StopScope) -> None:
        """Comes to rest before a move that is not for here: what it undoes and still runs is stopped.

        Args:
            move: What `play` has returned.
            scope: As for `play`.

        Raises:
            Failed: A turn that was waited for has failed so that the team has.
            Stopped: The scope was stopped.
        """
        running = {turn.number for turn in self.state.running}
        reason = f"{self.team.name} has ended"
        match move:
            case GiveAnswer(keep=keep) | ReachLimit(keep=keep):
                losers = running - keep
            case UndoTurns(turns, why):
                losers, reason = running & turns, why
            case _:
                losers = running
        if losers:
            await self._undo(losers, reason, scope)
        while self._tasks:
            await self._next_end(scope)

    def take_over(self, turns: Sequence[Turn], outcomes: Mapping[int, AgentOutcome], prefix: str) -> None:
        """Adds turns that were played in a child; what has to be undone of them is in the ledger.

        Args:
            turns: Those.
            outcomes: What came of them, by number.
            prefix: What stands in the ledger before the ids that the child has used.
        """
        self.state = self.state.model_copy(update={"turns": (*self.state.turns, *turns)})
        self.outcomes.update(outcomes)
        self._played_in.update({turn.number: prefix for turn in turns})

    def path_of(self, turn: Turn) -> str:
        """Returns the place of a turn in the task."""
        return self._members.path_of(turn)

    def entries(self, number: int) -> frozenset[str]:
        """Returns the entries of a turn in the ledger of this workflow."""
        if number < self._first:
            return frozenset()
        path = self.path_of(self.state.turns[number - 1])
        return self._record.ledger.under(f"{self._played_in.get(number, '')}{path}")

    def _next(self) -> Move:
        try:
            return self._planner.next(self.state.without(DIFFICULTY))
        except ExpressionError as error:
            raise self._failed(FailureType.EXPRESSION, f"{self.team.name}: {error}") from None

    # --- turns

    def _begin(self, call: MemberCall, scope: StopScope) -> Turn:
        turn = Turn(
            number=len(self.state.turns) + 1,
            member=call.member,
            purpose=call.purpose,
            round=call.round,
            builds_on=call.builds_on,
        )
        known = any(before.member == turn.member for before in self.state.turns)
        operation: Operation = "communicate" if call.say else "delegate"
        if call.aggregates:
            operation = "aggregate"
        elif not known:
            operation = "spawn"
        if not isinstance(call.service, Draw):  # what was drawn is told with the job
            told: dict[str, Any] = {} if call.route is None else {"route": dict(call.route)}
            path = self.path_of(turn)
            self._decide(operation, call.reason, call=path, member=turn.member, said=call.say, **told)
        own = self._scopes[turn.number] = StopScope(scope)
        depends_on = self.job.depends_on.union(*(self.entries(number) for number in call.builds_on))
        self.state = self.state.begin(turn)
        self._tasks[asyncio.create_task(self._members.ask(turn, call, depends_on, own))] = turn
        return turn

    async def _next_end(self, scope: StopScope) -> None:
        """Waits until a turn has ended, and records what came of it."""
        await workflow.wait_condition(lambda: any(task.done() for task in self._tasks))
        for task, turn in [item for item in self._tasks.items() if item[0].done()]:
            await self._end(task, turn, scope)

    async def _end(self, task: asyncio.Task[AgentOutcome], turn: Turn, scope: StopScope) -> None:
        del self._tasks[task]
        path = self.path_of(turn)
        try:
            outcome = task.result()
        except Failed as failed:
            self._record.teams.end(path, TurnState.FAILED, failed.failure.message)
            if scope.stopped:
                raise
            if failed.ends_step or is_no_way_on(self._record, failed, self.job.path):
                self.state = self.state.change(turn.number, state=TurnState.FAILED, failure=failed.failure)
                raise
            await self._take_back([turn.number], str(failed.failure), scope)
            self.state = self.state.change(turn.number, state=TurnState.FAILED, failure=failed.failure)
        else:
            self.outcomes[turn.number] = outcome
            self._record.teams.end(path, TurnState.ANSWERED)
            self.state = self.state.change(turn.number, state=TurnState.ANSWERED, output=outcome.output)

    async def _undo(self, numbers: Iterable[int], reason: str, scope: StopScope) -> None:
        """Undoes turns; those that have not ended are stopped, and waited for."""
        wanted = set(numbers)
        running = {task: turn for task, turn in self._tasks.items() if turn.number in wanted}
        await self._drain(running.values(), reason)
        for task in running:
            del self._tasks[task]
        await self._take_back(wanted, reason, scope)
        for number in wanted:
            turn = self.state.turns[number - 1]
            has_answered = turn.state is TurnState.ANSWERED
            state = TurnState.UNDONE if has_answered else TurnState.FAILED
            failure = None if has_answered else self._failure(FailureType.CANCELLED, reason)
            self._record.teams.end(self.path_of(turn), state if has_answered else STOPPED, reason)
            self.state = self.state.change(number, state=state, failure=failure)
            if number in self.outcomes:  # who has taken part is still told
                self.outcomes[number] = replace(self.outcomes[number], evidence=())

    async def _take_back(self, numbers: Iterable[int], reason: str, scope: StopScope) -> None:
        entries = frozenset[str]().union(*(self.entries(number) for number in numbers))
        if not entries:
            return
        within = self._record.ledger.dependents(entries)
        if not await self._rollback.run(reason, within=within, scope=scope):
            raise self._failed(FailureType.ABANDONED, f"an undo of {self.team.name} is stuck")
        step = self._record.steps.get(self.job.step)
        if step is not None:
            step.go_on()

    async def drain(self, reason: str) -> None:
        """Stops all turns, and waits until nothing runs any more."""
        await self._drain(self._tasks.values(), reason)
        for turn in self.state.running:
            self._record.teams.end(self.path_of(turn), STOPPED, reason)

    async def _drain(self, turns: Iterable[Turn], reason: str) -> None:
        """Stops turns, and waits until nothing of them runs any more."""
        chosen = [turn.number for turn in turns]
        for number in chosen:
            self._scopes[number].stop(reason)
        waiting = [task for task, turn in self._tasks.items() if turn.number in chosen]
        await workflow.wait_condition(lambda: all(task.done() for task in waiting))
        for task in waiting:
            task.exception()  # whatever it was: why they were stopped counts

    # --- telling

    def _decide(self, operation: Operation, reason: str, **more: Any) -> None:
        self._record.teams.decide(
            operation, team=self.job.path, pattern=self._pattern.pattern, reason=reason, **more
        )
        who = more.get("member") or self.team.name
        self._record.log.add(who, f"{self._pattern.pattern}: {operation}", self.job.step, reason)

    def _failure(self, type_: str, message: str) -> Failure:
        return Failure(step=self.job.step, type=type_, message=trim(message))

    def _failed(self, type_: str, message: str) -> Failed:
        return Failed(self._failure(type_, message))
