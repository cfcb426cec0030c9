"""The child workflow in which a long team goes on, run after run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from temporalio.common import RawValue

from ..agents.agent_loop import MAX_CONVERSATION
from ..children.moved import MovedWork
from ..history_format import TEAM
from ..ledger.carry_over import carry
from ..teams.long.long_teams import is_long
from ..teams.long.moved_team import MovedTeam, TeamAnswer, unpacked
from ..teams.moves import AskMembers
from ..teams.planners import planner_of
from ..teams.team_play import TeamPlay
from .moved_run import MovedRun, read_state


async def run_team(state: RawValue, grown: RawValue) -> Any:
    """Goes on with a team.

    Args:
        state: See `MovedTeam`.
        grown: See `MovedTeam.grown`.

    Returns:
        A `TeamAnswer` as JSON.

    Raises:
        ApplicationError: No task has started this, or the arguments are wrong, and nothing has run; or the
            team has failed in a turn, and what it did here is undone.
        asyncio.CancelledError: It was cancelled, and everything is undone.
    """
    return await _LongTeamRun(read_state(MovedTeam, TEAM, state, grown)).run()


class _LongTeamRun(MovedRun):
    """One run of the child."""

    def __init__(self, state: MovedTeam) -> None:
        """Goes on from a state that has its turns."""
        self._state = state
        team, job = state.team, replace(state.job, input=state.played.input)
        super().__init__(state, "team", team.name, job.step, state.catalog)
        assert team.team is not None
        self._play = TeamPlay(
            team,
            job,
            planner_of(team.team, state.catalog, self.context.engine),
            self.context.agents.members_of(team, job, state.timeout),
            self.record,
            self.context.rollback,
            state=state.played,
            outcomes=unpacked(state.played.turns, state.outcomes),
            first=state.first,
        )

    async def go(self) -> tuple[TeamAnswer, Any]:
        """See `MovedRun`."""
        play = self._play
        try:
            while isinstance(move := await play.play(self.scope, self._is_full), AskMembers):
                await self.continue_as_new(self._packed)
            await play.settle(move, self.scope)
        except Exception as error:
            await play.drain(f"{self._state.team.name} has ended: {error}")
            raise
        own = play.state.turns[self._state.first - 1 :]
        return TeamAnswer.of(move, own, play.outcomes, **self.told()), None

    def _is_full(self) -> bool:
        """Says whether the next turn is to be taken in another run."""
        size = self._play.size + sum(len(entry.model_dump_json()) for entry in carry(self.record.ledger))
        if size > MAX_CONVERSATION:
            raise self.too_long(
                f"the answers of {self._state.team.name} and what was done for them have {size} bytes; "
                f"the most is {MAX_CONVERSATION}"
            )
        return is_long(len(self._play.state.turns) - self._state.taken)

    def _packed(self) -> tuple[MovedTeam, Mapping[str, Any]]:
        """Returns what the next run is given."""
        play = self._play
        changes = {
            "so_far": MovedWork(**self.work()),
            "taken": len(play.state.turns),
            "played": type(play.state)(),
            "outcomes": {},
        }
        state = self._state.model_copy(update={**self.carried(), **changes})
        return state, state.grown(play.state, play.outcomes)
