"""Takes the answers to a task's questions at the terminal, while the task is watched."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from ...saga.errors import CounterstepError
from ...saga.people.signatures import NOT_SIGNED
from ..arguments.server_target import ServerTarget
from ..errors import CommandFailed
from ..terminal.answer import TypedAnswer, ask_answer
from ..terminal.keyboard import forget_typed, is_in_front, read_line
from ..terminal.live_board import View
from ..terminal.output import say
from ..terminal.questions import PromptedQuestion, questions_of
from .put_aside import put_aside
from .report_update import UpdateRequest, deliver

_SECONDS: Final = 30.0
"""How long the task may take to accept an answer."""

_GRACE: Final = 1.0
"""How long an answer that is on its way is waited for, once something else has ended the asking."""

_TAKEN_SECONDS: Final = 2.0
"""How long a board may go on showing a question that was answered."""


class AnswerPrompt:
    """Asks somebody at the terminal, one question after the other.

    A question that was answered or left open here is not asked again before it changes; of those that were
    left open, Enter asks again.

    Attributes:
        open: The question that is asked at this moment; None if nothing is.
    """

    def __init__(self, target: ServerTarget, view: View, by: str | None) -> None:
        """Prepares to ask; `see` has to be told of each board.

        Args:
            target: The server of the task.
            view: What shows the task; it pauses while something is asked.
            by: Who answers; None for the user of this machine.
        """
        self.open: PromptedQuestion | None = None
        self._target = target
        self._view = view
        self._by = by
        self._board: Mapping[str, Any] | None = None
        self._seen = asyncio.Event()
        self._answered: set[tuple[str, ...]] = set()
        self._left: set[tuple[str, ...]] = set()
        self._is_deaf = False
        self._takes_signed_only = False

    def see(self, board: Mapping[str, Any]) -> None:
        """Takes the task's newest board."""
        if board == self._board:
            return
        self._board = board
        self._seen.set()

    async def serve(self) -> None:
        """Asks until it is cancelled; then `open` tells what was not answered.

        Raises:
            RPCError: The server has stopped answering.
        """
        self.open = None
        while True:
            question = await self._next()
            self.open = question
            self._view.pause()
            try:
                while self._asks(question) and not await self._is_settled(question):
                    pass
            except EOFError:
                self._is_deaf = True
                say("\nNothing is asked here any more; the commands above answer.")
            self.open = None
            self._view.resume()
            if question.key in self._answered:
                await self._until_taken(question)

    async def _next(self) -> PromptedQuestion:
        """Waits for a question that has been neither answered nor left open."""
        while True:
            may_ask = not self._is_deaf and is_in_front()
            waiting = [asked for asked in self._questions() if asked.key not in self._answered]
            fresh = [asked for asked in waiting if asked.key not in self._left]
            if fresh and may_ask:
                return fresh[0]
            await (self._until_seen_or_entered() if waiting and may_ask else self._until_seen())

    async def _is_settled(self, question: PromptedQuestion) -> bool:
        """Asks once; returns whether that is all: it is left open, sent, or has been answered elsewhere."""
        forget_typed()
        say(f"Your answer for {question.label}?")
        if len(self._questions()) > 1:  # all of them were shown above, and this one may be far away
            say("\n".join([question.text, *(f"  {line}" for line in question.terms)]))
        typing = asyncio.create_task(
            ask_answer(question, signed=self._takes_signed_only or question.needs_token)
        )
        gone = asyncio.create_task(self._until_gone(question))
        try:
            await asyncio.wait({typing, gone}, return_when=asyncio.FIRST_COMPLETED)
            answer = typing.result() if typing.done() else None
        finally:
            await put_aside(typing, gone)
        if answer is not None:
            return await self._is_sent(question, answer)
        if self._asks(question):
            self._left.add(question.key)
            say("Left open; Enter asks again.")
        else:
            forget_typed()
            say(f"\n{question.label} needs no answer any more{_decided(self._board, question)}.")
        return True

    async def _is_sent(self, question: PromptedQuestion, answer: TypedAnswer) -> bool:
        """Sends an answer; returns whether there is nothing more to ask."""
        request = UpdateRequest(
            question.task, question.update, answer.argument, self._by, answer.note, answer.token
        )
        said = f"{answer.argument['action']}, for {question.label!r}"
        sending = asyncio.create_task(deliver(self._target, request, said, seconds=_SECONDS))
        try:
            await asyncio.shield(sending)
        except asyncio.CancelledError:
            # The answer to the last question and the end of the task arrive together.
            self.open = None
            await asyncio.wait({sending}, timeout=_GRACE)
            await put_aside(sending)
            raise
        except CommandFailed as refusal:
            say(str(refusal))
            self._takes_signed_only |= NOT_SIGNED in str(refusal)
            return False
        except CounterstepError as ended:
            say(str(ended))
        self._answered.add(question.key)
        return True

    def _questions(self) -> list[PromptedQuestion]:
        return questions_of(self._board, self._target.options()) if self._board else []

    def _asks(self, question: PromptedQuestion) -> bool:
        return any(asked.key == question.key for asked in self._questions())

    async def _until_seen(self) -> None:
        self._seen.clear()
        await self._seen.wait()

    async def _until_gone(self, question: PromptedQuestion) -> None:
        while self._asks(question):
            await self._until_seen()

    async def _until_taken(self, question: PromptedQuestion) -> None:
        """Waits for a board from after an answer; an earlier one may show questions that it has settled."""
        try:
            async with asyncio.timeout(_TAKEN_SECONDS):
                await self._until_gone(question)
        except TimeoutError:
            return  # others have to say the same

    async def _until_seen_or_entered(self) -> None:
        seen, entered = asyncio.create_task(self._until_seen()), asyncio.create_task(read_line())
        try:
            await asyncio.wait({seen, entered}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await put_aside(seen, entered)
        if entered.cancelled():
            return
        self._is_deaf = entered.exception() is not None
        self._left.clear()


def _decided(board: Mapping[str, Any] | None, question: PromptedQuestion) -> str:
    """Says who has decided a question, where the board knows."""
    for decision in (board or {}).get("decisions") or ():
        if (decision["step"], decision["since"]) == (question.name, question.since):
            return f": {decision['action']}, by {decision['by']}"
    return ""
