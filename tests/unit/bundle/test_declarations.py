"""What is wrong with a declaration is told in one line, with its place, and not in the words of a library."""

from __future__ import annotations

from pathlib import Path

import pytest

from counterstep import DefinitionError
from counterstep.bundle.loading import load_bundle

BEGIN = """
from counterstep import Agent, Approval, Bundle, Budget
from counterstep.teams import Concurrent, Debate, Person, Router

shop = Bundle("shop")
a = shop.add(Agent(name="a", description="A.", instructions="x"))
b = shop.add(Agent(name="b", description="B.", instructions="x"))
"""


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "Debate(members=[a, b], rounds=0, judgge=a)",
            "Debate: rounds: must be greater than or equal to 1, not 0; "
            "judgge: there is no key 'judgge' here; did you mean 'judge'?",
        ),
        ("Debate(members=[])", "Debate: members: must not be empty"),
        ("Debate(members=[a])", "Debate: members: a debate has two members or more"),
        (
            "Debate(members=[a, a])",
            "members[1] and members[0] are both called 'a'; names in a team are unique",
        ),
        ("Debate(members=[a, b], by='output.x +')", "Debate: by: 'output.x +' does not parse: line 1"),
        ("Router(members=[a], rules=[{'when': 'true', 'to': 'z'}])", "rules[0].to: there is no member 'z'"),
        (
            "Approval(alwayss=True)",
            "there is no key 'alwayss' here; did you mean 'always'?",
        ),
        ("Person(name='Pat', ask='What?')", "Person: name: 'Pat' must be lower-case letters, digits and _"),
        ("Budget(model_calls=-1)", "Budget: model_calls: must be greater than or equal to 0, not -1"),
        (
            "Concurrent(members=[Agent(name='c', description='', instructions='')])",
            "'c' is not registered in a bundle yet; add it before the team",
        ),
    ],
)
def test_a_wrong_declaration_names_its_fault_and_its_line(
    line: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = f"declared_{abs(hash(line))}"
    (tmp_path / f"{module}.py").write_text(f"{BEGIN}{line}\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(DefinitionError) as caught:
        load_bundle(f"{module}:shop")
    told = str(caught.value)
    assert message in told
    assert f"{module}.py, line {BEGIN.count(chr(10)) + 1})" in told
    assert "pydantic" not in told
    assert "type=" not in told


def test_a_team_that_a_bundle_adds_names_unknown_members_and_cycles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from counterstep.bundle.registry import Registry

    text = f"""{BEGIN}
j = shop.add(Agent(name="j", description="J.", instructions="x", tools=["d"]))
shop.add(Debate(name="d", description="x", members=[a, "bb"], judge=j))
"""
    (tmp_path / "cyclic_team.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(DefinitionError) as caught:
        Registry([load_bundle("cyclic_team:shop")])
    assert str(caught.value).splitlines() == [
        "agent shop.j: these agents ask each other for ever: shop.j -> shop.d -> shop.j",
        "team shop.d: members[1]: there is no agent 'shop.bb'; did you mean 'shop.b'?",
        "team shop.d: these agents ask each other for ever: shop.d -> shop.j -> shop.d",
    ]
