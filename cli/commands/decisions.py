"""``counterstep decisions``: what the teams of a task have decided."""

from __future__ import annotations

from typing import Annotated

import typer

from ..arguments.options import Address, Codec, Namespace, TaskId
from ..terminal.output import emit_lines, say


def decisions(
    id: TaskId,
    address: Address = None,
    namespace: Namespace = None,
    codec: Codec = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a line, for each decision, to stdout.")
    ] = False,
) -> None:
    """Show what the teams of a task have decided, with costs and rewards.

    Whom they have asked, why, what was sent, how answers were combined and why they have stopped. What people
    have decided is not here: `status` has it, as `decisions` of the board.
    """
    from ...client.team_decisions import team_decisions
    from ..arguments.server_target import find_target
    from ..operations.find_board import look_up_whole
    from ..terminal.decision_table import print_decisions

    target = find_target(address, namespace, codec)
    found = team_decisions(target.ask(look_up_whole(target, id, what="What teams have decided")))
    if not found:
        say(f"No team has decided anything in {id}: it has none, or none has begun.")
    elif json:
        emit_lines(decision.model_dump(mode="json") for decision in found)
    else:
        print_decisions(found)
