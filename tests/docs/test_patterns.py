"""The pages of teams: what they say it costs is what the code says, and their teams play as they show it."""

from __future__ import annotations

import asyncio
import importlib
import re
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter
from temporalio.client import Client
from temporalio.worker import Worker

from counterstep import Bundle
from counterstep.bundle.registry import Registry
from counterstep.bundle.yaml_document import read_document
from counterstep.embedded import EmbeddedServer
from counterstep.plugin import CounterstepPlugin
from counterstep.saga.spec.teams.concurrent import Concurrent
from counterstep.saga.spec.teams.debate import Debate
from counterstep.saga.spec.teams.group_chat import GroupChat
from counterstep.saga.spec.teams.handoffs import Handoffs
from counterstep.saga.spec.teams.magentic import Magentic
from counterstep.saga.spec.teams.maker_checker import MakerChecker
from counterstep.saga.spec.teams.member import Person
from counterstep.saga.spec.teams.mixture import Mixture
from counterstep.saga.spec.teams.pattern import Pattern
from counterstep.saga.spec.teams.planned import Planned
from counterstep.saga.spec.teams.router import Router
from counterstep.saga.spec.teams.second_opinion import SecondOpinion
from counterstep.saga.spec.teams.team import Team
from counterstep.saga.teams.effort.settling import settle
from counterstep.tests.support.pages.pages import ROOT, blocks, words_of
from counterstep.tests.support.pages.reading import Reading

FOLDER = ROOT / "docs" / "patterns"
TWO = ("a.one", "a.two")
CHOSEN: dict[str, Any] = {"members": TWO, "speaker": "a.chair"}
CLASSIFIED: dict[str, Any] = {"members": TWO, "classifier": "a.clerk"}
PAGES: dict[str, Sequence[Pattern]] = {
    "concurrent": [
        Concurrent(members=TWO),
        Concurrent(members=TWO, combine="vote", judge="a.judge"),
        Concurrent(members=TWO, combine="a.editor"),
    ],
    "debate": [
        Debate(members=TWO),
        Debate(members=TWO, judge="a.judge"),
        Debate(members=(*TWO, "a.three"), rounds=3, ranker="a.judge"),
    ],
    "mixture": [
        Mixture(members=TWO, aggregator="a.editor"),
        Mixture(members=TWO, aggregator="a.editor", layers=1, window=2),
        Mixture(members=("a.one",), aggregator="a.editor", samples=6),
        Mixture(members=("a.one",), aggregator="a.editor", samples=6, window=3),
    ],
    "maker-checker": [MakerChecker(maker="a.one", checker="a.two")],
    "group-chat": [
        GroupChat(members=TWO, done="true"),
        GroupChat(members=TWO, done="true", summary="a.scribe"),
        GroupChat(**CHOSEN),
        GroupChat(**CHOSEN, summary="a.scribe"),
    ],
    "magentic": [Magentic(manager="a.boss", members=TWO)],
    "planned": [
        Planned(planner="a.boss", members=TWO, validators=["a.judge"]),
        Planned(planner="a.boss", members=TWO, approve=Person(name="ann", ask="Shall we?")),
    ],
    "router": [
        Router(members=TWO, rules=[{"when": "true", "to": "one"}]),
        Router(**CLASSIFIED),
        Router(**CLASSIFIED, better="a.better"),
        Router(**CLASSIFIED, better="a.better", second="a.second"),
        Router(**CLASSIFIED, default={"name": "porter", "ask": "Whose?"}),
        Router(**CLASSIFIED, embedding="e/m", splitter="a.reader"),
    ],
    "handoffs": [Handoffs(members=TWO)],
    "second-opinion": [
        SecondOpinion(first="a.one", other="a.two"),
        SecondOpinion(first="a.one", other="a.two", reconcile="a.judge"),
    ],
}


_TEAM: TypeAdapter[Pattern] = TypeAdapter(Team)


def cost_of(page: str) -> str:
    text = (FOLDER / f"{page}.md").read_text()
    return text.split("## What it costs")[1].split("\n## ")[0]


@pytest.mark.parametrize("page", PAGES)
def test_the_formulas_of_a_page_are_those_of_the_code(page: str) -> None:
    said = set(re.findall(r"`([^`]+)`", cost_of(page)))
    assert {team.cost().formula for team in PAGES[page]} <= said


