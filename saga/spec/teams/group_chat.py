"""GroupChat: members speak in turn, and hear everything."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal

from ...expressions.expression import CHAT_SCOPE
from ..fields import BareExpression
from .member import NAME, AgentName, Members, Speaker
from .number import Bounds, Number
from .pattern import Cost, Pattern, Seat, misread

ROUND_ROBIN = "round_robin"


class GroupChat(Pattern):
    """Members speak one after the other, and each hears all that was said.

    Attributes:
        members: Who speaks; at least two.
        speaker: Who is next: ``round_robin``; or an agent that chooses and may end the chat; or an expression
            over ``turns`` (each with ``member`` and ``output``), ``last`` (the last of them, or null) and
            ``input`` that gives a member's name, or null for the end. Nobody speaks twice in a row.
        done: When the chat has ended: an expression over ``output``, what was said last, and over
            what `speaker` may read.
        summary: Who makes the team's answer of what was said; None for what was said last.
        max_turns: How often somebody speaks, at most.
    """

    pattern: Literal["group_chat"] = "group_chat"
    members: Members
    speaker: Speaker = ROUND_ROBIN
    done: BareExpression | None = None
    summary: AgentName | None = None
    max_turns: Annotated[Number, Bounds(1, 200)] = 10

    by_role: ClassVar[bool] = True

    @property
    def chooser(self) -> str | None:
        """The agent that chooses who is next; None where a rule does."""
        return None if self.speaker == ROUND_ROBIN or self.rule is not None else str(self.speaker)

    @property
    def rule(self) -> str | None:
        """The expression that says who is next; None where something else does."""
        return None if re.fullmatch(NAME, self.speaker) else str(self.speaker)

    def seats(self) -> tuple[Seat, ...]:
        """Returns everybody who may be asked."""
        found = [Seat(f"members[{at}]", member) for at, member in enumerate(self.members)]
        if self.chooser is not None:
            found.append(Seat("speaker", self.chooser))
        if self.summary is not None:
            found.append(Seat("summary", self.summary))
        return tuple(found)

    def cost(self) -> Cost:
        """Returns how many turns it takes."""
        chooser, more = int(self.chooser is not None), int(self.summary is not None)
        # Who chooses is asked once more, to end the chat; where the first word ends it, that is not needed.
        least = (1 + chooser if self.done is not None else 1 + 2 * chooser) + more
        most = (1 + chooser) * self.max_turns + chooser + more
        formula = "2 * max_turns" if chooser else "max_turns"
        return Cost(least, most, formula + (f" + {chooser + more}" if chooser + more else ""))

    def faults(self) -> list[tuple[str, str]]:
        """Returns which of its parameters do not go together."""
        found = []
        if len(self.members) < 2:
            found.append(("members", "a chat has two members or more"))
        if self.rule is None and self.chooser is None and self.done is None:
            found.append(("done", "nobody ends a round robin; say when it is done, or name a speaker"))
        found += misread("speaker", self.rule, ("turns", "last", "input"))
        return found + misread("done", self.done, CHAT_SCOPE)
