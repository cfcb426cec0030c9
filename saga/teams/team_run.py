"""A run of a team: it is played to the end, and what does not become a part of the answer is undone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..agents.agent_outcome import AgentOutcome
from ..errors import FailureType
from ..people.questions import fits
from ..spec.json_schema import check_input, in_short
from ..spec.teams.pattern import DIFFICULTY
from ..spec.timeout import Limit
from ..temporal.stop_scope import StopScope
from .forms import numbers
from .long.long_teams import LongTeams
from .moves import AskMembers, FailTeam, GiveAnswer, MemberCall, ReachLimit, UndoTurns
from .team_play import TeamPlay

FINISH = "finish"
"""The purpose of the call that sums up what there is."""


class TeamRun(TeamPlay):
    """One run of a team in the workflow of its task; what is too much for that goes on in a child."""

    importance: Mapping[str, float] = {}
    """How much each member has added to the answer, as parts of 1; empty where nobody was asked for that."""

    async def run(self, scope: StopScope, long: LongTeams | None, timeout: Limit | None) -> AgentOutcome:
        """Plays to the end.

        Args:
            scope: The part of the task that it belongs to.
            long: Takes it to a child, and back; None where it stays here.
            timeout: The longest one call of a member may take; None for the member's own.

        Returns:
            The team's answer; what did not become a part of it is undone.

        Raises:
            Failed: The team has failed. What its members did may stand; nothing of it runs any more.
            Stopped: The scope was stopped.
        """
        try:
            while True:
                move = await self.play(scope, lambda: long is not None and long.is_due(self))
                if isinstance(move, AskMembers):
                    assert long is not None
                    move = await long.go_on(self, timeout, scope)
                match move:
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
            await self.drain(f"{self.team.name} has ended: {error}")
            raise

    # --- the end

    @property
    def _rated(self) -> frozenset[int]:
        """The turn that has rated the job: whatever comes of it builds on that."""
        return numbers(self.state.of(DIFFICULTY))

    async def _answer(self, answer: GiveAnswer, scope: StopScope, degraded: str = "") -> AgentOutcome:
        answer = replace(answer, keep=answer.keep | self._rated)
        losers = {turn.number for turn in (*self.state.running, *self.state.standing)} - answer.keep
        if losers:
            await self._undo(losers, f"not a part of the answer of {self.team.name}", scope)
        faults = check_input(self.team.output_schema, answer.output, "output")
        if faults:
            message = f"the answer of {self.team.name} does not fit: {in_short(faults)}"
            raise self._failed(FailureType.INVALID_OUTPUT, message)
        more: dict[str, Any] = {"kept": sorted(answer.keep)}
        if answer.contradictions:
            more["contradictions"] = list(answer.contradictions)
        if answer.importance:
            more["importance"] = dict(answer.importance)
            self.importance = answer.importance
        self._decide("stop", answer.reason, **more)
        if degraded:
            self._record.log.add("counterstep", "degraded", self.job.step, degraded)
            step = self._record.steps.get(self.job.step)
            if step is not None:
                step.degrade(degraded)
        kept = [self.outcomes[number] for number in sorted(answer.keep & self.outcomes.keys())]
        return AgentOutcome(
            output=answer.output,
            evidence=[item for outcome in kept for item in outcome.evidence],
            models=frozenset[str]().union(*(outcome.models for outcome in self.outcomes.values())),
            degraded=bool(degraded) or any(outcome.degraded for outcome in kept),
            drawn=tuple(drawn for outcome in kept for drawn in outcome.drawn),
        )

    async def _at_limit(self, limit: ReachLimit, scope: StopScope) -> AgentOutcome:
        """Does what the team says of its limits: fails, sums up what there is, or asks a person."""
        limit = replace(limit, keep=limit.keep | self._rated)
        losers = {turn.number for turn in (*self.state.running, *self.state.standing)} - limit.keep
        if losers:
            await self._undo(losers, limit.message, scope)
        policy = self._pattern.at_limit or self._record.policies.at(self.job.path)
        if policy == "finish":
            return await self._finish(limit, scope)
        self._decide("stop", limit.message)
        if policy == "escalate":
            return await self._escalate(limit, scope)
        raise self._failed(limit.type, f"{self.team.name}: {limit.message}")

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
        answer = await self._members.ask_about_limit(limit, fits(self.team.output_schema), scope)
        if answer is None:
            raise self._failed(limit.type, f"{self.team.name}: {limit.message}")
        value, by = answer
        supplied = GiveAnswer(value, limit.keep, f"{by} has supplied the answer")
        return await self._answer(supplied, scope)
