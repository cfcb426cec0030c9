"""Notices that an agent makes the same calls again and again, and nothing changes by it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final

from pydantic import BaseModel, ConfigDict

from ..failure import trim

WINDOW: Final = 10
"""So many calls back it is looked for the same one."""

TIMES: Final = 3
"""The call that would be the same one for so many times is not made any more."""

LONGEST_PERIOD: Final = 3
"""Circles of so many calls are named as such."""

_LONGEST: Final = 200


class SeenCall(BaseModel):
    """One call of an agent, as far as it matters for loops.

    Attributes:
        at: The path of the model call that has asked for it.
        key: What tells it from others: agent, tool and canonical arguments, digested.
        said: The tool with its arguments, cut, for messages.
        told: What it gave, digested; empty for a call with effects, whose failures do not count as changes.
    """

    model_config = ConfigDict(frozen=True)

    at: str
    key: str
    said: str
    told: str = ""

    @classmethod
    def of(cls, agent: str, tool: str, arguments: str, at: str) -> SeenCall:
        """Takes down a call before it is made.

        Args:
            agent: Whose call it is.
            tool: The full name of what is called.
            arguments: With which arguments, defaults included: as canonical JSON.
            at: See the attributes.
        """
        return cls(
            at=at,
            key=_digest(f"{agent} {tool} {arguments}"),
            said=trim(f"{tool} {arguments}", _LONGEST),
        )

    def answered(self, text: str) -> SeenCall:
        """Returns it with what a call without effects gave."""
        return self.model_copy(update={"told": _digest(text)})


class LoopGuard:
    """The last calls of one conversation since something has changed.

    A call with effects that succeeds is a change: what came before it does not count any more. For a call
    without effects another answer than the last time is one.

    Attributes:
        seen: At most `WINDOW` - 1 calls, oldest first; equal ones of one turn are one.
    """

    def __init__(self, seen: Iterable[SeenCall] = ()) -> None:
        """Goes on from the calls that were seen."""
        self.seen: list[SeenCall] = [*seen]

    def loop(self, wanted: SeenCall) -> str | None:
        """Says which loop a call would go on with; None where it may be made."""
        same = [call for call in self.seen if call.key == wanted.key]
        if len(same) + 1 < TIMES:
            return None
        circle = _circle([*self.seen, wanted])
        calls = " and then ".join(call.said for call in circle)
        often = f"{', '.join(call.at for call in same)} and {wanted.at}"
        return f"calls {calls} once more ({often}), and nothing has changed in between"

    def forget(self) -> None:
        """Begins anew: something has changed."""
        self.seen.clear()

    def note(self, made: SeenCall, *, changed: bool) -> bool:
        """Takes down a call that has ended.

        Args:
            made: The call.
            changed: Whether it has changed something.

        Returns:
            Whether it was the last one of its kind that may be made.
        """
        if changed:
            self.forget()
        same = [call for call in self.seen if call.key == made.key]
        if any(call.at == made.at for call in same):
            return False
        if any(call.told != made.told for call in same):
            self.seen = [call for call in self.seen if call.key != made.key]
            same = []
        self.seen.append(made)
        del self.seen[: -(WINDOW - 1)]
        return len(same) + 1 == TIMES - 1


def _circle(calls: Sequence[SeenCall]) -> Sequence[SeenCall]:
    """Returns the calls that go round, of which the last one begins a new round."""
    keys = [call.key for call in calls]
    for period in range(1, LONGEST_PERIOD + 1):
        needed = (TIMES - 1) * period + 1
        last = keys[-needed:]
        if len(last) == needed and last[period:] == last[:-period]:
            return calls[-period - 1 : -1]
    return calls[-1:]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
