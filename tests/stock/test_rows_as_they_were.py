"""Undone, rows are to the letter what they were, and rows of others that hang on them are never lost."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, DateTime, MetaData, Table, Time, create_engine, make_url
from sqlalchemy.dialects import mysql
from temporalio.exceptions import ApplicationError

from counterstep import NotApplied
from counterstep.resources.row_values import read_values
from counterstep.stock import stock
from counterstep.tests.support.processes.postgres import new_database, postgresql
from counterstep.tests.support.stock.calls import back, forward

ALL = "select+insert+update+delete"

SQLITE = """
create table thing (
    id integer primary key, made timestamp default current_timestamp, price numeric(10, 2), tags json,
    flag boolean, number real, word varchar(5), day date, loose, photo blob, count integer, self text
);
insert into thing values
    (1, '2024-05-06 07:08:09', 10.505, null, 1, 0.1, 'a', '2024-01-02', x'00', x'01', 5, 'x'),
    (2, '2024-05-06T07:08:09Z', 1234567890123456.8, 'null', 0, 9e999, x'00', 'soon', 1, 'text', 'five', 'x'),
    (3, 1714979289, 'dear', '{"b":1.10,  "a":1}', 2, null, 'a', 7, 'z', null, 9.5, null);
create table part (
    thing integer references thing (id), line decimal(6, 1), text text, primary key (thing, line)
) without rowid;
insert into part values (1, 1.25, 'first'), (1, 2, 'second');
create table loose_key (id varchar(5) primary key, text text);
insert into loose_key values (null, 'none'), ('a', 'one');
"""

POSTGRES = """
create table thing (
    id integer primary key, made timestamptz, price numeric, tags json, more jsonb, span interval,
    number real, double double precision, numbers numeric(8, 3)[], spans interval[], self text
);
insert into thing values
    (1, '2024-05-06 07:08:09.123456+02', 10.5050, null, null, '1 month', 0.1, 'NaN', '{1.500,null}',
     null, 'x'),
    (2, '2024-05-06', 'NaN', 'null', 'null', '1 year 2 mons -3 days 04:05:06.7', 1e30, '-Infinity', '{}',
     '{1 mon,"2 days"}', 'x'),
    (3, null, 1, '{"b":1.10,  "a":1, "a":2}', '{"n": 12345678901234567890.12345678901234567890}', null,
     null, 0.1, '{{1,2},{3,4}}', '{}', null);
