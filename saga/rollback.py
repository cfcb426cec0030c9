"""Runs undos in the order that the ledger allows."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from temporalio import workflow

from .book import Book
from .caller import Caller
from .failure import Failed


async def roll_back(
    book: Book,
    caller: Caller,
    reason: str,
    *,
    within: Iterable[str] | None = None,
    sequential: bool = False,
) -> bool:
    """Undoes what the ledger lists, side by side where the order allows it.

    Args:
        book: The task's record.
        caller: Makes the calls.
        reason: Why; every compensation is told.
        within: Only these entries; None for all.
        sequential: Strictly one by one, newest start first.

    Returns:
        True when everything is undone; False when an undo failed past its retries, which holds back only
        the undos ordered after it.
    """
    chosen = None if within is None else frozenset(within)
    running: dict[asyncio.Task[None], str] = {}
    while True:
        for entry_id in book.ledger.ready(within=chosen, sequential=sequential):
            entry = book.begin_undo(entry_id)
            running[asyncio.create_task(caller.undo(entry, reason))] = entry_id
        if not running:
            return not book.ledger.open(within=chosen)
        done, _ = await workflow.wait(list(running), return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            entry_id = running.pop(task)
            try:
                task.result()
            except Failed as failed:
                book.fail_undo(entry_id, failed.failure.message)
            else:
                book.finish_undo(entry_id)
