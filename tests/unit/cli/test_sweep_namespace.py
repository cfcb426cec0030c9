"""How long a sweep still finds a history."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from counterstep.cli.operations.sweep_namespace import expiry


@pytest.mark.parametrize(
    ("closed", "retention", "deleted", "soon"),
    [
        (timedelta(0), timedelta(days=3), timedelta(days=3), False),
        (timedelta(days=-2), timedelta(days=3), timedelta(days=1), True),
        (timedelta(days=-2), None, None, False),
    ],
)
def test_a_history_that_is_deleted_soon_is_marked(
    closed: timedelta, retention: timedelta | None, deleted: timedelta | None, soon: bool
) -> None:
    now = datetime(2030, 1, 1, tzinfo=UTC)
    expected = None if deleted is None else now + deleted
    assert expiry(now + closed, retention, now) == (expected, soon)
