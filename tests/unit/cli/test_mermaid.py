"""The pictures of specs and boards."""

from __future__ import annotations

from counterstep.bundle.spec_file import parse_spec
from counterstep.cli.terminal.mermaid import draw
from counterstep.cli.terminal.task_picture import picture_of_board, picture_of_spec


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
