"""Shows people what was decided in a task."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ...client.decisions import Decision
from ...client.team_decisions import TeamDecision
from ...saga.limits.usage import cost_of
from .output import printable, say

_WIDTH = 160
_STYLES = {"kept": "green", "undone": "magenta", "failed": "red", "stopped": "yellow", "running": "cyan"}


def print_decisions(decisions: Sequence[Decision]) -> None:
    """Prints decisions as a table, oldest first, and how the task stands."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("", "time", "team or step", "decision", "who", "why", "turn"):
        table.add_column(heading)
    table.add_column("calls", justify="right")
    table.add_column("cost", justify="right")
    for decision in decisions:
        if not isinstance(decision, TeamDecision):
            table.add_row(
                "",
                f"{decision.at:%H:%M:%S}",
                _text(decision.call or decision.step or decision.task),
                decision.operation,
                _text(decision.by),
                _text(f"{decision.what}: {decision.reason}" if decision.reason else decision.what),
            )
            continue
        end = decision.reward.turn or ""
        table.add_row(
            decision.code,
            f"{decision.at:%H:%M:%S}",
            _text(f"{decision.team} ({decision.pattern})"),
            decision.operation,
            _text(decision.member or ""),
            _text(_why(decision)),
            Text(end, style=_STYLES.get(end, "")),
            str(decision.cost.model_calls) if decision.call else "",
            cost_of(decision.cost.usd, ()) if decision.call else "",
        )
    Console(stderr=True, width=None if sys.stderr.isatty() else _WIDTH).print(table)
    last = decisions[-1]
    say(f"{last.task} is {last.reward.task.replace('_', ' ')}.")


def _why(decision: TeamDecision) -> str:
    kept = f" (kept: {', '.join(decision.combined.kept)})" if decision.combined else ""
    return f"{decision.reason}{kept}" + (f"; {decision.error}" if decision.error else "")


def _text(said: str) -> Text:
    return Text(" ".join(printable(said).split()))
