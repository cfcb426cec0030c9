"""The bundle `banquet` with an engine that has bugs; only in a worker of the fault explorer."""

from __future__ import annotations

import os
import sys
from datetime import timedelta
from typing import Any

from counterstep.saga.calls import activity_failure, rollback
from counterstep.saga.ledger.books import Books
from counterstep.saga.ledger.ledger import EntryState, Ledger
from counterstep.tests.support.bundles.banquet import banquet

VARIABLE = "COUNTERSTEP_TEST_SABOTAGE"
"""Which bug: ``order``, ``forget`` or ``grace``."""

__all__ = ["banquet"]


def _any_order(ledger: Ledger, **options: Any) -> list[str]:
    """Lets every undo begin at once."""
    return [entry.id for entry in ledger if entry.state is EntryState.SETTLED]


def _holds_nothing(self: Books, entry_id: str) -> bool:
    return False


def _sabotage(bug: str) -> None:
    if bug == "order":
        Ledger.ready = _any_order  # type: ignore[method-assign, assignment]
        Books.is_held = _holds_nothing  # type: ignore[method-assign]
    if bug == "grace":
        setattr(activity_failure, "GRACE", timedelta())  # noqa: B010
    if bug == "forget":

        async def forget(self: rollback.Rollback, *_: Any, **__: Any) -> bool:
            return True

        rollback.Rollback.run = forget  # type: ignore[method-assign]


if getattr(sys.modules["__main__"].__spec__, "name", "") == "counterstep.testing.explorer.fault_worker":
    _sabotage(os.environ.get(VARIABLE, ""))
