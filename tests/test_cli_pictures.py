"""What `graph` and `catalog` show of specs and bundles."""

from __future__ import annotations

from pathlib import Path

from counterstep.bundle.spec_file import parse_spec
from counterstep.cli.terminal.mermaid import draw
from counterstep.cli.terminal.task_picture import picture_of_board, picture_of_spec
from counterstep.tests.support.command import Shop

BUNDLE = ("--bundle", "shop:shop")


def test_a_graph_shows_what_a_step_waits_for_because_it_reads_it() -> None:
    read = {"x": "${{ steps.a.output.n }}"}
    spec = {
        "name": "end",
        "steps": [
            {"id": "a", "agent": "s.a"},
            {"id": "ask", "needs": ["a"], "approve": {"ask": "May I?"}},
            {"id": "g", "needs": ["ask"], "group": {"steps": [{"id": "end", "tool": "s.t", "input": read}]}},
            {"id": "later", "needs": ["g"], "wait": {"time": "10m"}},
        ],
    }
    assert draw(picture_of_spec(parse_spec(spec))).splitlines() == [
        "---",
        'title: "end"',
        "---",
        "flowchart TD",
        '  s1(["a<br/>s.a"])',
        '  s2{{"ask<br/>a person"}}',
        '  subgraph s3["g"]',
        '    s4["end<br/>s.t"]',
        "  end",
        '  s5(("later<br/>10m"))',
        "  s1 --> s2",
        "  s2 --> s3",
        "  s1 --> s3",
        "  s3 --> s5",
    ]


def test_a_board_is_drawn_with_its_states_and_nothing_of_it_is_markup() -> None:
    board = {
        "task": "x",
        "state": "running",
        "steps": {
            "g[0]/a": {"state": "completed", "tool": 't"]; <b>', "needs": []},
            "g[0]/b": {"state": "undone", "group": True, "needs": ["a"]},
        },
    }
    lines = draw(picture_of_board(board)).splitlines()
    assert '  s1["g#91;0#93;/a<br/>t#34;#93;#59; #60;b#62;"]' in lines
    assert "  s1 --> s2" in lines
    assert {"  class s1 completed", "  class s2 undone"} <= set(lines)


def test_graph_and_catalog_as_commands(tmp_path: Path) -> None:
    shop = Shop.open(tmp_path)
    graph = shop.run("graph", "shop.order", *BUNDLE, "--json")
    assert (graph.code, graph.json["task"], [step["id"] for step in graph.json["steps"]]) == (
        0,
        "order",
        ["take"],
    )
    assert graph.json["mermaid"].endswith('  s1["take<br/>shop.reserve"]')
    catalog = shop.run("catalog", *BUNDLE, "--json")
    assert catalog.code == 0
    assert catalog.json["tools"]["shop.reserve"]["compensate"] == "shop.release"
    assert "shop.reserve   sku, delay   compensatable   shop.release" in catalog.err
    both = shop.run("graph", "order.yaml", "--id", "x")
    neither = shop.run("catalog")
    assert (both.code, neither.code) == (2, 2)
    assert "Name a SPEC, or a task that was started with --id." in both.err
    assert "Name a bundle with --bundle or COUNTERSTEP_BUNDLES." in neither.err
