"""A team that is too long for the history of its task goes on in a child workflow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from temporalio import workflow

from ...children.child_call import ChildCall
from ...children.handover import HandOver
from ...children.moving import Moving
from ...effect import Effect
from ...history_format import LONG_TEAM, TEAM
from ...ledger.call_id import CallId
from ...spec.catalog import Catalog
from ...spec.timeout import Limit
from ...temporal.stop_scope import StopScope
from ..moves import FailTeam, GiveAnswer, ReachLimit, UndoTurns
from ..team_play import TeamPlay
from .moved_team import MovedTeam, TeamAnswer, unpacked

MAX_TURNS: Final = 20
"""Turns of members in one history: each is told what was said before it."""

LONG: Final = 200_000
"""Bytes of turns that stay in the history of their task."""


def is_long(taken: int) -> bool:
    """Says whether a history in which so many turns have been begun is to have no more of them."""
    return taken >= MAX_TURNS or (taken > 0 and workflow.info().is_continue_as_new_suggested())


class LongTeams:
    """Takes long teams of one task to child workflows, and back."""

    def __init__(self, moving: Moving, catalog: Catalog) -> None:
        """Prepares for long teams.

        Args:
            moving: Runs the children.
            catalog: The task's snapshot.
        """
        self._moving = moving
        self._catalog = catalog

    def is_due(self, play: TeamPlay) -> bool:
        """Says whether the next turn of a team is to be taken in a child: once it is, it stays so."""
        taken = len(play.state.turns)
        return is_long(taken) or (taken > 0 and play.size > LONG)

    async def go_on(
        self, play: TeamPlay, timeout: Limit | None, scope: StopScope
    ) -> UndoTurns | GiveAnswer | ReachLimit | FailTeam:
        """Goes on with a team in a child, until only this workflow can do what comes next.

        The child's turns become part of this team's, and its ledger of this task's.

        Args:
            play: The team, as far as it has come; nothing of it runs.
            timeout: The longest one call of a member may take; None for the member's own.
            scope: The part of the task that it belongs to; a stop cancels the child, which rolls back.

        Returns:
            What comes next.

        Raises:
            Failed: As in this workflow; what the child did is undone.
            Stopped: The scope was stopped.
        """
        job, first = play.job, len(play.state.turns) + 1
        catalog = self._catalog.only(tools=(), agents=play.team.others, validators=())
        state = MovedTeam(
            **self._moving.given(job.path, catalog.tools.values(), catalog.agents.values()),
            team=play.team,
            job=replace(job, input=None, depends_on=frozenset(), reads=None),
            timeout=timeout,
            catalog=catalog,
            first=first,
            taken=first - 1,
        )
        standing = (play.entries(turn.number) for turn in play.state.standing)
        child = ChildCall(
            step=job.step,
            path=CallId(job.path).within(f"{LONG_TEAM}.{first}").path,
            round=job.round,
            workflow=TEAM,
            input=state.as_json(),
            depends_on=job.depends_on.union(*standing),
            effect=Effect.COMPENSATABLE,
            timeout=None,
            task_queue=None,
            ends_undone=True,
            further=(state.grown(play.state, play.outcomes),),
            knows_approvals=True,
            built_on=lambda handed: _built_on(play, first, handed),
        )
        answer = TeamAnswer.model_validate(await self._moving.call(child, play.team.name, scope))
        outcomes = unpacked(answer.turns, answer.outcomes)
        play.take_over(answer.turns, outcomes, CallId(child.path, child.round).in_child(""))
        return answer.move


def _built_on(play: TeamPlay, first: int, handed: HandOver) -> Mapping[str, frozenset[str]]:
    """Says on which entries of the parent each entry of the child builds: those that its turn builds on."""
    inside = len(play.job.path) + 1
    needs: dict[str, frozenset[str]] = {}
    for turn in TeamAnswer.model_validate(handed.result).turns:
        at_home = (play.entries(number) for number in turn.builds_on if number < first)
        needs[play.path_of(turn)[inside:]] = play.job.depends_on.union(*at_home)
    return {e.id: needs[CallId.parse(e.id).path[inside:].partition("/")[0]] for e in handed.entries}
