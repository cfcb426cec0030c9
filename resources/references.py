"""Which rows of other tables go or change along with a row, because they refer to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, MetaData, Table, and_, inspect, not_, select

from .found_rows import is_row
from .row_values import Row

_LOSES = ("CASCADE", "SET NULL", "SET DEFAULT")
_LOSES_VALUES = ("SET NULL", "SET DEFAULT")


@dataclass(frozen=True, slots=True)
class Reference:
    """A foreign key that refers to a table.

    Attributes:
        schema: The schema of the table that has it; None for the default one.
        table: The name of that table.
        pairs: Its columns, each with the one that it refers to.
        on_delete: What becomes of its rows when those that they refer to are deleted.
        on_update: What becomes of them when the columns change that they refer to.
    """

    schema: str | None
    table: str
    pairs: tuple[tuple[str, str], ...]
    on_delete: str
    on_update: str

    @property
    def name(self) -> str:
        """The table that has it, as people write it."""
        return f"{self.schema}.{self.table}" if self.schema else self.table

    @property
    def loses_rows(self) -> bool:
        """Whether rows change or go along with what they refer to."""
        return self.on_delete in _LOSES

    def loses_values(self, columns: set[str]) -> bool:
        """Says whether rows forget what they refer to when these columns change."""
        return self.on_update in _LOSES_VALUES and bool(columns & {there for _, there in self.pairs})


def references_to(connection: Connection, table: Table) -> list[Reference]:
    """Returns the foreign keys of all tables that refer to one, its own among them."""
    found = _in_sqlite if connection.dialect.name == "sqlite" else _elsewhere
    return list(found(connection, table))


def refers_to(connection: Connection, reference: Reference, table: Table, row: Row) -> bool:
    """Says whether another row refers to a row that is kept.

    Args:
        connection: To the database.
        reference: A foreign key of that other row's table.
        table: The table of the row.
        row: The row, as it is kept.
    """
    other = Table(
        reference.table, MetaData(), schema=reference.schema, autoload_with=connection, resolve_fks=False
    )
    pairs = [(other.columns[here], table.columns[there]) for here, there in reference.pairs]
    this = select(*(column for _, column in pairs)).where(is_row(connection, table, row)).subquery()
    matches = [here == value for (here, _), value in zip(pairs, this.columns, strict=True)]
    query = select(1).select_from(other.join(this, and_(*matches))).limit(1)
    if (other.name, other.schema) == (table.name, table.schema):
        query = query.where(not_(is_row(connection, other, row)))
    return connection.execute(query).first() is not None


def _in_sqlite(connection: Connection, table: Table) -> Iterator[Reference]:
    """Asks SQLite itself: of references in a column's own line the inspector knows too little."""
    key = [column.name for column in table.primary_key.columns]
    names = {column.lower(): column for column in map(str, table.columns.keys())}
    for other in inspect(connection).get_table_names(schema=table.schema):
        quoted = other.replace('"', '""')
        schema = f'"{table.schema}".' if table.schema else ""
        rows = connection.exec_driver_sql(f'pragma {schema}foreign_key_list("{quoted}")').mappings().all()
        keys: dict[int, list[Any]] = {}
        for row in sorted(rows, key=lambda row: (row["id"], row["seq"])):
            keys.setdefault(row["id"], []).append(row)
        for lines in keys.values():
            first = lines[0]
            if first["table"].lower() != table.name.lower():
                continue
            pairs = tuple(
                (line["from"], key[line["seq"]] if line["to"] is None else names.get(line["to"].lower(), ""))
                for line in lines
            )
            yield Reference(table.schema, other, pairs, first["on_delete"], first["on_update"])


def _elsewhere(connection: Connection, table: Table) -> Iterator[Reference]:
    inspector = inspect(connection)
    usual = inspector.default_schema_name
    for schema in inspector.get_schema_names():
        for (_, other), keys in inspector.get_multi_foreign_keys(schema=schema).items():
            for found in keys:
                place = (found["referred_schema"] or usual, found["referred_table"])
                if place != (table.schema or usual, table.name):
                    continue
                options = found.get("options", {})
                pairs = zip(found["constrained_columns"], found["referred_columns"], strict=True)
                yield Reference(
                    None if schema == usual else schema,
                    other,
                    tuple(pairs),
                    str(options.get("ondelete") or "").upper(),
                    str(options.get("onupdate") or "").upper(),
                )
