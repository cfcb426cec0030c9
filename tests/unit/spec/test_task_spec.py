"""Specs as files and documents: what they may say, and every fault of a wrong one at once."""

from __future__ import annotations

import json
import math
import re
import tracemalloc
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterstep import Budget, SpecError
from counterstep.bundle.spec_file import MAX_BYTES, load_spec, parse_spec
from counterstep.bundle.yaml_document import json_faults, read_document
from counterstep.saga.effect import Effect
from counterstep.saga.spec.failure_policy import Fallback
from counterstep.saga.spec.retry import Retry
from counterstep.saga.spec.task_spec import TaskSpec
from counterstep.tests.support.bundles.shop import ORDER

EVERYTHING = """\
name: everything
compensation: {order: sequential}
steps:
  - id: a
    tool: x.${{ task.kind }}
    one_of: [x.one, x.two]
    when: true
    for_each: ${{ task.items }}
    max_parallel: 3
    compensate: x.undo
    effect: compensatable
    retry: {attempts: 2, initial: 500ms, factor: 1.5, max: 5s}
    timeout: 90s
    task_queue: slow
    on_failure: skip
    on_reject: {fallback: x.other}
    validate:
      - judge: {model: openai/judge, criteria: 'Is it good?', threshold: 0.5}
      - judge: {model: [a/b, c/d], criteria: "${{ task.criteria }}"}
  - id: b
    group:
      output: {both: "${{ steps.c.output }}"}
      steps:
        - {id: c, agent: x.agent}
        - {id: d, agent: x.agent, needs: [c]}
    validate: [{rule: "output.both == 1"}]
validate: [{check: x.final}]
"""

ONE_STEP: dict[str, Any] = {"name": "x", "steps": [{"id": "a", "tool": "b.c"}]}

ONE_KIND = "a step is exactly one of agent, tool, team, workflow, group, approve and wait"


def spec_of(text: str) -> TaskSpec:
    return parse_spec(read_document(text, "spec.yaml"))


def faults_of(document: Any) -> dict[str, str]:
    with pytest.raises(SpecError) as caught:
        parse_spec(document)
    return {fault.path: fault.message for fault in caught.value.faults}


def reading_fault(text: str, source: str = "spec.yaml") -> str:
    with pytest.raises(SpecError) as caught:
        read_document(text, source)
    return str(caught.value)


def step(**keys: Any) -> dict[str, Any]:
    return {"name": "x", "steps": [{"id": "a", "tool": "b.c"} | keys]}


def test_the_designs_order() -> None:
    spec = spec_of(ORDER)
    assert spec.name == "order"
    assert spec.budget == Budget(model_calls=30, tokens=60000, usd=1.5)
    assert spec.deadline == timedelta(minutes=30)
    quote, reserve, ship = spec.steps
    assert (quote.kind, quote.target, quote.needs) == ("agent", "shop.appraiser", ())
    assert quote.validate_[0].rule == "!has(task.limit) || output.price <= task.limit"
    assert quote.validate_[0].message == "too dear"
    assert (reserve.kind, reserve.needs, reserve.validate_[0].check) == (
        "tool",
        ("quote",),
        "shop.within_stock",
    )
    assert ship.input == {"reservation_id": "${{ steps.reserve.output.id }}"}
    assert (ship.on_failure, ship.on_rejection, ship.retry, ship.timeout) == (
        "rollback",
        "rollback",
        None,
        None,
    )


def test_every_key() -> None:
    spec = spec_of(EVERYTHING)
    a, b = spec.steps
    assert spec.compensation.order == "sequential"
    assert (a.one_of, a.when, a.for_each, a.max_parallel) == (("x.one", "x.two"), "true", "task.items", 3)
    assert (a.compensate, a.effect, a.task_queue) == ("x.undo", Effect.COMPENSATABLE, "slow")
    assert a.retry == Retry(
        attempts=2, initial=timedelta(milliseconds=500), factor=1.5, max=timedelta(seconds=5)
    )
    assert a.timeout == timedelta(seconds=90)
    assert (a.on_failure, a.on_rejection, a.troubles) == (
        "skip",
        Fallback(fallback="x.other"),
        ("skip", Fallback(fallback="x.other")),
    )
    assert [v.judge.model for v in a.validate_ if v.judge] == ["openai/judge", ("a/b", "c/d")]
    assert [v.judge.threshold for v in a.validate_ if v.judge] == [0.5, 0.7]
    assert b.kind == "group"
    assert b.target is None
    assert b.group is not None
    assert [inner.id for inner in b.group.steps] == ["c", "d"]
    assert spec.validate_[0].check == "x.final"


