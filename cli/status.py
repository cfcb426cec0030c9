"""``counterstep status``: how a task stands."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import Address, Json, Namespace
from .output import emit, say

TaskId = Annotated[str, typer.Argument(metavar="ID", help="The workflow id of a task.")]


def status(id: TaskId, address: Address = None, namespace: Namespace = None, json: Json = False) -> None:
    """Show how a task stands: its board, or what the server knows where no worker can be asked."""
    from .lookup import look_up
    from .question import questions_of
    from .target import find_target
    from .view import print_board

    target = find_target(address, namespace)
    board, note = target.ask(look_up(target, id))
    if note:
        say(note)
    if json:
        emit(board)
        return
    print_board(board)
    for question in questions_of(board, target.options()):
        for line in question.lines():
            say(line)
    link = target.link(id)
    if link:
        say(link)
