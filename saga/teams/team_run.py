"""The loop that plays a team: it does what the planner says, and undoes what does not become the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from temporalio import workflow

from ..agents.agent_outcome import AgentOutcome
from ..agents.assignment import Assignment
from ..calls.rollback import Rollback
from ..errors import ExpressionError, FailureType
from ..failure import Failed, Failure, trim
from ..people.questions import fits
from ..record.task_record import TaskRecord
from ..record.team_log import Operation
from ..spec.catalog import AgentEntry
from ..spec.json_schema import check_input
from ..temporal.stop_scope import StopScope
from .member_caller import MemberCaller
from .moves import (
    AskMembers,
    AwaitTurn,
    FailTeam,
    GiveAnswer,
    MemberCall,
    Move,
    Planner,
    ReachLimit,
    UndoTurns,
)
from .state import TeamState, Turn, TurnState

FINISH = "finish"
"""The purpose of the call that sums up what there is."""

_ENDS_ALL = frozenset({FailureType.BUDGET_EXCEEDED, FailureType.HISTORY_FULL})
"""What fails a member so that the team cannot go on either."""


class TeamRun:
    """One run of a team.

    Attributes:
        state: How far it has come.
    """

    def __init__(
        self,
        team: AgentEntry,
        job: Assignment,
        planner: Planner,
        members: MemberCaller,
        record: TaskRecord,
        rollback: Rollback,
    ) -> None:
        """Begins a run.

        Args:
            team: The team.
            job: What it is to do.
            planner: Says what comes next.
            members: Asks members.
            record: The task's record.
            rollback: Undoes what members did.
        """
        assert team.team is not None
        self.state = TeamState(input=job.input)
        self._team = team
        self._pattern = team.team
        self._job = job
        self._planner = planner
        self._members = members
        self._record = record
        self._rollback = rollback
        self._outcomes: dict[int, AgentOutcome] = {}
        self._scopes: dict[int, StopScope] = {}
        self._tasks: dict[asyncio.Task[AgentOutcome], Turn] = {}

    async def run(self, scope: StopScope) -> AgentOutcome:
        """Plays to the end.

        Args:
            scope: The part of the task that it belongs to.

        Returns:
            The team's answer; what did not become a part of it is undone.

        Raises:
            Failed: The team has failed. What its members did may stand; nothing of it runs any more.
            Stopped: The scope was stopped.
        """
        try:
            while True:
                scope.check(self._job.step)
                match self._next():
                    case AskMembers(calls):
                        for call in calls:
                            self._begin(call, scope)
                    case AwaitTurn():
                        await self._next_end(scope)
                    case UndoTurns(turns, reason):
                        await self._undo(turns, reason, scope)
                    case GiveAnswer() as answer:
                        return await self._answer(answer, scope)
                    case ReachLimit() as limit:
                        return await self._at_limit(limit, scope)
                    case FailTeam(message, type_):
                        self._decide("stop", message)
                        raise self._failed(type_, message)
        except Exception as error:
            await self._drain(self._tasks.values(), f"{self._team.name} has ended: {error}")
            raise

    def _next(self) -> Move:
        try:
            return self._planner.next(self.state)
        except ExpressionError as error:
            raise self._failed(FailureType.EXPRESSION, f"{self._team.name}: {error}") from None

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
        self._decide(
            operation, call.reason, call=self._members.path_of(turn), member=turn.member, said=call.say
        )
        own = self._scopes[turn.number] = StopScope(scope)
        depends_on = self._job.depends_on.union(*(self._entries(number) for number in call.builds_on))
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
        path = self._members.path_of(turn)
        try:
            outcome = task.result()
        except Failed as failed:
            self._record.teams.end(path, TurnState.FAILED, failed.failure.message)
            if scope.stopped or failed.ends_step or failed.failure.type in _ENDS_ALL:
                raise
            await self._take_back([turn.number], str(failed.failure), scope)
            self.state = self.state.change(turn.number, state=TurnState.FAILED, failure=failed.failure)
        else:
            self._outcomes[turn.number] = outcome
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
            state = TurnState.UNDONE if turn.state is TurnState.ANSWERED else TurnState.FAILED
            failure = (
                None if turn.state is TurnState.ANSWERED else self._failure(FailureType.CANCELLED, reason)
            )
            self._record.teams.end(self._members.path_of(turn), state, reason)
            self.state = self.state.change(number, state=state, failure=failure)

    async def _take_back(self, numbers: Iterable[int], reason: str, scope: StopScope) -> None:
        entries = frozenset[str]().union(*(self._entries(number) for number in numbers))
        if not entries:
            return
        within = self._record.ledger.dependents(entries)
        if not await self._rollback.run(reason, within=within, scope=scope):
            raise self._failed(FailureType.ABANDONED, f"an undo of {self._team.name} is stuck")
        step = self._record.steps.get(self._job.step)
        if step is not None:
            step.go_on()

    async def _drain(self, turns: Iterable[Turn], reason: str) -> None:
        """Stops turns, and waits until nothing of them runs any more."""
        chosen = [turn.number for turn in turns]
        for number in chosen:
            self._scopes[number].stop(reason)
        waiting = [task for task, turn in self._tasks.items() if turn.number in chosen]
        await workflow.wait_condition(lambda: all(task.done() for task in waiting))
        for task in waiting:
            task.exception()  # whatever it was: why they were stopped counts

    def _entries(self, number: int) -> frozenset[str]:
        return self._record.ledger.under(self._members.path_of(self.state.turns[number - 1]))

    # --- the end

    async def _answer(self, answer: GiveAnswer, scope: StopScope, degraded: str = "") -> AgentOutcome:
        losers = {turn.number for turn in (*self.state.running, *self.state.standing)} - answer.keep
        if losers:
            await self._undo(losers, f"not a part of the answer of {self._team.name}", scope)
        faults = check_input(self._team.output_schema, answer.output, "output")
        if faults:
            message = f"the answer of {self._team.name} does not fit: {'; '.join(map(str, faults[:5]))}"
            raise self._failed(FailureType.INVALID_OUTPUT, message)
        more: dict[str, Any] = {"kept": sorted(answer.keep)}
        if answer.contradictions:
            more["contradictions"] = list(answer.contradictions)
        self._decide("stop", answer.reason, **more)
        if degraded:
            self._record.log.add("counterstep", "degraded", self._job.step, degraded)
            step = self._record.steps.get(self._job.step)
            if step is not None:
                step.degraded = degraded
        kept = [self._outcomes[number] for number in sorted(answer.keep & self._outcomes.keys())]
        return AgentOutcome(
            output=answer.output,
            evidence=[item for outcome in kept for item in outcome.evidence],
            models=frozenset[str]().union(*(outcome.models for outcome in self._outcomes.values())),
            degraded=bool(degraded) or any(outcome.degraded for outcome in kept),
        )

    async def _at_limit(self, limit: ReachLimit, scope: StopScope) -> AgentOutcome:
        """Does what the team says of its limits: fails, sums up what there is, or asks a person."""
        losers = {turn.number for turn in (*self.state.running, *self.state.standing)} - limit.keep
        if losers:
            await self._undo(losers, limit.message, scope)
        policy = self._pattern.at_limit
        if policy == "finish":
            return await self._finish(limit, scope)
        self._decide("stop", limit.message)
        if policy == "escalate":
            return await self._escalate(limit, scope)
        raise self._failed(limit.type, f"{self._team.name}: {limit.message}")

    async def _finish(self, limit: ReachLimit, scope: StopScope) -> AgentOutcome:
        please = "Make the best answer of what there is, now, and say in it what is missing."
        call = MemberCall(
            limit.finisher,
            FINISH,
            reason=f"sums up what there is: {limit.message}",
            say={**limit.say, "limit": limit.message, "please": please},
            builds_on=limit.keep & {turn.number for turn in self.state.standing},
            final=True,
            aggregates=True,
        )
        turn = self._begin(call, scope)
        await self._next_end(scope)
        turn = self.state.turns[turn.number - 1]
        if turn.failure is not None:
            raise self._failed(
                limit.type, f"{limit.message}, and to sum up failed too: {turn.failure.message}"
            )
        answer = GiveAnswer(
            turn.output, limit.keep | {turn.number}, f"{turn.member} has summed up what there is"
        )
        return await self._answer(answer, scope, degraded=limit.message)

    async def _escalate(self, limit: ReachLimit, scope: StopScope) -> AgentOutcome:
        answer = await self._members.ask_about_limit(limit, fits(self._team.output_schema), scope)
        if answer is None:
            raise self._failed(limit.type, f"{self._team.name}: {limit.message}")
        value, by = answer
        supplied = GiveAnswer(value, limit.keep, f"{by} has supplied the answer")
        return await self._answer(supplied, scope)

    # --- telling

    def _decide(self, operation: Operation, reason: str, **more: Any) -> None:
        self._record.teams.decide(
            operation, team=self._job.path, pattern=self._pattern.pattern, reason=reason, **more
        )
        who = more.get("member") or self._team.name
        self._record.log.add(who, f"{self._pattern.pattern}: {operation}", self._job.step, reason)

    def _failure(self, type_: str, message: str) -> Failure:
        return Failure(step=self._job.step, type=type_, message=trim(message))

    def _failed(self, type_: str, message: str) -> Failed:
        return Failed(self._failure(type_, message))