def test_on_reject_is_as_on_failure_where_not_given() -> None:
    assert parse_spec(step(on_failure="skip")).steps[0].on_rejection == "skip"


@pytest.mark.parametrize("text", [ORDER, EVERYTHING])
def test_yaml_and_json_say_the_same(text: str) -> None:
    document = read_document(text, "spec.yaml")
    for indent in (None, 2, "\t"):
        assert spec_of(json.dumps(document, indent=indent)) == spec_of(text)


@pytest.mark.parametrize("text", [ORDER, EVERYTHING])
def test_a_spec_survives_history(text: str) -> None:
    spec = spec_of(text)
    recorded = spec.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    assert TaskSpec.model_validate(json.loads(json.dumps(recorded))) == spec
    assert TaskSpec.model_validate(spec.model_dump(mode="json")) == spec


def test_the_schema_of_a_spec_knows_the_designs_order() -> None:
    import jsonschema

    schema = TaskSpec.model_json_schema(by_alias=True)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(read_document(ORDER, "order.yaml"), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(step(tol="x"), schema)


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("true", "true"),
        (True, "true"),
        (False, "false"),
        ("${{ task.a }}", "task.a"),
        (" ${{ {'a': {}} }} ", "{'a': {}}"),
        ("task.a == '}}'", "task.a == '}}'"),
        ("${{ task.a }} && ${{ task.b }}", "${{ task.a }} && ${{ task.b }}"),
    ],
)
def test_bare_expressions_may_stand_in_braces(said: Any, read: str) -> None:
    assert parse_spec(step(when=said)).steps[0].when == read


