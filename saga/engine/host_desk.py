"""Takes the requests of a process agent, as its host passes them on, and makes each of them once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from temporalio import workflow
from temporalio.exceptions import ApplicationError

from ..agents.foreign.host_protocol import (
    ASK_MODEL,
    DEPART,
    HOST_UP,
    RECORDED,
    USE_TOOL,
    Departure,
    HostAnswer,
    HostRefusal,
    HostTerms,
    HostUp,
    ModelQuestion,
    ToolUse,
)
from ..agents.foreign.process_state import ProcessState
from ..agents.foreign.request_book import Made, RequestBook
from ..agents.hosted_body import HostedBody
from ..agents.model_calls.model_caller import ModelCaller
from ..agents.model_protocol import ModelRequest, ToolCall
from ..agents.toolbox import Toolbox
from ..errors import FailureType
from ..failure import Failed, Failure, Stopped, trim
from ..temporal.handlers import serve_query, serve_update
from ..temporal.stop_scope import StopScope

MOST_REQUESTS: Final = 1_800
"""Requests of one run: the server takes 2,000 updates of a workflow, and each host needs a few of its own."""

MODEL_TIMEOUT: Final = timedelta(minutes=5)
"""The longest that one attempt of a request to a model may take; a process may wait for long answers."""

_BUDGET: Final = 402
_FORBIDDEN: Final = 403
_OVER: Final = 409
_UNPROCESSABLE: Final = 424

V = TypeVar("V", bound=BaseModel)


class HostDesk:
    """What the hosts of one run ask for.

    Attributes:
        book: What was asked for.
        attempt: The number of the host that is heard; 0 before the first.
        models: The models that have answered.
        fatal: Why the agent has failed, whatever its process makes of it; None while it has not.
    """

    def __init__(
        self,
        state: ProcessState,
        toolbox: Toolbox,
        models: ModelCaller,
        scope: StopScope,
        take_back: Callable[[tuple[str, ...], str], Awaitable[None]],
    ) -> None:
        """Serves hosts from now on.

        Args:
            state: What is run.
            toolbox: The tools.
            models: Asks the models.
            scope: Every request is refused once it is stopped.
            take_back: Undoes what requests have done, by their keys; raises `Failed` where that stays stuck.
        """
        self.book = RequestBook()
        self.attempt = 0
        self.models: set[str] = set()
        self.fatal: Failed | None = None
        self._state = state
        self._toolbox = toolbox
        self._models = models
        self._scope = scope
        self._take_back = take_back
        self._queue = ""
        self._host_scope = StopScope(scope)
        self._requests = StopScope(scope)
        self._is_open = False
        serve_update(HOST_UP, self._host_up, _reads(HostUp))
        serve_update(ASK_MODEL, self._ask_model, _reads(ModelQuestion))
        serve_update(USE_TOOL, self._use_tool, _reads(ToolUse))
        serve_update(DEPART, self._depart, _reads(Departure))
        serve_query(RECORDED, self._recorded)

    def open(self) -> StopScope:
        """Lets the next host in; returns what ends it when it is stopped."""
        self.attempt += 1
        self._queue = ""
        self._is_open = True
        self._host_scope = StopScope(self._scope)
        return self._host_scope

    def close(self) -> None:
        """Lets nobody ask any more, until the next host comes."""
        self._is_open = False

    async def end(self) -> None:
        """Lets nobody ask ever again, and waits for what is under way; nobody waits for people any more."""
        self.close()
        self._requests.stop("the process has ended")
        await workflow.wait_condition(lambda: not self.book.under_way)

    # --- what hosts say

    async def _host_up(self, argument: Any) -> dict[str, Any]:
        up = HostUp.model_validate(argument)
        if self._refusal(up.attempt) is not None:
            raise _refused(self._refusal(up.attempt))
        self._queue = up.queue
        return self._terms()

    def _terms(self) -> dict[str, Any]:
        process = self._state.agent.process
        assert process is not None
        terms = HostTerms(
            known=self.book.known, effects=tuple(self.book.effects), on_divergence=process.on_divergence
        )
        return terms.model_dump(mode="json")

    async def _depart(self, argument: Any) -> dict[str, Any]:
        departure = Departure.model_validate(argument)
        if self._refusal(departure.attempt) is not None:
            raise _refused(self._refusal(departure.attempt))
        process = self._state.agent.process
        assert process is not None
        left = tuple(key for key in departure.left if key in self.book.effects)
        why = f"it was started again, and asks otherwise than before: {departure.key} is new"
        if process.on_divergence == "fail":
            self._fail(Failed(self._failure(FailureType.DIVERGED, f"{self._name} {why}")))
            raise _refused(self._refusal(departure.attempt))
        self._toolbox.refuse("does not do again what it has done before", why)
        if process.on_divergence == "undo" and left:
            try:
                await self._take_back(left, f"{self._name}: {why}")
            except Failed as failed:
                self._fail(failed)
                raise _refused(self._refusal(departure.attempt)) from None
        return self._terms()

    async def _ask_model(self, argument: Any) -> dict[str, Any]:
        question = ModelQuestion.model_validate(argument)
        answer = await self._once(question, lambda: self._asked(question))
        # The host of the answer has it in its memory; every other one reads it by its key.
        told = answer.model_copy(update={"value": None})
        return told.model_dump(mode="json", exclude_defaults=True)

    async def _use_tool(self, argument: Any) -> dict[str, Any]:
        use = ToolUse.model_validate(argument)
        answer = await self._once(use, lambda: self._used(use))
        return answer.model_dump(mode="json", exclude_defaults=True)

    def _recorded(self, key: Any = None) -> dict[str, Any] | None:
        answer = self.book.answer(str(key))
        return None if answer is None else answer.model_dump(mode="json", exclude_defaults=True)

    # --- what is made of it

    async def _once(self, asked: ModelQuestion | ToolUse, make: Callable[[], Awaitable[Made]]) -> HostAnswer:
        refusal = self._refusal(asked.attempt)
        if refusal is None and self.book.answer(asked.key) is None and self.book.taken >= MOST_REQUESTS:
            message = f"{self._name} has made {MOST_REQUESTS} requests; one run has no more"
            self._fail(Failed(self._failure(FailureType.CAP_REACHED, message)))
            refusal = self._refusal(asked.attempt)
        if refusal is not None:
            return HostAnswer(refusal=refusal)
        return await self.book.once(asked.key, lambda: self._guarded(make))

    async def _guarded(self, make: Callable[[], Awaitable[Made]]) -> Made:
        """Makes a request; what goes wrong in it is the agent's failure, and never the workflow task's."""
        try:
            return await make()
        except Stopped as stopped:
            return _not_made(FailureType.RUN_OVER, stopped.failure.message, _OVER)
        except Failed as failed:
            self._fail(failed)
            return _not_made(failed.failure.type, failed.failure.message, _UNPROCESSABLE)

    async def _asked(self, question: ModelQuestion) -> Made:
        state, number = self._state, self.book.taken
        if question.model not in state.asked:
            known = ", ".join(state.asked) or "none"
            return _not_made("model_not_allowed", f"it may ask {known}, not {question.model!r}", _FORBIDDEN)
        body = HostedBody(key=question.key, dialect=question.dialect, input_tokens=question.input_tokens)
        request = ModelRequest(
            agent=self._name,
            models=(question.model,),
            messages=(),
            max_tokens=question.max_tokens,
            hosted=body,
        )
        try:
            reply = await self._models.ask(
                state.job.step,
                f"{state.job.path}/model.{number}",
                state.job.round,
                request,
                self._requests,
                f"{self._name} asks {question.model}"[:200],
                timeout=MODEL_TIMEOUT,
                retry=state.job.retry,
                task_queue=self._queue,
            )
        except Stopped:
            raise
        except Failed as failed:
            return self._unanswered(question, failed)
        self.models.add(reply.model)
        if reply.invalid is not None:
            return _not_made(FailureType.INVALID_OUTPUT, reply.invalid, _UNPROCESSABLE)
        return Made(HostAnswer(value=reply.output))

    def _unanswered(self, question: ModelQuestion, failed: Failed) -> Made:
        """Says why a model has not answered; who asks again has it asked again."""
        failure = failed.failure
        if failure.type == FailureType.BUDGET_EXCEEDED:
            self._fail(failed)
            return _not_made(failure.type, failure.message, _BUDGET)
        if failed.ends_step or failure.type == FailureType.HISTORY_FULL:
            self._fail(failed)
        is_gone = failure.type == FailureType.TIMEOUT and question.attempt != self.attempt
        return _not_made(failure.type, failure.message, _UNPROCESSABLE, lost=is_gone)

    async def _used(self, use: ToolUse) -> Made:
        wanted = ToolCall(id=use.key, name=use.tool, arguments=use.arguments)
        at = self._state.job.path
        loop = self._toolbox.loops.loop([wanted], at)
        if loop is not None:
            self._toolbox.refuse("stops a loop", loop)
            raise Failed(self._failure(FailureType.LOOP_DETECTED, f"{self._name} {loop}"))
        [answer] = await self._toolbox.use([wanted], at, self._requests)
        if self._toolbox.limit is not None:
            raise self._toolbox.limit
        told = HostAnswer(value=answer.text, is_error=answer.fault is not None)
        return Made(told, entries=answer.entries)

    # --- who is refused

    def _refusal(self, attempt: int) -> HostRefusal | None:
        if self.fatal is not None:
            failure = self.fatal.failure
            status = _BUDGET if failure.type == FailureType.BUDGET_EXCEEDED else _OVER
            return HostRefusal(type=failure.type, message=failure.message, status=status)
        if self._scope.stopped or not self._is_open:
            message = self._scope.reason or "the run is over"
            return HostRefusal(type=FailureType.RUN_OVER, message=message, status=_OVER)
        if attempt != self.attempt:
            message = f"this is host {attempt}, and host {self.attempt} has taken its place"
            return HostRefusal(type=FailureType.STALE_HOST, message=message, status=_OVER)
        return None

    def _fail(self, failed: Failed) -> None:
        """Ends the run: the first reason stays, and the process is ended."""
        if self.fatal is None:
            self.fatal = failed
            self._host_scope.stop(str(failed))

    def _failure(self, type_: FailureType, message: str) -> Failure:
        return Failure(step=self._state.job.step, type=type_, message=trim(message))

    @property
    def _name(self) -> str:
        return self._state.agent.name


def _not_made(type_: str, message: str, status: int, *, lost: bool = False) -> Made:
    refusal = HostRefusal(type=type_, message=message, status=status, lost=lost)
    return Made(HostAnswer(refusal=refusal), is_kept=False)


def _refused(refusal: HostRefusal | None) -> ApplicationError:
    assert refusal is not None
    return ApplicationError(refusal.message, type=refusal.type, non_retryable=True)


def _reads(model: type[V]) -> Callable[[Any], None]:
    """Returns what refuses an update whose argument is not of this kind."""

    def check(argument: Any = None) -> None:
        try:
            model.model_validate(argument if isinstance(argument, Mapping) else {})
        except ValidationError as error:
            message = f"only a host says this, and not so: {error.error_count()} faults"
            raise ApplicationError(message, type=FailureType.REFUSED, non_retryable=True) from None

    return check
