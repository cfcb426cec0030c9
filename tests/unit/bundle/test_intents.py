"""What agents say of the requests that they take, and the routers that rely on it."""

from __future__ import annotations

from typing import Any

import pytest

from counterstep import Agent, Bundle, DefinitionError, SpecError
from counterstep.activities.resolve import _models
from counterstep.bundle.registry import Registry
from counterstep.bundle.spec_file import parse_spec
from counterstep.saga.spec.checker import check_spec
from counterstep.saga.spec.snapshot import Snapshot
from counterstep.teams import Intent, Router


def bundle_of(*intents: Any, **router: Any) -> Bundle:
    """Makes a bundle with `ann`, who takes these intents, `ben`, who takes none, and a router over both."""
    desk = Bundle("desk", stand_in=True)
    ann = desk.add(
        Agent(name="ann", description="a", instructions="a", intents=list(intents), output=dict[str, Any])
    )
    ben = desk.add(Agent(name="ben", description="b", instructions="b"))
    terms = {"members": [ann, ben], "classifier": ben, **router}
    if "splitter" in router:
        terms["splitter"] = ben
    if router:
        desk.add(Router(name="front", description="Answers.", **terms))
    return desk


def test_phrases_and_intents_are_read() -> None:
    refund = Intent(name="refund", examples=["my money"])
    entry = Registry([bundle_of("cancel it", refund)]).catalog.agents["desk.ann"]
    assert [(intent.name, intent.phrases) for intent in entry.intents] == [
        ("cancel it", ("cancel it",)),
        ("refund", ("my money",)),
    ]


@pytest.mark.parametrize(
    ("intents", "message"),
    [
        (["a", "a"], r"agent desk.ann: intents\[1\]: 'a' is there twice"),
        ([" "], r"intents\[0\]"),
        ([7], r"intents\[0\] must be a phrase or an Intent, not 7"),
        ([str(number) for number in range(51)], "it has 51 intents; the most is 50"),
    ],
)
def test_intents_that_are_none_are_refused(intents: list[Any], message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        bundle_of(*intents)


def test_all_faults_of_intents_are_told_at_once_and_text_is_no_list() -> None:
    with pytest.raises(DefinitionError) as caught:
        bundle_of(7, "a", "a")
    assert len(str(caught.value).splitlines()) == 2
    with pytest.raises(DefinitionError, match="intents must be a list of phrases"):
        Bundle("x").add(Agent(name="y", description="", instructions="", intents="refund"))


@pytest.mark.parametrize(
    ("intents", "router", "message"),
    [
        ([], {"embedding": "e/m"}, "embedding: no member takes an intent"),
        (
            ["refund"],
            {"rules": [{"when": "true", "intent": "refnd"}]},
            "rules.0..intent: .* did you mean 'refund'",
        ),
        (["refund"], {"splitter": "ben", "order": ["refnd"]}, "order: .* did you mean 'refund'"),
        (
            [Intent(name=f"{n}", examples=[f"{n} {at} {'x' * 400}" for at in range(50)]) for n in range(5)],
            {"embedding": "e/m"},
            "members: the intents of its members have 250 phrases of 101200 bytes; the most is 1000",
        ),
        (["ben"], {"embedding": "e/m"}, "members: 'ben' is an intent, and the name of a member without any"),
    ],
)
def test_a_router_whose_members_do_not_take_what_it_says_is_refused(
    intents: list[Any], router: dict[str, Any], message: str
) -> None:
    with pytest.raises(DefinitionError, match=message):
        Registry([bundle_of(*intents, **router)])


def test_so_is_one_that_is_written_in_a_step() -> None:
    catalog = Registry([bundle_of("refund")]).catalog
    team = {"pattern": "router", "members": ["desk.ann"], "classifier": "desk.ben"}
    wrong = {**team, "embedding": "e/m", "splitter": "desk.ben", "order": ["x", "refund"]}
    spec = parse_spec({"name": "t", "steps": [{"id": "s", "team": wrong}]}, catalog)
    (fault,) = check_spec(spec, catalog)
    assert (fault.path, "neither an intent nor a member 'x'" in fault.message) == (
        "steps[0].team.order",
        True,
    )
    with pytest.raises(SpecError, match="twice"):
        parse_spec({"name": "t", "steps": [{"id": "s", "team": {**wrong, "order": ["x", "x"]}}]}, catalog)


def test_an_embedding_model_is_one_that_the_task_may_ask() -> None:
    registry = Registry([bundle_of("refund", embedding="openai/e")])
    assert registry.asks_models
    assert not Registry([bundle_of("refund", embedding="stand-in/echo")]).asks_models
    assert "openai/e" in list(_models(Snapshot(task="t", catalog=registry.catalog)))


def test_a_router_that_splits_answers_with_a_list() -> None:
    output = {"type": "object", "properties": {"n": {"type": "integer"}}}
    catalog = Registry([bundle_of("refund", splitter="ben", output=output)]).catalog
    schema = catalog.agents["desk.front"].output_schema
    assert schema["type"] == "array"
    assert schema["items"]["properties"]["output"] == output
