"""The tutorial, followed word by word from an empty folder to its end: `make tutorial`."""

from __future__ import annotations

from pathlib import Path

import pytest

from counterstep.tests.support.pages.pages import ROOT, blocks
from counterstep.tests.support.pages.session import follow


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_tutorial_does_what_it_says(tmp_path: Path) -> None:
    said = follow(blocks(ROOT / "docs" / "tutorial.md"), tmp_path, seconds=800)
    assert len(said) > 15
    wrong = [f"{s.place}: {s.command}\n{s.printed}" for s in said if not s.agrees]
    assert not wrong, "\n\n".join(wrong)
