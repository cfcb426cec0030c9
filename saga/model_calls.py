"""Model calls of one task: budget before, usage after."""

from __future__ import annotations

from datetime import timedelta

from .book import Book
from .caller import Call, Caller, as_json
from .catalog import DEFAULT_TIMEOUT
from .effect import Effect
from .model_call import ModelReply, ModelRequest
from .scope import StopScope
from .spec import Retry
from .wire import CALL_MODEL

MODEL_RETRY = Retry(attempts=6, initial=timedelta(seconds=1), factor=2, max=timedelta(seconds=30))
"""Providers recover from overload in seconds to a minute; a retry-after of theirs goes first."""


class ModelCalls:
    """Asks models on behalf of one task."""

    def __init__(self, book: Book, caller: Caller) -> None:
        """Args: book: holds budget and usage. caller: makes the calls."""
        self._book = book
        self._caller = caller

    async def ask(
        self,
        step: str,
        path: str,
        round_: int,
        request: ModelRequest,
        scope: StopScope,
        summary: str,
        *,
        timeout: timedelta = DEFAULT_TIMEOUT,
        retry: Retry = MODEL_RETRY,
        task_queue: str | None = None,
    ) -> ModelReply:
        """Makes one model call and counts what it cost.

        Args:
            path: The call's place in the task.
            request: What to ask, of whom.
            timeout: The longest one attempt may take, all models of the chain together.

        Returns:
            The answer.

        Raises:
            Failed: The budget is used up, or no model has answered.
            Stopped: The scope was stopped.
        """
        scope.check(step)
        self._book.reserve_model_call(step)
        try:
            call = Call(
                step=step,
                path=path,
                activity=CALL_MODEL,
                args=(request.model_dump(mode="json", exclude_defaults=True),),
                effect=Effect.READ_ONLY,
                round=round_,
                timeout=timeout,
                retry=retry,
                task_queue=task_queue,
                summary=summary,
            )
            reply = ModelReply.model_validate(as_json(await self._caller.call(call, scope)))
        finally:
            self._book.release_model_call()
        self._book.spend(step, reply.model, reply.usage)
        return reply
