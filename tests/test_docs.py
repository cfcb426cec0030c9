"""The specs in the documentation are specs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from counterstep.bundle.document import read_document
from counterstep.bundle.spec_file import parse_spec

DOCS = Path(__file__).parent.parent / "docs"
BLOCKS = [
    pytest.param(block, id=f"{page.name}-{number}")
    for page in sorted(DOCS.glob("*.md"))
    for number, block in enumerate(re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL))
]


def test_there_are_specs() -> None:
    assert BLOCKS


@pytest.mark.parametrize("block", BLOCKS)
def test_a_spec_in_the_documentation_has_the_right_shape(block: str) -> None:
    assert parse_spec(read_document(block, "a page")).steps
