"""Writes the files of a new bundle: one tool with its undo, a task, and a test that breaks it."""

from __future__ import annotations

import ast
import importlib.machinery
import keyword
import sys
from pathlib import Path
from string import Template

from pydantic import TypeAdapter, ValidationError

from ...saga.spec.fields import StepId
from ..errors import CommandFailed

_BUNDLE = Template('''"""What a worker is given: ``counterstep worker --bundle $name:$name``."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from pydantic import BaseModel

from counterstep import Bundle, NotApplied, Undo, current_step

$name = Bundle("$name")


class Reservation(BaseModel):
    """What is reserved."""

    item: str
    quantity: int


@$name.tool(compensate="release")
def reserve(item: str, quantity: int) -> Reservation:
    """Reserves some of an item."""
    if quantity < 1:
        raise NotApplied("reserve at least one")
    step = current_step()
    with database() as connection:
        # The key makes it one reservation, however often the call is repeated.
        connection.execute(
            "insert or ignore into reservations values (?, ?, ?, ?, 'reserved')",
            (step.idempotency_key, step.task_id, item, quantity),
        )
        row = connection.execute("select state from reservations where key = ?", (step.idempotency_key,))
        if row.fetchone() != ("reserved",):
            raise NotApplied("it was released before it was reserved")
    return Reservation(item=item, quantity=quantity)


@$name.compensation
def release(undo: Undo[Reservation]) -> None:
    """Releases it, and marks the key also where nothing is reserved, so that a late call is refused."""
    with database() as connection:
        connection.execute(
            "insert into reservations values (?, ?, '', 0, 'released') "
            "on conflict (key) do update set state = 'released'",
            (undo.idempotency_key, undo.task_id),
        )


def standing(task_id: str) -> list[str]:
    """Tells the fault explorer which reservations of a task stand: their keys."""
    with database() as connection:
        rows = connection.execute(
            "select key from reservations where task = ? and state = 'reserved'", (task_id,)
        )
        return [key for (key,) in rows]


@contextmanager
def database() -> Iterator[sqlite3.Connection]:
    """Opens the database, in a transaction; put your own system in its place."""
    path = Path(os.environ.get("${upper}_DB", "$name.sqlite"))
    with closing(sqlite3.connect(path, timeout=30)) as connection, connection:
        connection.execute(
            "create table if not exists reservations "
            "(key text primary key, task text, item text, quantity integer, state text)"
        )
        yield connection


$name.add_task("$name.yaml")
''')

_SPEC = Template("""# A task as data; `counterstep check` says what is wrong in it.
name: $name
goal: What was asked for is reserved.
input:
  type: object
  required: [item, quantity]
  additionalProperties: false
  properties:
    item: {type: string}
    quantity: {type: integer, minimum: 1}
steps:
  - id: reserve
    tool: $name.reserve
    input: {item: "$${{ task.item }}", quantity: "$${{ task.quantity }}"}
    validate:
      - rule: output.quantity == task.quantity
        message: another quantity was reserved than was asked for
output: {reserved: "$${{ steps.reserve.output }}"}
""")

_TEST = Template('''"""Breaks the task in every place and in every way; nothing may be left behind."""

import asyncio
from pathlib import Path

import pytest

from counterstep.testing.explore import explore

HERE = Path(__file__).parent


def test_$name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HERE)  # where the bundle is imported from
    monkeypatch.setenv("${upper}_DB", str(tmp_path / "$name.sqlite"))
    report = asyncio.run(
        explore(
            "$name.yaml",
            bundles=["$name:$name"],
            input={"item": "pen", "quantity": 2},
            effects="$name:standing",
        )
    )
    assert report.ok, report.text()
''')


def write_bundle(name: str, folder: Path) -> list[Path]:
    """Writes a bundle's files.

    Args:
        name: The name of the bundle, and of its module.
        folder: Where they are written; it is made where it is missing.

    Returns:
        The files.

    Raises:
        CommandFailed: The name cannot be used, one of the files is there already, or they cannot be written.
    """
    _expect_usable(name, folder)
    texts = {f"{name}.py": _BUNDLE, f"{name}.yaml": _SPEC, f"test_{name}.py": _TEST}
    there = [str(folder / file) for file in texts if (folder / file).exists() or (folder / file).is_symlink()]
    if there:
        are = "is" if len(there) == 1 else "are"
        raise CommandFailed(f"{', '.join(there)} {are} there already; nothing was written.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in texts.items():
            with (folder / file).open("x") as new:
                new.write(text.substitute(name=name, upper=name.upper()))
    except OSError as error:
        raise CommandFailed(f"{error.filename}: {error.strerror}.") from None
    return [folder / file for file in texts]


def _expect_usable(name: str, folder: Path) -> None:
    if not _is_name(name) or name == "counterstep" or keyword.iskeyword(name):
        raise CommandFailed(
            f"{name!r} is not a bundle's name: those look like [a-z][a-z0-9_]*, have at most 64 letters, are "
            "not words of Python or of expressions, and not counterstep."
        )
    if name in _own_names():
        raise CommandFailed(f"The new file uses the name {name!r} itself; take another one.")
    # The folder of a bundle is searched last: a module that is found before it would be imported instead.
    elsewhere = [place for place in sys.path if Path(place or ".").resolve() != folder.resolve()]
    found = importlib.machinery.PathFinder.find_spec(name, elsewhere)
    if found is not None or name in sys.builtin_module_names:
        raise CommandFailed(f"There is a module {name!r} already, which hides this one; take another name.")


def _is_name(name: str) -> bool:
    try:
        TypeAdapter(StepId).validate_python(name)  # the task has the same name
    except ValidationError:
        return False
    return True


def _own_names() -> set[str]:
    """Returns the names that the written module uses for other things than the bundle."""
    nodes = list(ast.walk(ast.parse(_BUNDLE.substitute(name="a_bundle", upper=""))))
    named = {node.id for node in nodes if isinstance(node, ast.Name)}
    named |= {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    return named
