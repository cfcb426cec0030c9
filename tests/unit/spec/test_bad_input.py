"""Files and expressions that are made to do harm: a clear sentence, soon, and in bounded memory."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import pytest

from counterstep.bundle.spec_file import MAX_BYTES, MAX_STEPS, MOST_FAULTS, load_spec, parse_spec
from counterstep.bundle.yaml_document import read_document
from counterstep.cli.arguments.values import read_values
from counterstep.saga.errors import ExpressionError, SpecError
from counterstep.saga.expressions.expression import Expression

FULL = MAX_BYTES - 10

HARMFUL = {
    "flow": ("[" * FULL, "is nested too deeply"),
    "maps": ("{a: " * (FULL // 4), "is nested too deeply"),
    "blocks": ("".join(f"{' ' * depth}a:\n" for depth in range(700)), "is nested too deeply"),
    "sequences": ("- " * (FULL // 2), "is nested too deeply"),
    "keys": ("? " * (FULL // 2), "is nested too deeply"),
    "json": ('{"a":' * (FULL // 5), "is nested too deeply"),
    "closed json": ("[" * 900 + "]" * 900, "is nested more than 50 levels deep"),
    "bomb": ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]", "2:8: aliases (*name) are not allowed"),
    "merge": ("a: &a {x: 1}\nb: {<<: *a}", "aliases (*name) are not allowed"),
    "code": (
        "!!python/object/apply:os.system [id]",
        "the tag !!python/object/apply:os.system",
    ),
    "tag": ("!" * FULL, "the tag !!!"),
    "digits": (f"a: {'9' * FULL}", "1:4: a number of"),
    "json digits": (f'{{"a": {"9" * FULL}}}', "a number of"),
    "infinite": ('{"a": 1e999}', "inf is not a JSON number"),
    "control": ("a: \0", "special characters are not allowed"),
}


@pytest.mark.parametrize("name", HARMFUL)
def test_a_harmful_document_is_one_clear_sentence(name: str, tmp_path: Path) -> None:
    text, said = HARMFUL[name]
    file = tmp_path / "file.yaml"
    file.write_text(text)
    with pytest.raises(SpecError) as caught:
        read_values((), str(file), option="--input", root="input")
    message = str(caught.value)
    assert said in message
    assert "\n" not in message
    assert len(message) < 600 + len(str(file))


def test_files_are_read_no_further_than_they_may_be_long(tmp_path: Path) -> None:
    huge = tmp_path / "huge.yaml"
    with huge.open("wb") as file:
        file.truncate(10_000_000)
    tracemalloc.start()
    try:
        for source in (huge, Path("/dev/zero")):
            with pytest.raises(SpecError, match="a spec has at most 262144 bytes"):
                load_spec(source)
            with pytest.raises(SpecError, match="at most 1000000 bytes are allowed"):
                read_values((), str(source), option="--input", root="input")
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_a_spec_has_a_bounded_number_of_steps() -> None:
    step = {"id": "s", "tool": "a.b"}
    group = {"id": "g", "group": {"steps": [step] * MAX_STEPS}}
    for steps in ([step] * (MAX_STEPS + 1), [group]):
        with pytest.raises(SpecError, match=rf"steps: are {MAX_STEPS + 1}, .* at most {MAX_STEPS}"):
            parse_spec({"name": "many", "steps": steps})


def test_of_many_faults_the_first_are_told() -> None:
    with pytest.raises(SpecError) as caught:
        parse_spec({"name": "x", "steps": [{"id": "a", "tool": "b.c"}], **{f"k{n}": 1 for n in range(5000)}})
    assert len(caught.value.faults) == MOST_FAULTS + 1
    assert str(caught.value.faults[-1]) == f"... and {5000 - MOST_FAULTS} more faults"


@pytest.mark.parametrize(
    "content", [os.urandom(5000), b"\x7fELF\x02\x01\x01", "name: x".encode("utf-16"), b""]
)
def test_what_is_no_text_is_said_to_be_none(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "spec.yaml"
    file.write_bytes(content)
    with pytest.raises(SpecError, match=r"is not UTF-8 text|special characters|not nothing|is not YAML"):
        load_spec(file)


def nested(levels: int, inner: str, outer: str) -> str:
    for _ in range(levels):
        inner = outer.replace("@", inner)
    return inner


EXPLOSIVE = {
    "loops": (nested(6, "1", f"[{','.join('1' * 60)}].map(x, @)"), "its loops visit more than 10000 items"),
    "texts": (nested(60, "'aaaaaaaaaa'", "[@].map(x, x + x)[0]"), "the result of + has more than 4000000"),
    "lists": (nested(60, "[1, 2]", "[@].map(x, x + x)[0]"), "the result of + has more than 10000 items"),
    "copies": (f"[{'task.s, ' * 400}1]", "it would copy values of more than 20 MB"),
    "copies by loops": ("task.l.map(x, task.s)", "it would copy values of more than 20 MB"),
    "copies of items": (f"[task.s].map(x, [{'x, ' * 400}1])", "it would copy values of more than 20 MB"),
    "copies for functions": ("task.l.all(x, size(task.s) > x)", "it would copy values of more than 20 MB"),
    "copies of an outer item": (
        "[task.s].map(x, task.l.map(y, size(x)))",
        "it would copy values of more than 20 MB",
    ),
    "names": ("[1].map(part_, part_)", "'part_' cannot name what a loop visits"),
    "brackets": ("(" * 2000 + "1" + ")" * 2000, "it is nested too deeply"),
    "open brackets": ("[" * 4000, "it is nested too deeply"),
    "minus": ("-" * 4000 + "1", "it is nested too deeply"),
    "choices": ("true ? 1 : " * 360 + "1", "it is nested too deeply"),
    "calls": ("size(" * 600 + "'a'" + ")" * 600, "it is nested too deeply"),
    "regex": ("'a'.matches('((((a{1000}){1000}){1000}){1000})')", "matches() refuses its values"),
    "long": ("1 + " * 2000 + "1", "the most is 4096"),
}


@pytest.mark.parametrize("name", EXPLOSIVE)
def test_an_expression_that_explodes_is_refused(name: str) -> None:
    source, said = EXPLOSIVE[name]
    with pytest.raises(ExpressionError) as caught:
        Expression(source).evaluate({"task": {"s": "x" * 1_000_000, "l": list(range(2000))}})
    assert said in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_regular_expression_takes_no_exponential_time() -> None:
    assert Expression(f"'{'a' * 4000}!'.matches('(a+)+$')").evaluate({}) is False


def test_a_document_may_use_what_it_may(tmp_path: Path) -> None:
    assert read_document("a: {b: [1, 2.5, yes, 'x']}", "x.yaml") == {"a": {"b": [1, 2.5, "yes", "x"]}}
