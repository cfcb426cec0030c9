"""Stock tools under the fault explorer: real files, real databases, and workers that are really killed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from counterstep.testing.explore import explore
from counterstep.tests.support.processes.postgres import new_database, postgresql
from counterstep.tests.support.stock import booking_server, ledger, workshop

pytestmark = pytest.mark.slow

SUPPORT = "counterstep.tests.support.stock"


async def test_files_are_as_before_wherever_the_task_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COUNTERSTEP_STOCK_ROOTS", str(tmp_path))
    report = await explore(
        workshop.spec(),
        bundles=["counterstep.stock:stock", f"{SUPPORT}.workshop:workshop"],
        effects=f"{SUPPORT}.workshop:standing",
        prepare=f"{SUPPORT}.workshop:prepare",
        shrink=False,
    )
    assert report.ok, report.text()
    # Seven calls that change something, each broken in seven ways and its undo in five.
    assert report.totals()["faults_injected"] == 7 * 12 + 5


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'rows.sqlite'}"
        return
    with postgresql() as address:
        yield new_database(address)


async def test_rows_are_as_before_wherever_the_task_is_broken(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COUNTERSTEP_STOCK_DATABASE", database)
    monkeypatch.setenv("COUNTERSTEP_STOCK_TABLES", "lines:select+insert+update+delete")
    ledger.make_tables()
    report = await explore(
        ledger.spec(),
        bundles=["counterstep.stock:stock", f"{SUPPORT}.ledger:ledger"],
        effects=f"{SUPPORT}.ledger:standing",
        prepare=f"{SUPPORT}.ledger:prepare",
        shrink=False,
    )
    assert report.ok, report.text()
    assert report.totals()["faults_injected"] == 3 * 12 + 5


async def test_no_booking_is_left_on_a_server_wherever_the_task_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COUNTERSTEP_STOCK_DATABASE", f"sqlite:///{tmp_path / 'keys.sqlite'}")
    monkeypatch.setenv("COUNTERSTEP_STOCK_HOSTS", booking_server.ADDRESS)
    monkeypatch.setenv("COUNTERSTEP_STOCK_HOTEL_SECRET", "s3cret-of-hotel")
    with booking_server.BookingServer().serving() as site:
        report = await explore(
            booking_server.spec(),
            bundles=[f"{SUPPORT}.booking_server:hotel", f"{SUPPORT}.booking_server:stock"],
            effects=f"{SUPPORT}.booking_server:standing",
            shrink=False,
            parallel=3,  # all keys are in one file of SQLite
        )
    assert report.ok, report.text()
    assert report.totals()["faults_injected"] == 2 * 12
    assert len(site.ids) > 24
