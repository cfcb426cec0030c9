"""The pictures of specs and boards."""

from __future__ import annotations

import pytest

from counterstep.bundle.spec_file import parse_spec
from counterstep.cli.terminal.mermaid import draw
from counterstep.cli.terminal.task_picture import TaskPicture, picture_of_board, picture_of_spec
from counterstep.saga.spec.catalog import Catalog
from counterstep.tests.support.teams.drawn import every_team


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
    assert draw(picture_of_spec(parse_spec(spec), Catalog())).splitlines() == [
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


def test_a_team_in_a_step_is_drawn_with_its_members_and_so_are_those_inside_of_it() -> None:
    picture = every_team()
    step = picture.steps[-1]
    assert draw(picture.model_copy(update={"steps": (step,)})).splitlines()[3:] == [
        "flowchart TD",
        '  subgraph s1["x<br/>debate of 3"]',
        '    s2(["ann<br/>crew.ann"])',
        '    subgraph s3["poll<br/>crew.poll: concurrent"]',
        '      s4(["ann<br/>crew.ann"])',
        '      s5(["bob<br/>crew.bob"])',
        '      s6(["cid<br/>crew.cid"])',
        '      s7(["chair<br/>crew.chair"])',
        "    end",
        '    s8(["chair<br/>crew.chair"])',
        "  end",
        "  s2 <--> s3",
        '  s2 -.->|"a tie"| s8',
        '  s3 -.->|"a tie"| s8',
        '  s4 -.->|"no quorum"| s7',
        '  s5 -.->|"no quorum"| s7',
        '  s6 -.->|"no quorum"| s7',
    ]


@pytest.mark.parametrize(
    ("agent", "arrows"),
    [
        ("crew.boss", {"crew.boss <asks> crew.poll"}),
        ("crew.edited", {"ann > editor", "bob > editor"}),
        ("crew.survey", set()),
        ("rounds.layers", {"ann <> bob", "ann > editor", "bob > editor"}),
        ("rounds.second", {"ann not sure> bob", "bob they differ> chair"}),
        ("front_desk.desk", {"splitter each request> quick", "quick less sure> clever"}),
        ("circle.pair", {"ann draft> bob", "bob issues> ann"}),
        (
            "claims.medic",
            {"claims.medic hands over> claims.triage", "claims.triage hands over> claims.medic"},
        ),
    ],
)
def test_who_plays_together_is_drawn_with_who_tells_whom(agent: str, arrows: set[str]) -> None:
    step = next(step for step in every_team().steps if step.by.partition(":")[0] == agent)
    told = {f"{link.source} {'<' * link.both}{link.label}> {link.target}" for link in step.links}
    assert arrows <= told
    assert bool(arrows) == bool(told)
    members = {member.id for member in step.members}
    assert members >= {end for link in step.links for end in (link.source, link.target)}


def test_an_arrow_of_every_pattern_ends_at_somebody_who_is_drawn() -> None:
    for step in every_team().steps:
        assert step.members, step
        assert draw(TaskPicture(task="x", state=None, steps=(step,)))
