"""Faults of files say in which line and column they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from counterstep import Bundle, SpecError
from counterstep.bundle.positions import located, positions_of
from counterstep.bundle.spec_file import load_spec, parse_spec
from counterstep.saga.errors import Fault

YAML = """\
# a comment
name: x
steps:
  - id: a
    tool: b.c
    input:
      lines: [1, {sku: "${{ task.sku }}"}]
  - {id: b, tol: b.c}
"""

JSON = '{\n\t"name": "x",\n\t"steps": [\n\t\t{"id": "a", "tol": "b.c \\ud83d\\ude00"}\n\t]\n}\n'


@pytest.mark.parametrize(
    ("path", "line", "column"),
    [
        ("name", 2, 1),
        ("steps", 3, 1),
        ("steps[0]", 4, 5),
        ("steps[0].tool", 5, 5),
        ("steps[0].input.lines", 7, 7),
        ("steps[0].input.lines[1].sku", 7, 19),
        ("steps[0].input.sku", 6, 5),
        ("steps[0].validate[0].rule", 4, 5),
        ("steps[1].tol", 8, 13),
        ("steps[7].tool", 3, 1),
        ("steps[0].input.odd] key.[x", 6, 5),
    ],
)
def test_a_fault_has_the_place_of_the_nearest_part(path: str, line: int, column: int) -> None:
    (fault,) = located([Fault(path, "is wrong")], YAML)
    assert (fault.line, fault.column) == (line, column)
    assert str(fault) == f"{path}: is wrong (line {line}, column {column})"


def test_a_fault_of_no_part_has_no_place() -> None:
    faults = [Fault("", "is wrong"), Fault("deadline", "is wrong")]
    assert located(faults, YAML) == faults
    assert located([Fault("name", "is wrong")], "a: [") == [Fault("name", "is wrong")]


def test_json_may_have_tabs_and_pairs_of_surrogates() -> None:
    assert positions_of(JSON)["steps[0].tol"] == (4, 15)


def test_a_file_says_where_its_faults_are_and_data_does_not(tmp_path: Path) -> None:
    for name, text, place in (("x.yaml", YAML, (8, 13)), ("x.json", JSON, (4, 15))):
        (tmp_path / name).write_text(text)
        with pytest.raises(SpecError) as caught:
            load_spec(tmp_path / name)
        assert [(fault.line, fault.column) for fault in caught.value.faults] == [place]
        with pytest.raises(SpecError, match=rf"tol: .* \(line {place[0]}, column {place[1]}\)"):
            Bundle("b").add_task(tmp_path / name)
    with pytest.raises(SpecError) as caught:
        parse_spec({"name": "x", "steps": [{"id": "b", "tol": "b.c"}]})
    assert [(fault.line, fault.column) for fault in caught.value.faults] == [(None, None)]
    (tmp_path / "broken.yaml").write_text("name: x\nsteps: [\n")
    with pytest.raises(SpecError) as caught:
        load_spec(tmp_path / "broken.yaml")
    assert [(fault.line, fault.column) for fault in caught.value.faults] == [(3, 1)]
    assert "(line" not in str(caught.value)