@pytest.mark.parametrize(
    ("document", "faults"),
    [
        (None, {"": "a spec is a mapping with name and steps, not nothing"}),
        ([1], {"": "a spec is a mapping with name and steps, not a list"}),
        ("text", {"": "a spec is a mapping with name and steps, not text"}),
        (True, {"": "a spec is a mapping with name and steps, not true/false"}),
        ({}, {"name": "'name' is missing", "steps": "'steps' is missing"}),
        ({"name": "x", "steps": []}, {"steps": "must not be empty"}),
        ({"name": "x", "steps": 3}, {"steps": "must be a list, not a number"}),
        ({"name": "x", "steps": {"a": {}}}, {"steps": "must be a list, not a mapping"}),
        ({"name": "x", "steps": ["a"]}, {"steps[0]": "must be a mapping, not text"}),
        (ONE_STEP | {"name": 5}, {"name": "must be text, not 5"}),
        (
            ONE_STEP | {"name": "My Task"},
            {"name": "'My Task' must be lower-case letters, digits and _, and begin with a letter"},
        ),
        (
            ONE_STEP | {"name": "x\n"},
            {"name": "'x\\n' must be lower-case letters, digits and _, and begin with a letter"},
        ),
        (ONE_STEP | {"name": "x" * 65}, {"name": f"must have at most 64 characters, not '{'x' * 56}..."}),
        (ONE_STEP | {"stepz": []}, {"stepz": "there is no key 'stepz' here; did you mean 'steps'?"}),
        (ONE_STEP | {"input": "x"}, {"input": "must be a mapping, not text"}),
        (ONE_STEP | {"deadline": 30}, {"deadline": "a duration looks like 500ms, 30s, 5m, 2h or 1d, not 30"}),
        (ONE_STEP | {"deadline": "0s"}, {"deadline": "a duration must be more than zero"}),
        (ONE_STEP | {"budget": 5}, {"budget": "must be a mapping, not a number"}),
        (ONE_STEP | {"budget": {"usd": -1}}, {"budget.usd": "must be greater than or equal to 0, not -1"}),
        (
            ONE_STEP | {"budget": {"tokes": 1}},
            {"budget.tokes": "there is no key 'tokes' here; did you mean 'tokens'?"},
        ),
        (
            ONE_STEP | {"compensation": {"order": "random"}},
            {"compensation.order": "'random' is not one of 'parallel' or 'sequential'"},
        ),
        (
            step(id="A"),
            {"steps[0].id": "'A' must be lower-case letters, digits and _, and begin with a letter"},
        ),
        (
            step(id="in"),
            {"steps[0].id": "'in' is a word of expressions, which could not read it by this name"},
        ),
        (step(needs="b"), {"steps[0].needs": "must be a list, not text"}),
        (step(needs=["b", 3]), {"steps[0].needs[1]": "must be text, not 3"}),
        (step(tol="b"), {"steps[0].tol": "there is no key 'tol' here; did you mean 'tool'?"}),
        (
            step(approval={}),
            {"steps[0].approval": re.compile("there is no key 'approval' here; ")},
        ),
        (
            step(tool=None),
            {"steps[0]": ONE_KIND + ", and this one is none"},
        ),
        (
            step(agent="b.d"),
            {"steps[0]": ONE_KIND + ", not agent and tool together"},
        ),
        (step(when=3), {"steps[0].when": "must be text, not 3"}),
        (step(when=""), {"steps[0].when": "must not be empty"}),
        (step(max_parallel=2), {"steps[0]": "max_parallel needs for_each"}),
        (
            step(for_each="task.a", max_parallel=0),
            {"steps[0].max_parallel": "must be greater than or equal to 1, not 0"},
        ),
        (
            step(effect="safe"),
            {"steps[0].effect": "'safe' is not one of 'read_only', 'compensatable', 'pivot' or 'retriable'"},
        ),
        (step(timeout="1 min"), {"steps[0].timeout": re.compile("a duration looks like")}),
        (step(retry=3), {"steps[0].retry": "must be a mapping, not a number"}),
        (
            step(retry={"attempts": 0}),
            {"steps[0].retry.attempts": "must be greater than or equal to 1, not 0"},
        ),
        (step(retry={"delay": "1s"}), {"steps[0].retry.delay": re.compile("there is no key 'delay' here")}),
        (step(task_queue=""), {"steps[0].task_queue": "must not be empty"}),
        (
            step(on_failure="retry"),
            {
                "steps[0].on_failure": "'retry' is none of rollback, skip, escalate, "
                "{retry_from: STEP}, {model: NAME}, {rule: NAME} and {fallback: AGENT}"
            },
        ),
        (
            step(on_reject=3),
            {
                "steps[0].on_reject": "3 is none of rollback, skip, escalate, "
                "{retry_from: STEP}, {model: NAME}, {rule: NAME} and {fallback: AGENT}"
            },
        ),
        (
            step(on_failure={"fallbak": "b.d"}),
            {
                "steps[0].on_failure.fallback": "say one of fallback, model, rule, escalate, retry_from",
                "steps[0].on_failure.fallbak": "there is no key 'fallbak' here; did you mean 'fallback'?",
            },
        ),
        (step(validate={}), {"steps[0].validate": "must be a list, not a mapping"}),
        (step(validate=[{}]), {"steps[0].validate[0]": "say exactly one of rule, check and judge"}),
        (
            step(validate=[{"rule": "true"}, {"rule": "true", "check": "b.d"}]),
            {"steps[0].validate[1]": "say exactly one of rule, check and judge"},
        ),
        (
            step(validate=[{"check": "b.d", "message": "no"}]),
            {"steps[0].validate[0]": "message belongs to a rule"},
        ),
        (
            step(validate=[{"judge": {"model": [], "criteria": "", "treshold": 2}}]),
            {
                "steps[0].validate[0].judge.model": re.compile("must"),
                "steps[0].validate[0].judge.criteria": "must not be empty",
                "steps[0].validate[0].judge.treshold": re.compile(".* did you mean 'threshold'"),
            },
        ),
        (
            step(validate=[{"judge": {"model": "", "criteria": "x", "threshold": 2}}]),
            {
                "steps[0].validate[0].judge.model": "must not be empty",
                "steps[0].validate[0].judge.threshold": "must be less than or equal to 1, not 2",
            },
        ),
        (
            {"name": "x", "steps": [{"id": "g", "group": {"steps": []}}]},
            {"steps[0].group.steps": "must not be empty"},
        ),
        (
            {
                "name": "x",
                "steps": [
                    {
                        "id": "g",
                        "group": {"steps": [{"id": "a", "tool": "b.c"}]},
                        "timeout": "1s",
                        "input": {"a": 1},
                    }
                ],
            },
            {"steps[0]": "a group has no input and no timeout; its steps have"},
        ),
        (
            {"name": "x", "steps": [{"id": "g", "group": {"steps": [{"id": "a"}]}}]},
            {"steps[0].group.steps[0]": re.compile(".* is none$")},
        ),
    ],
)
def test_faults(document: Any, faults: dict[str, str | re.Pattern[str]]) -> None:
    found = faults_of(document)
    assert list(found) == list(faults)
    for path, wanted in faults.items():
        if isinstance(wanted, str):
            assert found[path] == wanted
        else:
            assert wanted.match(found[path])


