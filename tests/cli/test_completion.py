"""Shell completion: what bash asks the command for, and what it is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from counterstep.tests.support.processes.command import Shop


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("counterstep wa", {"watch"}),
        ("counterstep re", {"resolve", "reject", "recover", "result"}),
        ("counterstep list --st", {"--state"}),
        ("counterstep list --state need", {"needs_attention"}),
    ],
)
def test_bash_completes(tmp_path: Path, line: str, offered: set[str]) -> None:
    shop = Shop(
        tmp_path,
        {
            "_COUNTERSTEP_COMPLETE": "complete_bash",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(line.split()) - 1),
        },
    )
    done = shop.run()
    assert (done.code, done.err) == (0, "")
    assert set(done.out.split()) == offered


def test_the_script_for_a_shell_is_data(tmp_path: Path) -> None:
    shop = Shop(tmp_path, {"SHELL": "/bin/bash", "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"})
    done = shop.run("--show-completion", "bash")
    assert (done.code, done.err) == (0, "")
    assert "complete -o default -F _counterstep_completion counterstep" in done.out
