"""What the tests of foreign agents share: a provider that counts, and bookings as rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from counterstep.tests.support.foreign.provider import Provider, provider
from counterstep.tests.support.foreign.served import ORDERS, Orders
from counterstep.tests.support.foreign.travel import BOOKINGS, Bookings


@pytest.fixture
def paid(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    """A provider whom the workers of this process ask."""
    with provider() as played:
        for name, value in played.environment.items():
            monkeypatch.setenv(name, value)
        yield played


@pytest.fixture
def bookings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bookings:
    """The database of the bookings."""
    path = tmp_path / "bookings.sqlite"
    monkeypatch.setenv(BOOKINGS, str(path))
    return Bookings(path)


@pytest.fixture
def orders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Orders:
    """The database of what is served."""
    monkeypatch.setenv(ORDERS, str(tmp_path / "orders.sqlite"))
    return Orders(tmp_path / "orders.sqlite")
