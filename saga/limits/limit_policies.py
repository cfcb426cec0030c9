"""What follows when a limit is reached, by place in a task."""

from __future__ import annotations

from typing import Literal

OnLimit = Literal["fail", "finish", "escalate", "wait"]
"""What follows when a limit is reached: it fails; one last call sums up what there is, and the result is
marked as degraded; a person is asked; or the task waits for room, where that is a limit of the pool."""


class LimitPolicies:
    """What the task, its steps and its agents say of limits; who says nothing does as what is around it."""

    def __init__(self) -> None:
        """Begins with nothing said."""
        self._said: dict[str, OnLimit] = {}
        self._with_rungs: set[str] = set()

    def say(self, path: str, on_limit: OnLimit | None) -> None:
        """Records what counts at a path and below; the empty path is the task, None says nothing."""
        if on_limit is not None:
            self._said[path] = on_limit

    def at(self, path: str) -> OnLimit | None:
        """Returns what counts for a call at a path; None where nobody has said anything."""
        found = [said for said in self._said if covers(said, path)]
        return self._said[max(found, key=len)] if found else None

    def expect_rung(self, path: str, *, comes: bool) -> None:
        """Records whether something else is tried when what is done at a path now fails."""
        (self._with_rungs.add if comes else self._with_rungs.discard)(path)

    def waits_for_limit(self, path: str) -> bool:
        """Says whether a call at a path waits for a limit of the pool."""
        return self.at(path) == "wait"

    def asks_about_limit(self, path: str) -> bool:
        """Says whether a person is asked when a limit of the pool leaves no room for a call at a path."""
        return self.at(path) == "escalate"

    def waits_for_breaker(self, path: str) -> bool:
        """Says whether a call waits for a breaker: where nothing else is tried, and nothing else was said."""
        return not self.expects_rung(path) and self.at(path) in (None, "wait")

    def expects_rung(self, path: str) -> bool:
        """Says whether something else is tried when a call at a path fails."""
        return any(covers(rung, path) for rung in self._with_rungs)


def covers(around: str, path: str) -> bool:
    """Says whether a path lies at or below another one; everything lies below the empty one."""
    return not around or (path.startswith(around) and path[len(around) :][:1] in ("", "/", "[", "."))
