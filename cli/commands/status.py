"""``counterstep status``: how a task stands."""

from __future__ import annotations

from ..arguments.options import Address, Codec, Json, Namespace, TaskId
from ..terminal.output import emit, say


def status(
    id: TaskId, address: Address = None, namespace: Namespace = None, codec: Codec = None, json: Json = False
) -> None:
    """Show how a task stands: its board, or what the server knows where no worker can be asked."""
    from ..arguments.server_target import find_target
    from ..operations.find_board import look_up
    from ..terminal.forced_end import left_lines
    from ..terminal.live_board import print_board
    from ..terminal.questions import decision_lines, questions_of

    target = find_target(address, namespace, codec)
    board, note = target.ask(look_up(target, id))
    if note:
        say(note)
    if json:
        emit(board)
        return
    print_board(board)
    for line in left_lines(board, target.options()):
        say(line)
    for line in decision_lines(board):
        say(line)
    for question in questions_of(board, target.options()):
        for line in question.lines():
            say(line)
    link = target.link(id)
    if link:
        say(link)
