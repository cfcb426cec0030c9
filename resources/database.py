"""The database that a worker allows, its tables, and the keys of calls in a table of ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import (
    JSON,
    Column,
    Connection,
    DateTime,
    Engine,
    MetaData,
    NullPool,
    String,
    Table,
    create_engine,
    event,
    func,
    insert,
    make_url,
    select,
    update,
)
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    NoSuchModuleError,
    NoSuchTableError,
    OperationalError,
    ProgrammingError,
    StatementError,
)

from ..saga.errors import NotApplied
from .changed_since import changed_since, not_kept
from .stock_settings import Verb, read_stock_settings, table_fault

DONE: Final = "done"
UNDONE: Final = "undone"

_metadata = MetaData()

KEYS: Final = Table(
    "counterstep_keys",
    _metadata,
    Column("key", String(200), primary_key=True),
    Column("state", String(10), nullable=False),
    Column("task", String(1000), nullable=False),
    Column("made", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("change", JSON),
)
"""A row for each call that has changed something, with what was there before, and for each that may not."""


def database() -> Engine:
    """Opens the worker's database, once a process.

    Raises:
        NotApplied: None is set, or the address cannot be used.
    """
    settings = read_stock_settings()
    if settings.database is None:
        raise NotApplied("this worker allows no database: COUNTERSTEP_STOCK_DATABASE is not set")
    password = settings.database_password
    try:
        return _open(
            settings.database.get_secret_value(), None if password is None else password.get_secret_value()
        )
    except (ArgumentError, NoSuchModuleError, ImportError):
        raise NotApplied(
            "COUNTERSTEP_STOCK_DATABASE is not an address that can be used, "
            "e.g. postgresql://user@host/name (with counterstep[postgres]) or sqlite:////path/to/file"
        ) from None


def allowed_table(connection: Connection, name: str, verb: Verb) -> Table:
    """Reads what a table is like.

    Raises:
        NotApplied: The worker does not allow it, there is no such table, or its rows cannot be put back.
    """
    if fault := table_fault(name, verb):
        raise NotApplied(fault)
    schema, _, plain = name.rpartition(".")
    try:
        table = Table(plain, MetaData(), schema=schema or None, autoload_with=connection, resolve_fks=False)
    except NoSuchTableError:
        raise NotApplied(f"the database has no table {name}") from None
    if verb != "select" and not table.primary_key.columns:
        raise NotApplied(f"table {name} has no primary key, so its rows could not be put back")
    return table


def once(key: str, task_id: str, change: Callable[[Connection], Any]) -> Any:
    """Makes a change once for its key; the key is written in the transaction of the change.

    Args:
        key: The call's key.
        task_id: The task.
        change: Makes it, and returns what an undo needs to know, as JSON.

    Returns:
        What `change` has returned, now or the first time.

    Raises:
        NotApplied: The call was undone before, or the database refuses the change.
    """
    # What is refused comes before the end of the transaction, or ends it: it is taken back.
    with refusals(), transaction() as connection:
        if not is_new(connection, key, DONE, task_id):
            return _known(connection, key)
        made = change(connection)
        connection.execute(update(KEYS).where(KEYS.c.key == key).values(change=made))
        return made


@contextmanager
def refusals() -> Iterator[None]:
    """Makes one sentence of what a database, or its driver, refuses for good.

    Raises:
        NotApplied: It was refused.
    """
    try:
        yield
    except (IntegrityError, DataError, ProgrammingError, OverflowError, UnicodeEncodeError) as error:
        raise NotApplied(f"the database refuses it: {first_line(error)}") from None
    except StatementError as error:
        if isinstance(error, DBAPIError):
            raise  # perhaps another time
        raise NotApplied(f"the database refuses it: {first_line(error)}") from None


def take_back(key: str, task_id: str, back: Callable[[Connection, Any], None], *, happened: bool) -> None:
    """Takes the change of a key back, once, and keeps a call with that key from ever making one.

    Args:
        key: The call's key.
        task_id: The task.
        happened: Whether it is known that the change was made.
        back: Takes it back, given what the change has returned; what it raises leaves all as it is.

    Raises:
        ApplicationError: What others have written since leaves no room for what was there, or what was there
            is not kept here.
    """
    with transaction() as connection:
        if is_new(connection, key, UNDONE, task_id):
            if happened:
                raise not_kept("in counterstep_keys of this database")
            return
    try:
        with transaction() as connection:
            # An update, not a select: it locks the row in every database.
            this = (KEYS.c.key == key) & (KEYS.c.state == DONE)
            if connection.execute(update(KEYS).where(this).values(state=UNDONE)).rowcount:
                made = connection.execute(select(KEYS.c.change).where(KEYS.c.key == key)).scalar_one()
                back(connection, made)
    except IntegrityError as error:
        raise changed_since(
            f"what was there cannot be put back: {first_line(error)}; look at it, and say what counts"
        ) from None


def first_line(error: Exception) -> str:
    """Returns what a database says, without the statement."""
    return str(getattr(error, "orig", None) or error).strip().split("\n", 1)[0]


def transaction() -> AbstractContextManager[Connection]:
    """Begins a transaction; the table of keys is there."""
    engine = database()
    _make_keys(engine)
    return engine.begin()


def is_new(connection: Connection, key: str, state: str, task_id: str) -> bool:
    """Writes the row of a key, unless there is one; waits for whoever is just writing it."""
    point = connection.begin_nested()
    try:
        connection.execute(insert(KEYS).values(key=key, state=state, task=task_id))
    except IntegrityError:
        point.rollback()
        return False
    point.commit()
    return True


def _known(connection: Connection, key: str) -> Any:
    row = connection.execute(select(KEYS.c.state, KEYS.c.change).where(KEYS.c.key == key)).one()
    if row.state != DONE:
        raise NotApplied("this call has been undone before")
    return row.change


@lru_cache(maxsize=8)
def _make_keys(engine: Engine) -> None:
    try:
        _metadata.create_all(engine)
    except (OperationalError, ProgrammingError, IntegrityError):
        _metadata.create_all(engine)  # another worker has made it at the same time, or this fails again


@lru_cache(maxsize=8)
def _open(address: str, password: str | None) -> Engine:
    url = make_url(address)
    if url.drivername in ("postgres", "postgresql"):
        url = url.set(drivername="postgresql+psycopg")
    if password is not None:
        url = url.set(password=password)
    if url.get_backend_name() != "sqlite":
        return create_engine(url, hide_parameters=True, pool_pre_ping=True)
    engine = create_engine(url, hide_parameters=True, poolclass=NullPool, connect_args={"timeout": 30})

    @event.listens_for(engine, "connect")
    def keep_references(connection: Any, _: object) -> None:
        connection.isolation_level = None  # transactions begin as below says, and savepoints work
        connection.execute("pragma foreign_keys = on")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # One that begins to write after it has read would fail where others have written meanwhile.
        reads = connection.get_execution_options().get("reads", False)
        connection.exec_driver_sql("begin" if reads else "begin immediate")

    return engine