def test_all_faults_come_at_once() -> None:
    document = {
        "name": "X",
        "deadline": "soon",
        "colour": "red",
        "steps": [
            {"id": "a", "tool": "b.c", "timeout": 3, "needs": [1]},
            {"id": "B", "agent": "b.d", "tool": "b.c"},
            {"id": "c", "retry": {"attempts": 0}, "validate": [{"check": 1, "rule": "x"}]},
            {"id": "g", "group": {"steps": [{"id": "D", "max_parallel": 2}]}},
        ],
    }
    assert set(faults_of(document)) == {
        "name",
        "deadline",
        "colour",
        "steps[0].timeout",
        "steps[0].needs[0]",
        "steps[1].id",
        "steps[1]",
        "steps[2].retry.attempts",
        "steps[2].validate[0].check",
        "steps[2]",
        "steps[2].validate[0]",
        "steps[3].group.steps[0].id",
        "steps[3].group.steps[0]",
    }


def test_a_typing_error_is_not_a_missing_key_as_well() -> None:
    steps = (
        [{"id": "a", "tol": "b.c"}]
        + [{"id": f"b{n}", "tool": "b.c"} for n in range(9)]
        + [{"id": "k", "agnt": "x"}]
    )
    assert set(faults_of({"name": "x", "steps": steps})) == {"steps[0].tol", "steps[10].agnt"}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (math.nan, "steps[0].input.x: nan is not a JSON number"),
        (math.inf, "steps[0].input.x: inf is not a JSON number"),
        ({1: 2}, "steps[0].input.x: the key 1 is not text"),
        ({1, 2}, "steps[0].input.x: set is not a JSON type"),
        (timedelta(1), "steps[0].input.x: timedelta is not a JSON type"),
        (b"x", "steps[0].input.x: bytes is not a JSON type"),
        ("\ud83d", "steps[0].input.x: has half of a character in it (a lone surrogate)"),
    ],
)
def test_what_json_does_not_have(value: Any, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_spec(step(input={"x": value, "y": value}))
    assert message in str(caught.value)
    assert len(caught.value.faults) == 2


def test_depth_is_bounded() -> None:
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]
    faults = faults_of(step(input={"x": deep}))
    assert list(faults.values()) == ["is nested more than 50 levels deep"]
    for text in (
        "[" * 5000 + "]" * 5000,
        "{a: " * 5000 + "1" + "}" * 5000,
        '{"a":' * 5000 + "1" + "}" * 5000,
    ):
        assert "nested too deeply" in reading_fault(text)


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(JSON_VALUES)
def test_any_json_document_is_a_spec_or_has_faults(document: Any) -> None:
    assert read_document(json.dumps(document), "x.json") == document or list(json_faults(document))
    with pytest.raises(SpecError) as caught:
        parse_spec(document)
    assert caught.value.faults