@pytest.mark.parametrize("page", PAGES)
def test_the_comparison_has_every_pattern_with_its_formula(page: str) -> None:
    (row,) = re.findall(rf"^\|[^|]*\]\({page}\.md\)[^\n]*$", (FOLDER / "index.md").read_text(), re.MULTILINE)
    assert f"`{PAGES[page][0].cost().formula}`" in row


def test_the_turns_in_the_table_of_efforts_are_those_of_the_code() -> None:
    text = (FOLDER / "effort.md").read_text()
    rows = re.findall(r"^\| `(\{pattern:.*\})` \| (\d+) \| (\d+) \|", text, re.MULTILINE)
    assert len(rows) == 7
    for written, *said in rows:
        team = _TEAM.validate_python(read_document(written, "effort.md"))
        for difficulty, turns in zip((0.1, 1), said, strict=True):
            settled = settle(team, {"input": {"hard": difficulty}}, difficulty).team
            assert settled.cost().most + (team.rater is not None) == int(turns), written


def _ranges(page: str) -> set[tuple[int, int]]:
    """What a page says that its own teams take: ``3``, or ``3 to 6``."""
    here = cost_of(page).split("Here: ")[1]
    return {(int(least), int(most or least)) for least, most in re.findall(r"\b(\d+)(?: to (\d+))?", here)}


def _plain(line: str) -> str:
    """A line of the log without what may differ: who of several was slower, and so how many have agreed."""
    return re.sub(r"\d (of \d (?:votes|members))", r"N \1", re.sub(r"/\w+\.\d", "/MEMBER.N", line))


async def test_the_teams_of_the_pages_play_as_they_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: EmbeddedServer, task_queue: str
) -> None:
    reading = Reading(tmp_path, monkeypatch, address=server.address)
    pages = [FOLDER / f"{name}.md" for name in (*PAGES, "delegates")]
    with ExitStack() as files:
        bundles: dict[str, Bundle] = {}
        for page in pages:
            files.enter_context(reading.files(page))
            names = {block.language: block.file for block in blocks(page) if block.file}
            module = importlib.import_module(str(names["python"]).removesuffix(".py"))
            (bundles[page.stem],) = (value for value in vars(module).values() if isinstance(value, Bundle))
            bundles[page.stem].add_task(tmp_path / str(names["yaml"]))
        catalog = Registry(bundles.values()).catalog
        plugin = CounterstepPlugin(list(bundles.values()))
        client = await Client.connect(server.address, plugins=[plugin])
        async with Worker(client, task_queue=task_queue):
            await asyncio.gather(*(_played(page, catalog, client, task_queue) for page in pages))


async def _played(page: Path, catalog: Any, client: Client, task_queue: str) -> None:
    """Runs every task of a page with the input of its command."""
    (command,) = (c for block in blocks(page) if block.language == "sh" for c in block.commands)
    words = words_of(command)
    bundle = words[words.index("--bundle") + 1].partition(":")[2]
    key, _, value = words[words.index("--input") + 1].partition("=")
    in_spec = f"{bundle}.{Path(words[2]).stem}"
    tasks = [name for name in catalog.tasks if name.startswith(f"{bundle}.")]
    assert in_spec in tasks and len(tasks) > 1
    for task in tasks:
        handle = await client.start_workflow(
            task, {key: value}, id=f"{task_queue}-{task}", task_queue=task_queue
        )
        result = await handle.result()
        assert result["output"], task
        assert not result.get("not_undone"), task
        board = await handle.query("board")
        for step in catalog.tasks[task].steps:
            team = step.team or catalog.agents[step.agent].team
            if team is not None:
                turns = sum("call" in move for move in board["moves"])
                assert team.cost().least <= turns <= team.cost().most, task
                assert (team.cost().least, team.cost().most) in _ranges(page.stem), task
        if task == in_spec:
            _shows_its_log(page, board["log"])


def _shows_its_log(page: Path, log: Sequence[dict[str, Any]]) -> None:
    happened = {
        _plain(
            f"{line['step']}: {line['what']} ({line['who']})" + (f": {line['why']}" if line["why"] else "")
        )
        for line in log
    }
    for block in blocks(page):
        if block.language == "text":
            for line in block.text.splitlines():
                assert _plain(line) in happened, f"{block.place}: {line}\n{sorted(happened)}"
