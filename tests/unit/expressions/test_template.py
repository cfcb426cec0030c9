"""Templates: JSON with expressions in its strings."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterstep.saga.errors import ExpressionError
from counterstep.saga.expressions.expression import Expression
from counterstep.saga.expressions.template import expressions, render
from counterstep.saga.expressions.tokens import holes, is_one_hole

SCOPE: dict[str, Any] = {
    "task": {
        "sku": "A-1",
        "count": 2,
        "price": 7.0,
        "nothing": None,
        "tags": ["a", "é"],
        "map": {"b": 1, "a": 2},
    },
    "steps": {"quote": {"state": "completed", "output": {"id": "q1"}}},
}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("plain", "plain"),
        ("", ""),
        (5, 5),
        (None, None),
        (True, True),
        ("${{ task.count }}", 2),
        ("  ${{ task.count }}\n", 2),
        ("${{task.tags}}", ["a", "é"]),
        ("${{ task.price }}", 7.0),
        ("${{ true }}", True),
        ("${{ has(task.x) ? task.x : null }}", None),
        ("n=${{ task.count }}", "n=2"),
        ("${{ task.price }} EUR", "7 EUR"),
        ("${{ task.count }}${{ task.count }}", "22"),
        (
            "${{ task.sku }}: ${{ task.tags }} ${{ task.map }} ${{ true }}",
            'A-1: ["a", "é"] {"b": 1, "a": 2} true',
        ),
        ("a $ {{ b }} {{ c }} $${{ task.count }}", "a $ {{ b }} {{ c }} $2"),
        ("}} ${{ task.count }} }}", "}} 2 }}"),
        # a hole ends where its expression ends
        ("${{ {'a': {'b': 1}} }}", {"a": {"b": 1}}),
        ("${{ {'a': {'b': 1}}.a.b }}!", "1!"),
        ("${{ {'a':{'b':{'c':1}}}}}", {"a": {"b": {"c": 1}}}),
        ("${{ '}}' }}", "}}"),
        ('${{ "${{ x }}" }} ${{ task.count }}', "${{ x }} 2"),
        (r"${{ '\'}}' }}", "'}}"),
        (r"${{ r'\' + '}}' }}", "\\}}"),
        ("${{ '''it's }}''' }}", "it's }}"),
        ("${{ task.count // two }} left", "2 left"),
        ("${{ task.count // }} still a comment\n + 1 }}".replace("// }}", "// "), 3),
        ("${{\n  task.count\n  + 1\n}}", 3),
        # wherever it stands
        (
            {"a": ["${{ task.sku }}", {"b": "x${{ task.count }}"}], "c": 1},
            {"a": ["A-1", {"b": "x2"}], "c": 1},
        ),
        (("${{ task.count }}",), [2]),
        ({"${{ task.sku }}": 1}, {"${{ task.sku }}": 1}),
    ],
)
def test_rendering(template: Any, expected: Any) -> None:
    rendered = render(template, SCOPE)
    assert rendered == expected
    assert type(rendered) is type(expected)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("${{ task.missing }}", "input: task.missing is missing"),
        ({"a": ["", "x ${{ task.nothing }}"]}, "input.a[1]: task.nothing is null"),
        ("${{ task.count + task.sku }}", "input: 'task.count + task.sku': a number + text is not defined"),
        ("${{ task.count", "input: '${{ task.count': a ${{ is not closed by }}"),
        ("${{ task.count }", "a ${{ is not closed by }}"),
        ("${{ task.count }} and ${{ task", "a ${{ is not closed by }}"),
        ("${{ ${{ task.count }} }}", "a ${{ is not closed by }}, or does not belong here"),
        ("${{ }}", "input: '' does not parse"),
        ("${{ task. }}", "input: 'task.' does not parse"),
        ("${{ it's }}", 'input: "it\'s" does not parse'),
        ("${{ tusk }}", "input: 'tusk': there is no 'tusk' to read"),
    ],
)
def test_what_cannot_be_rendered_says_where(template: Any, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        render(template, SCOPE, "input")
    assert message in str(caught.value)


def test_without_a_path_the_message_has_none() -> None:
    with pytest.raises(ExpressionError, match=r"^task\.missing is missing$"):
        render("${{ task.missing }}", SCOPE)


def test_expressions_are_found_with_their_paths() -> None:
    template = {
        "a": "${{ task.x }} and ${{ steps.y.output }}",
        "b": [1, {"c": "${{ {'k': {}} }}"}],
        "d": "no",
    }
    assert list(expressions(template, "input")) == [
        ("input.a", "task.x"),
        ("input.a", "steps.y.output"),
        ("input.b[1].c", "{'k': {}}"),
    ]
    assert list(expressions("${{ a }}")) == [("", "a")]
    assert list(expressions({"a": "${{ b }}"})) == [("a", "b")]
    assert list(expressions(None)) == []


def test_an_unclosed_hole_is_found_and_never_parses() -> None:
    ((path, source),) = expressions("total: ${{ task.count }", "input")
    assert (path, source) == ("input", "${{ task.count }")
    with pytest.raises(ExpressionError, match="is not closed"):
        Expression(source)


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("${{ a }}", True),
        (" ${{ a }} ", True),
        ("${{ {'a': {}} }}", True),
        ("x${{ a }}", False),
        ("a", False),
    ],
)
def test_one_whole_hole(text: str, whole: bool) -> None:
    assert is_one_hole(text) is whole
    assert not is_one_hole("${{ a }}${{ b }}")


@given(st.text())
def test_text_without_holes_stays(text: str) -> None:
    if "${{" not in text:
        assert render(text, SCOPE) == text


@given(st.text(), st.text(), st.text(max_size=20))
def test_the_text_around_a_hole_stays(before: str, after: str, literal: str) -> None:
    before, after = before.replace("$", ""), after.replace("$", "")
    quoted = "'" + "".join(f"\\u{ord(c):04x}" if ord(c) < 0xD800 else "x" for c in literal) + "'"
    shown = "".join(c if ord(c) < 0xD800 else "x" for c in literal)
    template = f"{before}-${{{{ {quoted} }}}}{after}"
    assert render(template, SCOPE) == f"{before}-{shown}{after}"


@given(st.text(st.sampled_from("${}'\" ra\\/\n"), max_size=30))
def test_holes_never_overlap_and_any_text_has_some_answer(text: str) -> None:
    end = 0
    for hole in holes(text):
        assert end <= hole.start < hole.end <= len(text)
        assert text.startswith("${{", hole.start)
        end = hole.end
    assert "${{" not in text[end:]
    try:
        render(text, SCOPE)
    except ExpressionError as error:
        assert str(error)
