"""Who did what in a task, on which step, why and when."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from ..failure import trim

MAX_LOG = 1000
"""Lines of the log that are kept; the oldest go first."""

_LONGEST_WHY = 500


class TaskLog:
    """The log of one task.

    Attributes:
        lines: JSON objects, oldest first. ``n`` numbers them: a replay may tell another ``at`` by
            milliseconds, never another ``n``.
        written: How many lines the log has had.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        """Begins an empty log; `now` is the task's clock."""
        self.lines: list[dict[str, Any]] = []
        self.written = 0
        self._now = now

    def restore(self, lines: Iterable[dict[str, Any]], written: int) -> None:
        """Goes on with the log of an earlier run."""
        self.lines, self.written = list(lines), written

    def add(self, who: str, what: str, step: str = "", why: str = "") -> None:
        """Adds one line."""
        self.written += 1
        line = {"n": self.written, "at": self._now().isoformat(), "who": who, "what": what, "step": step}
        self.lines.append({**line, "why": trim(why, _LONGEST_WHY)})
        del self.lines[:-MAX_LOG]
