"""The keys of requests: what was sent, what was answered, and what may not be sent any more.

A request to somebody else's server is in no transaction of ours, so a key goes through more states than that
of rows: ``sent`` before it is sent, ``done`` with its answer, ``undoing`` before its undo, ``undone``.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import select, update

from ..saga.errors import NotApplied
from .database import DONE, KEYS, UNDONE, is_new, transaction

SENT: Final = "sent"
UNDOING: Final = "undoing"


def begin(key: str, task_id: str) -> tuple[bool, Any]:
    """Writes down that a request is about to be sent.

    Returns:
        Whether it is the first one under its key, and the answer, where there is one already.

    Raises:
        NotApplied: The call was undone before.
    """
    with transaction() as connection:
        if is_new(connection, key, SENT, task_id):
            return True, None
        row = connection.execute(select(KEYS.c.state, KEYS.c.change).where(KEYS.c.key == key)).one()
    if row.state in (UNDOING, UNDONE):
        raise NotApplied("this call has been undone before")
    return False, row.change


def finish(key: str, answer: Any) -> None:
    """Writes an answer down.

    Raises:
        RuntimeError: The undo has begun meanwhile.
    """
    with transaction() as connection:
        this = (KEYS.c.key == key) & KEYS.c.state.in_((SENT, DONE))
        if not connection.execute(update(KEYS).where(this).values(state=DONE, change=answer)).rowcount:
            raise RuntimeError("this call was undone while it ran")


def bar(key: str, task_id: str, *, happened: bool) -> tuple[bool, Any]:
    """Bars a key for good; returns whether there may be something to undo, and the answer if it is known.

    Args:
        key: The call's key.
        task_id: The task.
        happened: Whether it is known that the request was sent, whatever is kept of it here.
    """
    with transaction() as connection:
        if is_new(connection, key, UNDOING if happened else UNDONE, task_id):
            return happened, None
    with transaction() as connection:
        this = (KEYS.c.key == key) & (KEYS.c.state != UNDONE)
        if not connection.execute(update(KEYS).where(this).values(state=UNDOING)).rowcount:
            return False, None
        return True, connection.execute(select(KEYS.c.change).where(KEYS.c.key == key)).scalar_one()


def settle(key: str) -> None:
    """Writes down that a call is undone."""
    with transaction() as connection:
        connection.execute(update(KEYS).where(KEYS.c.key == key).values(state=UNDONE))
