"""What the fact-check of `content_pipeline` computes, and what its writer makes of a complaint."""

from __future__ import annotations

import pytest

from counterstep import NotApplied
from examples.content_pipeline.facts import disputed, library
from examples.content_pipeline.tools import rough_draft, suggest_outline

WRONG = "The Bell Rock lighthouse was first lit in 1801, a leaflet says."
TRUE = "The Bell Rock lighthouse was first lit in 1811."


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (TRUE, []),
        (
            "## Lit in 1801\n\nSailors feared the rock. " + TRUE,
            [],
        ),  # a heading and a sentence without figures
        ("In 1811 they first lit the lighthouse on the Bell Rock.", []),
        (f"{TRUE} {WRONG}", [WRONG]),
        (
            "The Bell Rock lighthouse was first lit in 1759.",
            ["The Bell Rock lighthouse was first lit in 1759."],
        ),
    ],
)
def test_each_figure_is_compared_with_the_nearest_statement(text: str, said: list[str]) -> None:
    found = disputed(text, "lighthouses")
    assert [dispute.said for dispute in found] == said
    assert all(TRUE in dispute.why for dispute in found)


@pytest.mark.parametrize("topic", ["lighthouses", "canals", "clocks", "comets"])
def test_each_topic_has_one_leaflet_that_is_wrong_and_a_writer_who_listens(topic: str) -> None:
    facts = library(topic)
    outline = suggest_outline(topic, facts)
    first = disputed(rough_draft(outline.sections, []).body, topic)
    assert [dispute.said for dispute in first] == [
        fact.statement for fact in facts if fact.source == "leaflet"
    ]
    second = rough_draft(outline.sections, [dispute.complaint() for dispute in first]).body
    assert disputed(second, topic) == []
    assert all(fact.statement in second for fact in facts if fact.source == "reference")


def test_an_unknown_topic_is_refused() -> None:
    with pytest.raises(NotApplied, match="has nothing on 'cats'; it has lighthouses"):
        library("cats")