@given(st.dictionaries(st.sampled_from(list(TaskSpec.model_fields)), JSON_VALUES))
def test_any_values_under_the_right_keys(document: dict[str, Any]) -> None:
    try:
        parse_spec(ONE_STEP | document)
    except SpecError as error:
        assert all(fault.path and fault.message for fault in error.faults)


@given(st.text())
def test_any_text_is_a_document_or_is_refused(text: str) -> None:
    try:
        value = read_document(text, "x.yaml")
    except SpecError as error:
        assert str(error).startswith("x.yaml")
        return
    assert not [fault for fault in json_faults(value) if "no JSON type" in fault.message]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 2026-01-01", "2026-01-01"),
        ("a: 2026-01-01T10:00:00Z", "2026-01-01T10:00:00Z"),
        ("a: NO", "NO"),
        ("a: yes", "yes"),
        ("a: on", "on"),
        ("a: 12:30", "12:30"),
        ("a: 0123", "0123"),
        ("a: 1_000", "1_000"),
        ("a: 0x1F", "0x1F"),
        ("a: .nan", ".nan"),
        ("a: =", "="),
        ("a: 5", 5),
        ("a: -5", -5),
        ("a: +5", 5),
        ("a: 1.5", 1.5),
        ("a: 1e3", 1000.0),
        ("a: true", True),
        ("a: False", False),
        ("a: ~", None),
        ("a: null", None),
        ("a:", None),
        ("a: 'null'", "null"),
        ("a: |\n  x\n  y\n", "x\ny\n"),
        ("a: [1, {b: c}]", [1, {"b": "c"}]),
        ("{a: 1,}", 1),
        ('{"a": "\\ud83d\\ude00\\/"}', "😀/"),
        ('{\n\t"a": 1\n}', 1),
        ("a: 😀", "😀"),
        ("a: &anchor 1", 1),
    ],
)
def test_yaml_keeps_to_json(text: str, value: Any) -> None:
    read = read_document(text, "x.yaml")["a"]
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "spec.yaml:1:5: is not YAML: expected the node content"),
        ("a: 1\n b: 2", "spec.yaml:2:3: is not YAML: mapping values are not allowed here"),
        (
            "a: Buy: x",
            "spec.yaml:1:7: is not YAML: mapping values are not allowed here; write a text that has a",
        ),
        (
            "a: {b: ${{ task.c }}}",
            "spec.yaml:1:9: is not YAML: expected ',' or '}', but got '{'; write what has",
        ),
        (
            "a: ${{ task.c ? 'd: e' : 'f' }}",
            "mapping values are not allowed here; write what has ${{ }} in it in",
        ),
        ("\ta: 1", "spec.yaml:1:1: is not YAML: found character '\\t'"),
        ("a: 1\nb: 2\na: 3", "spec.yaml:3:1: the key 'a' stands here twice"),
        ('{"a": {"b": 1, "b": 2}}', "spec.yaml:1:16: the key 'b' stands here twice"),
        ("1: 2", "spec.yaml:1:1: the key 1 is not text; write it in quotes"),
        ("true: 2", "the key True is not text"),
        ("? [a]\n: 2", "the key ['a'] is not text"),
        ("a: &x [1]\nb: *x", "spec.yaml:2:4: aliases (*name) are not allowed"),
        ("a: &x [*x]", "aliases (*name) are not allowed"),
        ("a: &x {b: 1}\nc: {<<: *x}", "aliases (*name) are not allowed"),
        ("a: !!python/object/apply:os.system [ls]", "the tag !!python/object/apply:os.system is not allowed"),
        ("a: !!set {x}", "the tag !!set is not allowed"),
        ("a: !!binary aGk=", "the tag !!binary is not allowed"),
        ("a: !!timestamp 2026-01-01", "the tag !!timestamp is not allowed"),
        ("a: !env HOME", "the tag !env is not allowed"),
        ("a: 1e999", "spec.yaml:1:4: 1e999 is too large a number"),
        ("a: 1" + "0" * 5000, "spec.yaml:1:4: a number of 5001 digits is too large"),
        ("name: a\n---\nname: b", "spec.yaml:2:1: has more than one document; a second one begins here"),
        ("a: \x00", "is not YAML: unacceptable character #x0000"),
    ],
)
def test_what_yaml_refuses(text: str, message: str) -> None:
    assert message in reading_fault(text)


