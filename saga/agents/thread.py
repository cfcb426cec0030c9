"""One conversation that agents hand over to each other."""

from __future__ import annotations

from collections.abc import Sequence

from ..limits.loop_guard import LoopGuard
from ..spec.teams.handoff import Filter
from .earlier_calls import EarlierCalls
from .model_protocol import ChatMessage
from .transfers import Transfer, Transfers, last_messages, without_transfers


class Thread:
    """A conversation, as far as it has come; each agent sees its own part of it.

    Attributes:
        earlier: The calls with effects that those who had it have made, which nobody makes again.
        seen: The last calls that were made in it, whoever had it.
        shown: What the one who has it now sees of it, after what it is opened with.
        transfers: To whom that one may hand it over; None where it has to answer.
        transfer: The last handoff; None where there was none, or an answer came instead.
        turns: The model calls that were made in it.
    """

    def __init__(self) -> None:
        """Begins a conversation in which nothing was said yet."""
        self.earlier = EarlierCalls({}, {}, ())
        self.seen = LoopGuard()
        self.shown: Sequence[ChatMessage] = ()
        self.transfers: Transfers | None = None
        self.transfer: Transfer | None = None
        self.turns = 0
        self._said: list[ChatMessage] = []
        self._seen: dict[str, tuple[Sequence[ChatMessage], int]] = {}

    def hand_to(self, filter_: Filter, note: str) -> None:
        """Shows to the next one what the one before has seen, as a filter leaves it.

        Args:
            filter_: See `Handoff`.
            note: What the next one is told of the handoff.
        """
        seen = self.shown
        if filter_ in ("none", "summary"):
            seen = ()
        elif isinstance(filter_, int):
            seen = last_messages(seen, filter_)
        if filter_ != "full":
            self.earlier.leave()
        self._tell(seen, note)

    def hand_back(self, who: str, note: str) -> None:
        """Shows to somebody who had it before what that one has seen, and all that was said since.

        Args:
            who: As the conversation calls it.
            note: What is told of it.
        """
        seen, until = self._seen[who]
        self._tell([*seen, *self._said[until:]], note)

    def hear(self, who: str, said: Sequence[ChatMessage], turns: int) -> None:
        """Takes down what was said in one turn.

        Args:
            who: Who had the conversation.
            said: What was said after what was shown.
            turns: The model calls of it.
        """
        self.transfer = self.transfers.made if self.transfers is not None else None
        names = self.transfers.names if self.transfers is not None else ()
        new = without_transfers(said, names)
        self._said += new
        self.shown = [*self.shown, *new]
        self._seen[who] = (self.shown, len(self._said))
        self.turns += turns

    def _tell(self, seen: Sequence[ChatMessage], note: str) -> None:
        told = ChatMessage(role="user", content=note)
        self._said.append(told)
        self.shown = [*seen, told]
