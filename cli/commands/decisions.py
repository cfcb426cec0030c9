"""``counterstep decisions``: what was decided in a task, by its teams and otherwise."""

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
    """Show what was decided in a task, and why.

    Of its teams: whom they have asked, what was sent, how answers were combined and why they have stopped,
    with costs and rewards. Of the task itself: routes, retries, rungs of ladders, refusals and approvals,
    with who has decided.
    """
    from ...client.decisions import decisions_of
    from ..arguments.server_target import find_target
    from ..operations.find_board import look_up_whole
    from ..terminal.decision_table import print_decisions

    target = find_target(address, namespace, codec)
    found = decisions_of(target.ask(look_up_whole(target, id, what="What teams have decided")))
    if not found:
        say(f"No team has decided anything in {id}: it has none, or none has begun. Nor was anything else.")
    elif json:
        emit_lines(decision.model_dump(mode="json") for decision in found)
    else:
        print_decisions(found)
