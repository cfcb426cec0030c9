"""What teams have given up: turns that lost, were superseded or failed, and of which nothing may stand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ...saga.ledger.call_id import CallId
from ...saga.teams.state import TurnState

_GIVEN_UP: Final = (TurnState.FAILED, TurnState.UNDONE)


class GivenUp:
    """The turns that the teams of one task have given up."""

    def __init__(self, board: Mapping[str, Any]) -> None:
        """Reads them.

        Args:
            board: The board of the task after its end.
        """
        last = {move["call"]: move["state"] for move in board.get("moves") or () if move.get("call")}
        self._turns = tuple(path for path, state in last.items() if state in _GIVEN_UP)

    def __contains__(self, call: str) -> bool:
        """Says whether a call, as ``PATH#ROUND``, was made in one of them."""
        path = CallId.parse(call).path
        return any(path == turn or path.startswith(f"{turn}/") for turn in self._turns)
