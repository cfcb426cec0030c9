"""What is wrong in the settings of stock tools is said when the bundle is loaded, all of it at once."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from counterstep import Bundle, DefinitionError
from counterstep.bundle.loading import load_bundle
from counterstep.bundle.registry import Registry
from counterstep.tests.support.processes.command import Shop


@pytest.fixture(autouse=True)
def loaded_again() -> Iterator[None]:
    """Loads the bundle as a new process does, and leaves the other tests theirs."""
    known = importlib.import_module("counterstep.stock")
    del sys.modules["counterstep.stock"]
    yield
    sys.modules["counterstep.stock"] = known


def test_all_faults_are_told_when_the_bundle_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTERSTEP_STOCK_ROOTS", "/nowhere/at/all")
    monkeypatch.setenv("COUNTERSTEP_STOCK_TABLES", "orders:drop")
    monkeypatch.setenv("COUNTERSTEP_STOCK_DATABASES", "x")
    with pytest.raises(DefinitionError) as caught:
        load_bundle("counterstep.stock:stock")
    assert str(caught.value).splitlines() == [
        "COUNTERSTEP_STOCK_ROOTS: '/nowhere/at/all' is not an absolute path to a folder that exists",
        "COUNTERSTEP_STOCK_TABLES: 'orders:drop' is not TABLE or TABLE:VERB+VERB, with select, insert, "
        "update, delete as verbs",
        "COUNTERSTEP_STOCK_DATABASES: there is no such setting; did you mean COUNTERSTEP_STOCK_DATABASE?",
    ]


@pytest.mark.parametrize("host", ["a:99999", "[:::::]", "http://1.2.3.999", "-", "a/b", "user@host"])
def test_a_host_that_cannot_be_is_told_when_the_bundle_is_loaded(
    monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """And not by each request, whatever its host."""
    monkeypatch.setenv("COUNTERSTEP_STOCK_HOSTS", f"api.example.com, {host}")
    with pytest.raises(DefinitionError, match=r"COUNTERSTEP_STOCK_HOSTS: .* is not a host"):
        load_bundle("counterstep.stock:stock")


def test_an_address_that_cannot_be_used_is_told_when_the_bundle_is_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COUNTERSTEP_STOCK_DATABASE", "nonsense")
    with pytest.raises(DefinitionError, match="is not an address that can be used"):
        load_bundle("counterstep.stock:stock")


def test_the_bundle_loads_where_nothing_is_set(tmp_path: Path) -> None:
    assert set(load_bundle("counterstep.stock:stock").tools) >= {"stock.write_file", "stock.insert_row"}


REFUSED = """
name: t
steps:
  - {id: out, tool: stock.write_file, input: {path: /etc/motd, content: hello}}
  - {id: unknown, tool: stock.write_file, input: {path: "${{ steps.out.output.path }}", content: hello}}
  - {id: far, tool: stock.write_file, task_queue: elsewhere, input: {path: /etc/motd, content: hello}}
  - id: both
    group:
      steps:
        - {id: up, tool: stock.move_file, input: {path: a, to: ../b}}
        - {id: row, tool: stock.delete_rows, input: {table: ordres, where: {id: 1}}}
"""


def test_paths_and_tables_that_a_spec_writes_down_are_held_against_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "t.yaml").write_text(REFUSED)
    check = "check", "t.yaml", "--bundle", "counterstep.stock:stock"
    told = Shop(tmp_path).run(*check).err.splitlines()
    upwards = "steps[3].group.steps[0].input.to: '../b' goes upwards; write the path without '..'"
    # What else a worker allows is not known here.
    assert told == [f"{upwards} (line 10, column 60)", "t.yaml: 1 fault."]

    settings = {"COUNTERSTEP_STOCK_ROOTS": str(tmp_path), "COUNTERSTEP_STOCK_TABLES": "orders:select"}
    told = Shop(tmp_path, settings).run(*check).err.splitlines()
    outside = f"steps[0].input.path: '/etc/motd' is outside of the roots of this worker ({tmp_path})"
    table = (
        "steps[3].group.steps[1].input.table: this worker allows no table 'ordres'; did you mean 'orders'?"
    )
    assert told[0].startswith(outside) and told[2].startswith(table) and told[3:] == ["t.yaml: 3 faults."]

    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    mine = Bundle("mine")
    mine.add_task(tmp_path / "t.yaml")
    with pytest.raises(DefinitionError) as caught:
        Registry([load_bundle("counterstep.stock:stock"), mine])
    assert f"task mine.t: {outside}" in str(caught.value)