create table part (thing integer references thing (id), line interval, text text, primary key (thing, line));
insert into part values (1, '1 month', 'first'), (1, '31 days', 'second');
"""

SHAPES = {"sqlite": SQLITE, "postgres": POSTGRES}


class Database:
    """What is in a database, as it says itself."""

    def __init__(self, address: str) -> None:
        url = make_url(address)
        self.is_sqlite = url.get_backend_name() == "sqlite"
        self.engine = create_engine(url if self.is_sqlite else url.set(drivername="postgresql+psycopg"))

    def run(self, sql: str) -> None:
        with self.engine.begin() as connection:
            for statement in filter(str.strip, sql.split(";")):
                connection.exec_driver_sql(statement)

    def all(self, *tables: str) -> list[str]:
        if self.is_sqlite:
            with closing(sqlite3.connect(str(self.engine.url.database))) as connection:
                return [repr(row) for table in tables for row in self._typed(connection, table)]
        with self.engine.begin() as connection:
            return [
                str(row)
                for table in tables
                for row in connection.exec_driver_sql(f"select t::text from {table} t order by 1").all()
            ]

    @staticmethod
    def _typed(connection: sqlite3.Connection, table: str) -> list[Any]:
        names = [row[1] for row in connection.execute(f"pragma table_info({table})")]
        wanted = ", ".join(f"{name}, typeof({name})" for name in names)
        return connection.execute(f"select {wanted} from {table} order by 1, 3").fetchall()


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with postgresql() as address:
        yield address


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def database(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Database]:
    if request.param == "sqlite":
        address = f"sqlite:///{tmp_path / 'rows.sqlite'}"
    else:
        address = new_database(request.getfixturevalue("postgres"))
    monkeypatch.setenv("COUNTERSTEP_STOCK_DATABASE", address)
    tables = ("thing", "part", "loose_key", "parent", "audit")
    monkeypatch.setenv("COUNTERSTEP_STOCK_TABLES", ", ".join(f"{table}:{ALL}" for table in tables))
    database = Database(address)
    yield database
    database.engine.dispose()


@pytest.fixture
def filled(database: Database) -> Database:
    database.run(SQLITE if database.is_sqlite else POSTGRES)
    return database


@pytest.mark.parametrize("row", [1, 2, 3])
@pytest.mark.parametrize("output", [True, False])
def test_a_row_comes_back_to_the_letter(filled: Database, row: int, output: bool) -> None:
    filled.run("delete from part")
    before = filled.all("thing")
    gone = forward(stock, "delete_rows", "k", table="thing", where={"id": row})
    assert forward(stock, "delete_rows", "k", table="thing", where={"id": row}) == gone
    assert len(filled.all("thing")) == 2
    back(stock, "delete_rows", "k", {}, gone if output else None)
    assert filled.all("thing") == before
    values = {"tags": {"new": 1}, "price": 5, "number": 2.5, "self": "me"}
    changed = forward(stock, "update_rows", "l", table="thing", where={"id": row}, values=values)
    assert changed["rows"][0]["tags"] == {"new": 1}
    back(stock, "update_rows", "l", {}, changed if output else None)
    assert filled.all("thing") == before
    assert len(forward(stock, "select_rows", "m", table="thing")) == 3


def test_a_key_of_any_type_finds_its_row(filled: Database) -> None:
    before = filled.all("part")
    forward(stock, "update_rows", "k", table="part", where={"text": "first"}, values={"text": "new"})
    assert "second" in "".join(filled.all("part"))
    forward(stock, "delete_rows", "l", table="part", where={"thing": 1})
    assert filled.all("part") == []
    back(stock, "delete_rows", "l", {})
    back(stock, "update_rows", "k", {})
    assert filled.all("part") == before


def test_no_value_is_none_also_for_json(filled: Database) -> None:
    forward(stock, "insert_row", "k", table="thing", values={"id": 9, "tags": None, "self": "mine"})
    found = forward(stock, "select_rows", "l", table="thing", where={"tags": None})
    assert [row["id"] for row in found] == [1, 9]
    forward(stock, "update_rows", "m", table="thing", where={"id": 3}, values={"tags": None})
    found = forward(stock, "select_rows", "n", table="thing", where={"tags": None})
    assert [row["id"] for row in found] == [1, 3, 9]


def test_a_key_without_a_value_finds_its_row(filled: Database) -> None:
    if not filled.is_sqlite:
        pytest.skip("only SQLite has such keys")
    before = filled.all("loose_key")
    forward(stock, "delete_rows", "k", table="loose_key", where={"text": "none"})
    assert len(filled.all("loose_key")) == 1
    back(stock, "delete_rows", "k", {})
    assert filled.all("loose_key") == before


@pytest.mark.parametrize(
    ("tool", "more"),
    [
        ("insert_row", {"values": {"id": 10**30}}),
        ("update_rows", {"where": {"id": 1}, "values": {"count": 10**30, "id": 1}}),
        ("delete_rows", {"where": {"id": 10**30}}),
        ("select_rows", {"where": {"id": 10**30}}),
    ],
)
def test_a_number_that_no_column_holds_is_refused_with_one_sentence(
    filled: Database, tool: str, more: dict[str, Any]
) -> None:
    with pytest.raises(NotApplied) as caught:
        forward(stock, tool, "k", table="thing", **more)
    assert "\n" not in str(caught.value)


REFERRING = """
create table parent (id integer primary key, code varchar(5) unique);
insert into parent values (1, 'a');
create table {child} (id integer primary key, parent integer references parent (id) on delete {action});
"""


@pytest.mark.parametrize("action", ["cascade", "set null"])
def test_rows_of_others_that_hang_on_an_inserted_row_do_not_go_with_it(
    database: Database, action: str
) -> None:
    database.run(REFERRING.format(child="other", action=action))
    forward(stock, "insert_row", "k", table="parent", values={"id": 2})
    database.run("insert into other values (7, 2)")
    theirs = database.all("parent", "other")
    with pytest.raises(
        ApplicationError, match=r"row 2 of parent was added here, and rows of other"
    ) as caught:
        back(stock, "insert_row", "k", {})
    assert (caught.value.type, caught.value.non_retryable) == ("ChangedSince", True)
    assert database.all("parent", "other") == theirs
    database.run("delete from other")
    back(stock, "insert_row", "k", {})
    assert len(database.all("parent")) == 1


def test_a_row_that_refers_to_itself_is_no_other(database: Database) -> None:
    database.run(
        "create table parent (id integer primary key, above integer references parent (id) on delete cascade)"
    )
    forward(stock, "insert_row", "k", table="parent", values={"id": 2, "above": 2})
    forward(stock, "insert_row", "l", table="parent", values={"id": 3, "above": 2})
    with pytest.raises(ApplicationError, match="row 2 of parent was added here"):
        back(stock, "insert_row", "k", {})
    back(stock, "insert_row", "l", {})
    back(stock, "insert_row", "k", {})
    assert database.all("parent") == []


def test_tables_of_other_schemas_are_seen(database: Database) -> None:
    if database.is_sqlite:
        pytest.skip("it has one schema")
    database.run("create schema books;" + REFERRING.format(child="books.entry", action="cascade"))
    database.run("insert into books.entry values (7, 1)")
    theirs = database.all("parent", "books.entry")
    with pytest.raises(NotApplied, match=r"changes rows of books.entry as well \(CASCADE\)"):
        forward(stock, "delete_rows", "k", table="parent", where={"id": 1})
    assert database.all("parent", "books.entry") == theirs


def test_a_change_that_makes_others_forget_what_they_refer_to_is_refused(database: Database) -> None:
    database.run(REFERRING.format(child="other", action="restrict"))
    database.run(
        "create table lost (id integer primary key,"
        " code varchar(5) references parent (code) on update set null)"
    )
    database.run("insert into lost values (1, 'a')")
    theirs = database.all("parent", "lost")
    with pytest.raises(NotApplied, match=r"changing parent changes rows of lost as well \(SET NULL\)"):
        forward(stock, "update_rows", "k", table="parent", where={"id": 1}, values={"code": "b"})
    assert database.all("parent", "lost") == theirs


def test_what_leaves_no_room_for_what_was_there_is_told_in_one_sentence(database: Database) -> None:
    database.run(REFERRING.format(child="other", action="restrict"))
    forward(stock, "delete_rows", "k", table="parent", where={"id": 1})
    database.run("insert into parent values (5, 'a')")
    theirs = database.all("parent")
    with pytest.raises(ApplicationError, match="what was there cannot be put back") as caught:
        back(stock, "delete_rows", "k", {})
    assert (caught.value.type, caught.value.non_retryable) == ("ChangedSince", True)
    assert "\n" not in caught.value.message
    assert database.all("parent") == theirs
    database.run("delete from parent")
    back(stock, "delete_rows", "k", {})
    assert "1" in database.all("parent")[0]


def test_an_undo_of_what_has_happened_and_is_not_kept_does_not_say_that_it_is_done(filled: Database) -> None:
    """As in a copy of the database, or where the keys of running tasks were deleted."""
    gone = forward(stock, "delete_rows", "k", table="part", where={"text": "second"})
    filled.run("delete from counterstep_keys")
    for _ in range(2):
        with pytest.raises(ApplicationError, match="the call has happened, and what was there") as caught:
            back(stock, "delete_rows", "k", {}, gone)
        assert (caught.value.type, caught.value.non_retryable) == ("ChangedSince", True)
    back(stock, "delete_rows", "k", {})  # who does not know whether it has happened bars it


def test_more_digits_than_the_column_has_are_told_too(filled: Database) -> None:
    if not filled.is_sqlite:
        pytest.skip("only SQLite keeps them")
    (row,) = forward(stock, "select_rows", "k", table="thing", where={"id": 1})
    assert row["price"] == 10.505


def test_a_time_that_was_told_finds_its_row(filled: Database) -> None:
    for row in (1, 2):
        (told,) = forward(stock, "select_rows", f"{row}", table="thing", where={"id": row})
        found = forward(stock, "select_rows", f"{row} again", table="thing", where={"made": told["made"]})
        assert [one["id"] for one in found] == [row]
    written = "2024-05-06T07:08:09"
    forward(stock, "insert_row", "k", table="thing", values={"id": 9, "made": written})
    found = forward(stock, "select_rows", "l", table="thing", where={"made": written})
    assert 9 in [one["id"] for one in found]


@pytest.mark.parametrize("name", ["at", "hour"])
def test_a_database_that_would_drop_the_offset_of_a_time_is_not_given_it(name: str) -> None:
    table = Table("parent", MetaData(), Column("at", DateTime), Column("hour", Time))
    value = "12:00+02:00" if name == "hour" else "2026-01-01T12:00+02:00"
    with pytest.raises(NotApplied, match=f"column '{name}' of parent has times without an offset"):
        read_values(table, {name: value}, mysql.dialect())
    assert read_values(table, {name: value.partition("+")[0]}, mysql.dialect())


def test_the_offset_of_a_time_is_not_lost(database: Database) -> None:
    at, later, hour = "2026-01-01T12:00:00+02:00", "2026-01-01T12:00:00.500000-03:30", "12:00:00+02:00"
    if not database.is_sqlite:
        database.run("create table parent (id integer primary key, at timestamptz)")
        forward(stock, "insert_row", "k", table="parent", values={"id": 1, "at": at})
        (row,) = forward(stock, "select_rows", "l", table="parent", where={"at": at})
        assert datetime.fromisoformat(row["at"]) == datetime.fromisoformat(at)
        return
    database.run("create table parent (at timestamp primary key, hour time, seen datetime)")
    values = {"at": at, "hour": hour, "seen": "2026-01-01T12:00:00Z"}
    assert forward(stock, "insert_row", "k", table="parent", values=values)["rows"] == [values]
    assert forward(stock, "select_rows", "l", table="parent", where=values) == [values]
    assert not forward(stock, "select_rows", "m", table="parent", where={"at": "2026-01-01T12:00:00"})
    before = database.all("parent")
    changed = forward(stock, "update_rows", "n", table="parent", where={"hour": hour}, values={"seen": later})
    assert changed["rows"] == [{**values, "seen": later}]
    back(stock, "update_rows", "n", {}, changed)
    assert database.all("parent") == before
    back(stock, "insert_row", "k", {})
    assert database.all("parent") == []


@pytest.mark.slow
def test_bits_which_are_of_no_type_of_pythons_are_written_and_come_back(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = new_database(postgres)
    monkeypatch.setenv("COUNTERSTEP_STOCK_DATABASE", address)
    monkeypatch.setenv("COUNTERSTEP_STOCK_TABLES", f"thing:{ALL}")
    database = Database(address)
    database.run(
        "create table thing (id integer primary key, flags bit(3)); insert into thing values (1, '101')"
    )
    before = database.all("thing")
    changed = forward(
        stock, "update_rows", "k", table="thing", where={"flags": "101"}, values={"flags": "011"}
    )
    assert changed["rows"] == [{"id": 1, "flags": "011"}]
    back(stock, "update_rows", "k", {}, changed)
    assert database.all("thing") == before
    database.engine.dispose()
