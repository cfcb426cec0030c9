"""Asks what is not a member: an embedding model, and the pool for one of several equals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Final

from temporalio import workflow
from temporalio.exceptions import ActivityError

from ...agents.agent_outcome import AgentOutcome
from ...agents.assignment import Assignment
from ...agents.model_calls.model_caller import ModelCaller
from ...agents.model_calls.model_room import SHORTEST_ANSWER
from ...agents.model_protocol import ChatMessage, ModelRequest
from ...calls.caller import Caller
from ...errors import FailureType
from ...failure import Failed
from ...history_format import SELECT_AGENT
from ...ledger.call_id import CallId
from ...ledger.idempotency import idempotency_key
from ...routing.outcomes import IMPORTANCE, VERDICT, JobOutcome
from ...routing.selection import Drawn, Selection, SelectionRequest
from ...routing.telling import note_outcomes
from ...spec.teams.member import Person
from ...temporal.stop_scope import StopScope
from ..moves import Comparison, Draw

_OF_THE_AGENT: Final = {
    FailureType.INVALID_OUTPUT,
    FailureType.GAVE_UP,
    FailureType.MAX_TURNS,
    FailureType.CAP_REACHED,
    FailureType.LOOP_DETECTED,
    FailureType.TEAM_FAILED,
    FailureType.REJECTED,
}
"""Failures that say something of the agent: it was asked, could have answered, and has not."""


class Consultant:
    """Asks services on behalf of the teams of one task."""

    def __init__(self, models: ModelCaller, caller: Caller, root_key: str) -> None:
        """Prepares to ask.

        Args:
            models: Asks embedding models, within the budgets.
            caller: Makes the local activities.
            root_key: See `idempotency_key`.
        """
        self._models = models
        self._caller = caller
        self._root_key = root_key

    async def compare(
        self, question: Comparison, team: str, job: Assignment, path: str, label: str, scope: StopScope
    ) -> AgentOutcome:
        """Asks an embedding model how similar a text is to phrases.

        Args:
            question: What it is asked.
            team: The full name of the team that asks.
            job: What the team is to do.
            path: The place of the turn in the task.
            label: What the Web UI shows.
            scope: What it is stopped with.

        Returns:
            The greatest similarity to the phrases of each name.

        Raises:
            Failed: It has not answered.
            Stopped: The scope was stopped.
        """
        request = ModelRequest(
            agent=team,
            models=(question.model,),
            messages=(ChatMessage(role="user", content=question.text),),
            phrases=dict(question.phrases),
            max_tokens=SHORTEST_ANSWER,
        )
        reply = await self._models.ask(
            job.step,
            f"{path}/model.1",
            job.round,
            request,
            scope,
            label,
            retry=job.retry,
            task_queue=job.task_queue,
        )
        return AgentOutcome(output=reply.output)

    async def draw(
        self, question: Draw, agents: Mapping[str, str], job: Assignment, path: str
    ) -> AgentOutcome:
        """Draws one of several members; it never fails, for the first one can do the job, too.

        Args:
            question: Of whom.
            agents: Their full names, by what the team calls them.
            job: What the team is to do.
            path: The place of the turn in the task.

        Returns:
            Whom, and how each of them stood.
        """
        keys = {agents[key]: key for key in question.members}
        key = idempotency_key(self._root_key, path, job.round)
        asked = SelectionRequest(agents=tuple(keys), ahead=question.ahead, key=key)
        try:
            answer = await self._caller.local(
                SELECT_AGENT,
                asked.model_dump(mode="json"),
                activity_id=str(CallId(path, job.round)),
                timeout=timedelta(seconds=10),
                summary=f"draw one of {', '.join(question.members)}",
            )
        except ActivityError as error:
            workflow.logger.warning("nobody was drawn, and the first one does it: %s", error.cause or error)
            return AgentOutcome(output={"to": question.members[0], "known": False, "chances": {}})
        drawn = Selection.model_validate(answer)
        chances = {keys[name]: chance.model_dump(mode="json") for name, chance in drawn.chances.items()}
        return AgentOutcome(output={"to": keys[drawn.agent], "known": drawn.known, "chances": chances})

    def with_draw(self, outcome: AgentOutcome, agent: str, path: str, round_: int) -> AgentOutcome:
        """Returns what came of a job with who was drawn for it, so that a verdict on it is reported."""
        drawn = Drawn(agent=agent, key=idempotency_key(self._root_key, path, round_))
        return replace(outcome, drawn=(*outcome.drawn, drawn))

    async def report_importance(
        self, scores: Mapping[str, float], members: Mapping[str, str | Person], job: Assignment
    ) -> None:
        """Reports how much each member of a team has added to its answer; people are not reported.

        Args:
            scores: The score of each, by what the team calls it.
            members: Who they are.
            job: What the team has done.
        """
        outcomes = [
            JobOutcome(
                kind=IMPORTANCE,
                agent=member,
                score=scores[key],
                key=idempotency_key(self._root_key, f"{job.path}/{key}", job.round),
            )
            for key, member in members.items()
            if not isinstance(member, Person)
        ]
        await note_outcomes(self._caller, outcomes, str(CallId(job.path, job.round).within("importance")))

    async def report_failure(self, failed: Failed, agent: str, path: str, round_: int) -> None:
        """Reports that somebody who was drawn for a job has not done it, where that is its own failure."""
        if failed.failure.type not in _OF_THE_AGENT:
            return
        key = idempotency_key(self._root_key, path, round_)
        outcome = JobOutcome(kind=VERDICT, agent=agent, score=0.0, key=key)
        await note_outcomes(self._caller, [outcome], str(CallId(path, round_).within("outcome")))
