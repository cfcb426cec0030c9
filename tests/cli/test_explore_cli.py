"""``counterstep explore`` as a user runs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from counterstep.cli.commands.explore import explore
from counterstep.cli.errors import as_failure
from counterstep.cli.exit_codes import ExitCode
from counterstep.saga.errors import ServerUnavailable
from counterstep.testing import explore as testing_explore
from counterstep.testing.explore import NotExplorable
from counterstep.tests.support.processes.command import Shop


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop.open(tmp_path)


@pytest.mark.slow
def test_green_cells_end_with_0_and_data_on_stdout(shop: Shop) -> None:
    ended = shop.run(
        *("explore", "order.yaml", "--bundle", "shop:shop", "--input", "sku=pen"),
        *("--only", "second#1 *l*", "--json"),
    )
    assert ended.code == 0, ended.err
    kinds = [cell["kind"] for cell in ended.json["cells"] if cell["point"]]
    assert sorted(kinds) == ["cancel", "fail after", "fail before", "kill after", "kill before"]
    assert {cell["colour"] for cell in ended.json["cells"]} == {"green"}
    assert "5 faults injected, 0 orphaned effects, 0 double undos" in ended.err


@pytest.mark.slow
def test_what_does_not_hold_ends_with_1_and_how_to_see_it_again(shop: Shop) -> None:
    words = ["explore", "order.yaml", "--bundle", "shop:shop", "--input", "sku=stuck", "--only"]
    ended = shop.run(*words, "first#1 cancel")
    assert ended.code == 1
    assert ended.out == ""
    assert "stuck: nobody broke the undo of first#1, and it fails" in ended.err
    assert f"again: counterstep {' '.join(words[:-1])} --only 'first#1 cancel'" in " ".join(ended.err.split())
    assert "The shortest spec found that still fails" in ended.err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["order.yaml"], "Name the task's bundle"),
        (["order.yaml", "--bundle", "shop:nothing"], "has no 'nothing'"),
        (["order.yaml", "--bundle", "shop:shop"], "'sku' is missing"),
        (["ordr.yaml", "--bundle", "shop:shop"], "cannot be read"),
        (["order.yaml", "--bundle", "shop:shop", "--input", "sku=a", "--effects", "shop:no"], "'shop:no'"),
        (["order.yaml", "--bundle", "shop:shop", "--input", "sku=a", "--parallel", "0"], "--parallel"),
    ],
)
def test_bad_usage_ends_with_2_before_anything_runs(shop: Shop, arguments: list[str], reason: str) -> None:
    ended = shop.run("explore", *arguments)
    assert ended.code == 2, ended.err
    assert reason in ended.err
    assert shop.log() == []


@pytest.mark.slow
def test_a_task_that_fails_by_itself_ends_with_2(shop: Shop) -> None:
    ended = shop.run("explore", "fails.yaml", "--bundle", "shop:shop", "--input", "sku=pen")
    assert ended.code == 2
    assert "Without any fault the task must complete, and it ended rolled_back: Bang" in ended.err


def test_no_server_ends_with_4(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise ServerUnavailable("no program")

    monkeypatch.setattr(testing_explore, "temporal_server", refuse)
    with pytest.raises(ServerUnavailable) as raised:
        explore(
            "banquet.course",
            input=["dish=soup"],
            bundle=["counterstep.tests.support.bundles.banquet:banquet"],
        )
    assert as_failure(raised.value).code is ExitCode.NO_SERVER


def test_as_many_runs_go_on_at_once_as_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []

    async def run(*_: object, parallel: int, **__: object) -> None:
        told.append(parallel)
        raise NotExplorable("that is enough")

    monkeypatch.setattr(testing_explore, "explore", run)
    bundle = ["counterstep.tests.support.bundles.banquet:banquet"]
    for parallel in (None, 2):
        with pytest.raises(NotExplorable):
            explore("banquet.course", input=["dish=soup"], bundle=bundle, parallel=parallel)
    assert told == [testing_explore.PARALLEL, 2]
