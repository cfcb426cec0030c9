"""MCP tools under the fault explorer: real servers, real rows, and workers that are really killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from counterstep.testing.explore import explore
from counterstep.tests.support.mcp_servers import explored_inn

pytestmark = pytest.mark.slow


async def test_nothing_is_left_booked_wherever_the_task_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(explored_inn.FILE, str(tmp_path / "inn.sqlite"))
    support = explored_inn.__name__
    report = await explore(
        explored_inn.spec(),
        bundles=[f"{support}:travel"],
        effects=f"{support}:standing",
        shrink=False,
    )
    assert report.ok, report.text()
    # Each call is broken in seven ways and its undo in five; what only reads is broken in five.
    assert report.totals()["faults_injected"] == 2 * 12 + 5 + 5
    (warning,) = report.findings
    assert (warning.compensation, warning.rule) == ("inn.book_undo", "undo first")