def test_what_json_refuses() -> None:
    assert reading_fault('{"a": 1,\n "b" 2}', "x.json") == "x.json:2:6: is not JSON: Expecting ':' delimiter"
    assert "the key 'a' stands here twice" in reading_fault('{"a": 1, "a": 2}', "x.json")
    assert faults_of(read_document('{"a": NaN}', "x.json")) == {"a": "nan is not a JSON number"}


def test_files(tmp_path: Path) -> None:
    for name, content in {
        "order.yaml": ORDER.encode(),
        "bom.yaml": b"\xef\xbb\xbf" + ORDER.encode(),
        "windows.yaml": ORDER.replace("\n", "\r\n").encode(),
        "order.json": json.dumps(read_document(ORDER, "")).encode(),
    }.items():
        (tmp_path / name).write_bytes(content)
        assert load_spec(tmp_path / name) == spec_of(ORDER)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"\x89PNG\r\n\x1a\n\x00\xff", "is not UTF-8 text; a spec is YAML or JSON"),
        (ORDER.encode("utf-16"), "is not UTF-8 text"),
        (b"x" * (MAX_BYTES + 1), f"is too large; a spec has at most {MAX_BYTES} bytes"),
        (b"", "a spec is a mapping with name and steps, not nothing"),
        (b"# nothing\n", "not nothing"),
        (b"name: [", "spec.yaml:1:8: is not YAML"),
        (b"\xef\xbb\xbf", "not nothing"),
    ],
)
def test_files_that_are_no_specs(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "spec.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SpecError) as caught:
        load_spec(path)
    assert message in str(caught.value)


def test_a_folder_is_no_spec(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="cannot be read: Is a directory"):
        load_spec(tmp_path)


def test_a_huge_file_is_refused_without_being_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.yaml"
    with path.open("wb") as file:
        file.truncate(1 << 33)
    tracemalloc.start()
    try:
        with pytest.raises(SpecError, match="is too large"):
            load_spec(path)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 100 * MAX_BYTES


def test_neither_text_nor_a_truth_value_is_a_number() -> None:
    spec = {
        "name": "x",
        "budget": {"model_calls": True, "tokens": "500", "usd": "1.5", "tool_calls": False, "handoffs": "1"},
        "steps": [
            {
                "id": "a",
                "agent": "b.writer",
                "for_each": "${{ task.rows }}",
                "max_parallel": True,
                "retry": {"attempts": "3", "factor": True},
                "timeout": {"percentile": "95", "floor": "1s", "ceiling": "9s"},
                "validate": [{"judge": {"model": "openai/m", "criteria": "good", "threshold": "0.5"}}],
                "approve": {"ask": "well?", "people": True},
                "on_reject": {"retry_from": "a", "rounds": "2"},
            }
        ],
    }
    assert {path for path, said in faults_of(spec).items() if "must be a valid" in said} == {
        "budget.model_calls",
        "budget.tokens",
        "budget.usd",
        "budget.tool_calls",
        "budget.handoffs",
        "steps[0].max_parallel",
        "steps[0].retry.attempts",
        "steps[0].retry.factor",
        "steps[0].timeout.percentile",
        "steps[0].validate[0].judge.threshold",
        "steps[0].approve.people",
        "steps[0].on_reject.rounds",
    }


@pytest.mark.parametrize("key", ["fallback", "model", "rule", "escalate", "retry_from"])
def test_a_key_of_a_rung_is_told_where_it_stands_at_the_top_of_a_spec(key: str) -> None:
    assert faults_of({**step(), key: "y"})[key].startswith(f"there is no key '{key}' here")


def test_a_whole_number_may_be_written_with_a_fraction_of_nothing() -> None:
    read = parse_spec(step(retry={"attempts": 3.0}) | {"budget": {"model_calls": 5.0, "usd": 2}})
    assert (read.steps[0].retry, read.budget) == (Retry(attempts=3), Budget(model_calls=5, usd=2.0))
    assert "attempts" in str(faults_of(step(retry={"attempts": 3.5})))
