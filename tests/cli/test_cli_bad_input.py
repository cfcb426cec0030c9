"""Files that are made to do harm, given to a command."""

from __future__ import annotations

from pathlib import Path

import pytest

from counterstep.tests.support.processes.command import Shop


@pytest.mark.long
def test_what_a_command_says_of_such_a_file(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    (tmp_path / "binary.yaml").write_bytes(bytes(range(256)) * 100)
    (tmp_path / "deep.yaml").write_text("{a: " * 60_000)
    cases = (
        ("binary.yaml", "is not UTF-8 text; a spec is YAML or JSON"),
        ("deep.yaml", "is nested too deeply"),
    )
    for name, said in cases:
        done = shop.run("start", name)
        assert (done.code, done.err.splitlines()) == (2, [f"{name}: {said}"])
