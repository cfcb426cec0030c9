"""What is wrong in the settings of stock tools is said when the bundle is loaded, all of it at once."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from counterstep import DefinitionError
from counterstep.bundle.loading import load_bundle


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


def test_an_address_that_cannot_be_used_is_told_when_the_bundle_is_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COUNTERSTEP_STOCK_DATABASE", "nonsense")
    with pytest.raises(DefinitionError, match="is not an address that can be used"):
        load_bundle("counterstep.stock:stock")


def test_the_bundle_loads_where_nothing_is_set(tmp_path: Path) -> None:
    assert set(load_bundle("counterstep.stock:stock").tools) >= {"stock.write_file", "stock.insert_row"}
