"""What a worker allows its stock tools: without these settings nothing."""

from __future__ import annotations

import os
import re
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args

import httpx
from pydantic import BaseModel, BeforeValidator, ConfigDict, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from ..saga.errors import DefinitionError
from ..saga.names import nearest

PREFIX: Final = "COUNTERSTEP_STOCK_"

Verb = Literal["select", "insert", "update", "delete"]

_SECRET: Final = re.compile(r"COUNTERSTEP_STOCK_([A-Z0-9_]+)_SECRET(_FILE)?")
_PASSWORD_FILE: Final = f"{PREFIX}DATABASE_PASSWORD_FILE"


class AllowedTable(BaseModel):
    """One table, and what may be done with its rows.

    Attributes:
        name: Its name, with its schema before it where that is not the default one.
        verbs: What may be done.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    verbs: frozenset[Verb]


def _parts(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(",") if part.strip())


Parts = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_parts)]


class StockSettings(BaseSettings):
    """The variables ``COUNTERSTEP_STOCK_*``; each has the name of its field.

    Attributes:
        roots: The folders below which files may be read and changed.
        hosts: The hosts that requests may be sent to, as ``HOST`` (https only) or ``http://HOST:PORT``.
        database: The address of the database, as SQLAlchemy has it.
        database_password: Its password, where that is not to be in the address.
        tables: What may be done with which table, e.g. ``orders:select+insert, customers``.
    """

    model_config = SettingsConfigDict(frozen=True, env_prefix=PREFIX, case_sensitive=False)

    roots: Parts = ()
    hosts: Parts = ()
    database: SecretStr | None = None
    database_password: SecretStr | None = None
    tables: Parts = ()

    @field_validator("roots")
    @classmethod
    def _are_folders(cls, roots: tuple[str, ...]) -> tuple[str, ...]:
        for root in roots:
            if not Path(root).is_absolute():
                raise ValueError(_not_a_root(root))
        return roots

    @field_validator("hosts")
    @classmethod
    def _are_hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            written = re.fullmatch(
                r"(https?://)?[A-Za-z0-9.-]+(:\d{1,5})?|(https?://)?\[[0-9a-fA-F:.]+\](:\d{1,5})?", host
            )
            if not written or not is_address(host if "://" in host else f"https://{host}"):
                raise ValueError(f"{host!r} is not a host; write api.example.com or http://127.0.0.1:8080")
        return hosts

    @field_validator("tables")
    @classmethod
    def _are_tables(cls, tables: tuple[str, ...]) -> tuple[str, ...]:
        for table in tables:
            read_table(table)
        return tables

    @property
    def allowed_tables(self) -> dict[str, AllowedTable]:
        """The tables by name."""
        read = [read_table(table) for table in self.tables]
        return {table.name: table for table in read}


def is_address(address: str) -> bool:
    """Says whether a request can be sent to ``SCHEME://HOST`` or ``SCHEME://HOST:PORT``."""
    try:
        url = httpx.URL(address)
    except (httpx.InvalidURL, UnicodeError):
        return False
    return bool(url.host.strip(".-")) and (url.port is None or 0 < url.port < 65536)


def table_fault(name: str, verb: Verb) -> str:
    """Says why a worker does not allow something to be done with a table; empty if it does."""
    tables = read_stock_settings().allowed_tables
    allowed = tables.get(name)
    if allowed is None:
        return f"this worker allows no table {name!r}{nearest(name, tables)}"
    if verb not in allowed.verbs:
        return f"this worker does not allow {verb} on {name}, only {', '.join(sorted(allowed.verbs))}"
    return ""


def read_table(text: str) -> AllowedTable:
    """Reads ``TABLE`` (its rows may be read) or ``TABLE:VERB+VERB``.

    Raises:
        ValueError: It is written in another way.
    """
    name, colon, verbs = text.partition(":")
    named = frozenset(verbs.split("+")) if colon else frozenset({"select"})
    if not re.fullmatch(r"\w+(\.\w+)?", name) or not named <= set(get_args(Verb)):
        raise ValueError(
            f"{text!r} is not TABLE or TABLE:VERB+VERB, with {', '.join(get_args(Verb))} as verbs"
        )
    return AllowedTable.model_validate({"name": name, "verbs": named})


def read_stock_settings(*, at_start: bool = False) -> StockSettings:
    """Reads the settings from the environment.

    Args:
        at_start: Whether the roots have to be there. Later one may be away for a while, and calls that do not
            need it, undos among them, go on.

    Raises:
        DefinitionError: Some of them cannot be used; the error names all of them.
    """
    faults: list[str] = []
    if at_start:
        named = _parts(os.environ.get(f"{PREFIX}ROOTS", ""))
        away = [root for root in named if Path(root).is_absolute() and not Path(root).is_dir()]
        faults += [f"{PREFIX}ROOTS: {_not_a_root(root)}" for root in away]
    try:
        settings = StockSettings()
    except ValidationError as error:
        faults += [
            f"{PREFIX}{str(item['loc'][0]).upper()}: {item['msg'].removeprefix('Value error, ')}"
            for item in error.errors(include_url=False)
        ]
        settings = StockSettings.model_construct()
    if faults := [*faults, *_misspelt()]:
        raise DefinitionError("\n".join(faults))
    return settings


def credential(name: str) -> str:
    """Returns a credential of the worker: what the variable ``COUNTERSTEP_STOCK_NAME_SECRET`` holds.

    Raises:
        DefinitionError: It is not set; the message names the variable.
    """
    variable = f"{PREFIX}{name.upper()}_SECRET"
    secret = os.environ.get(variable, "").strip()
    if not secret:
        raise DefinitionError(f"the credential {name!r} is not set: {variable}, or {variable}_FILE")
    return secret


def _not_a_root(root: str) -> str:
    return f"{root!r} is not an absolute path to a folder that exists"


def _misspelt() -> list[str]:
    known = [f"{PREFIX}{field.upper()}" for field in StockSettings.model_fields]
    faults = []
    for name in sorted(os.environ):
        if not name.startswith(PREFIX) or name in (*known, _PASSWORD_FILE) or _SECRET.fullmatch(name):
            continue
        near = get_close_matches(name, known, 1, 0)
        faults.append(f"{name}: there is no such setting; did you mean {near[0]}?")
    return faults
