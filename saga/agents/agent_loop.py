"""A conversation with a model agent, turn by turn, wherever it is held."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any

from ..calls.headers import CallOwner
from ..counted import counted
from ..errors import FailureType
from ..failure import Failed, Failure, trim
from ..spec.catalog import AgentEntry
from ..temporal.stop_scope import StopScope
from .assignment import Assignment
from .at_limit import AtLimit
from .model_calls.model_caller import ModelCaller
from .model_calls.model_room import USEFUL_ANSWER, Heard
from .model_protocol import WAYS_OUT, ChatMessage, ModelReply, ModelRequest, ToolCall
from .tool_answer import asked_back, refusal
from .toolbox import Toolbox
from .transfers import Transfer

MAX_CORRECTIONS = 3
"""How often one run may be told that its answer, or a tool call of its turn, was unusable."""

MAX_TURNS = 20
"""Turns in one history: each sends the conversation again, so that history grows with the square of them."""

MAX_CONVERSATION = 800_000
"""Bytes of one conversation: it has to fit into the argument of a model call."""

_TEXT = {"type": "string"}


class AgentLoop:
    """One conversation, as far as it has come.

    Attributes:
        agent: With whom.
        job: What is to be done.
        asked: The fallback chain of models.
        toolbox: The tools.
        timeout: The longest one model call may take.
        messages: What was said.
        size: Bytes of the messages.
        turn: Turns taken.
        corrections: How often the agent was told that something was unusable.
        models: The models that took part.
        asked_back: Whether the agent has given up once and was asked whether it means that.
        output: The answer; None while there is none.
        heard: What the conversation so far has come to; None where it begins.
        at_limit: What is done at a limit; None to fail.
        most_turns: How many turns it may have.
        degraded: Which limit was reached, where the answer is only what there was; empty otherwise.
    """

    def __init__(
        self,
        *,
        agent: AgentEntry,
        job: Assignment,
        asked: tuple[str, ...],
        calls: ModelCaller,
        toolbox: Toolbox,
        timeout: timedelta,
        messages: Iterable[ChatMessage],
        owner: CallOwner | None = None,
        turn: int = 0,
        corrections: int = 0,
        models: Iterable[str] = (),
        engine: int,
        asked_back: bool = False,
        heard: Heard | None = None,
        at_limit: AtLimit | None = None,
        most_turns: int | None = None,
    ) -> None:
        """Takes a conversation up.

        Args:
            agent: See the attributes.
            job: See the attributes.
            asked: See the attributes.
            calls: Asks the models.
            toolbox: See the attributes.
            timeout: See the attributes.
            messages: See the attributes.
            owner: The agent's entry in the ledger of this workflow, or None where it is in another's.
            turn: See the attributes.
            corrections: See the attributes.
            models: See the attributes.
            engine: See `Snapshot`.
            asked_back: See the attributes.
            heard: See the attributes.
            at_limit: What is done at a limit; None to fail.
            most_turns: See the attributes; None for what the agent says.
        """
        self.agent = agent
        self.job = job
        self.asked = asked
        self.toolbox = toolbox
        self.timeout = timeout
        self.messages: list[ChatMessage] = []
        self.size = 0
        self.turn = turn
        self.corrections = corrections
        self.models = set(models)
        self.asked_back = asked_back
        self.output: Any = None
        self.heard = heard
        self.most_turns = most_turns or agent.max_turns
        self.at_limit, self.degraded = at_limit, ""
        self._engine = engine
        self._calls = calls
        self._owner = owner
        for message in messages:
            self._say(message)

    async def run(self, scope: StopScope, is_full: Callable[[], bool]) -> bool:
        """Takes turns.

        Args:
            scope: The part of the task that it belongs to.
            is_full: Asked before each turn; True where the next one is to be taken elsewhere.

        Returns:
            True when there is an answer, or the agent hands over; False when the conversation has to move.

        Raises:
            Failed: The agent gave up or needed too many turns or corrections, the conversation is too long,
                or a call failed.
            Stopped: The scope was stopped.
        """
        while True:
            try:
                return await self._take_turns(scope, is_full)
            except Failed as failed:
                if self.at_limit is None:
                    raise
                if not await self.at_limit.goes_on(self, failed, scope):
                    return True

    async def _take_turns(self, scope: StopScope, is_full: Callable[[], bool]) -> bool:
        while self.turn < self.most_turns:
            self.check_size()
            if is_full():
                return False
            if await self._take_turn(scope):
                return True
        message = f"{self.agent.name} has not answered within {counted(self.most_turns, 'turn')}"
        raise self.failed(FailureType.MAX_TURNS, message)

    def allow_more(self) -> None:
        """Lets it take as many turns again, and make a call again that was a loop."""
        self.most_turns += self.agent.max_turns
        self.toolbox.loops.guard.forget()
        self._leave_undone("a limit was reached, and it was not called; a person lets you go on")

    async def sum_up(self, please: str, scope: StopScope, *, briefly: bool = False) -> bool:
        """Asks for the answer, without any tools, once.

        Args:
            please: What the model is told.
            scope: The part of the task that it belongs to.
            briefly: Whether the answer is to be short, so that a limit of the pool has room for it which has
                none for a longer one.

        Returns:
            Whether there is one that fits.

        Raises:
            Failed: There is no room for that call either, or it failed.
            Stopped: The scope was stopped.
        """
        self._leave_undone(please)
        self._say(ChatMessage(role="user", content=please))
        reply = await self._ask(scope, last=True, briefly=briefly)
        self.models.add(reply.model)
        self._say(_said(reply))
        self.output = reply.output
        return reply.invalid is None and not reply.tool_calls

    def _leave_undone(self, why: str) -> None:
        """Answers the tool calls of the last turn if nobody has: providers take none without its answer."""
        last = self.messages[-1]
        for call in last.tool_calls if last.role == "assistant" else ():
            self._say(ChatMessage(role="tool", content=refusal(why).text, tool_call_id=call.id))

    def check_size(self) -> None:
        """Raises `Failed` where the conversation is longer than a model call can carry."""
        if self.size > MAX_CONVERSATION:
            message = (
                f"the conversation of {self.agent.name} has {self.size} bytes; the most is {MAX_CONVERSATION}"
            )
            raise self.failed(FailureType.CONVERSATION_TOO_LONG, message)

    def take_up(self, said: Iterable[ChatMessage], turn: int) -> None:
        """Goes on from where the conversation has come elsewhere.

        Args:
            said: What was said there.
            turn: See the attributes.
        """
        self.turn = turn
        for message in said:
            self._say(message)

    def failed(self, type_: FailureType, message: str) -> Failed:
        """Returns what to raise when the conversation fails."""
        return Failed(Failure(step=self.job.step, type=type_, message=trim(message)))

    async def _take_turn(self, scope: StopScope) -> bool:
        before = len(self.messages)
        reply = await self._ask(scope)
        self.heard = Heard(before, reply.usage.input_tokens)
        self.models.add(reply.model)
        if reply.model != self.asked[0]:
            self.toolbox.note_fallback(reply.model, self.asked)
        self._say(_said(reply))
        if reply.tool_calls:
            await self._use_tools(reply.tool_calls, scope)
        elif reply.invalid is not None:
            self._correct(FailureType.INVALID_OUTPUT, reply.invalid)
            complaint = f"That answer cannot be used: {reply.invalid}"
            self._say(ChatMessage(role="user", content=complaint))
        else:
            self.output = reply.output
            return True
        return self.transfer is not None

    @property
    def transfer(self) -> Transfer | None:
        """The handoff with which it has ended; None where it has ended otherwise, or goes on."""
        return None if self.toolbox.transfers is None else self.toolbox.transfers.made

    @property
    def _at(self) -> str:
        """The path of the last model call."""
        return f"{self.job.path}/model.{self.turn}"

    async def _ask(self, scope: StopScope, *, last: bool = False, briefly: bool = False) -> ModelReply:
        agent, job = self.agent, self.job
        self.turn += 1
        request = ModelRequest(
            agent=agent.name,
            models=self.asked,
            messages=tuple(self.messages),
            tools=() if last else self.toolbox.offered(),
            output_schema=None if agent.output_schema == _TEXT else agent.output_schema,
            output_name=agent.name.rpartition(".")[2],
            temperature=agent.temperature,
            max_tokens=min(agent.max_tokens or USEFUL_ANSWER, USEFUL_ANSWER) if briefly else agent.max_tokens,
            seed=agent.seed,
            counts_load=bool(agent.intents),
        )
        try:
            return await self._calls.ask(
                job.step,
                self._at,
                job.round,
                request,
                scope,
                f"{job.label or agent.name}, turn {self.turn}"[:200],
                timeout=self.timeout,
                retry=job.retry,
                task_queue=job.task_queue,
                owner=self._owner,
                heard=self.heard,
                keeps=self.job.path if self.at_limit is not None and self.at_limit.sums_up else None,
                is_last=last,
            )
        except Failed as failed:
            # A turn that a budget has refused was not taken: a person may raise that.
            if self._engine >= 6 and failed.failure.type == FailureType.BUDGET_EXCEEDED:
                self.turn -= 1
            raise

    async def _use_tools(self, wanted: Sequence[ToolCall], scope: StopScope) -> None:
        gives_up = next((call for call in wanted if call.name in WAYS_OUT), None)
        if gives_up is not None and not self._asks_back():
            reason = (gives_up.arguments or {}).get("reason", "no reason given")
            raise self.failed(FailureType.GAVE_UP, f"{self.agent.name} gave up: {reason}")
        if gives_up is not None:
            name = self.toolbox.way_out.name
            answers = [asked_back(name, is_way_out=call.name in WAYS_OUT) for call in wanted]
        elif len(wanted) > self.agent.max_calls_per_turn:
            answers = [refusal(self._too_many(len(wanted)))] * len(wanted)
        else:
            self._check_loops(wanted)
            answers = await self.toolbox.use(wanted, self._at, scope)
        faults = dict.fromkeys(answer.fault for answer in answers if answer.fault is not None)
        if faults:
            self._correct(FailureType.TOOL_FAILED, "; ".join(faults))
        for call, answer in zip(wanted, answers, strict=True):
            self._say(ChatMessage(role="tool", content=answer.text, tool_call_id=call.id))
        if self.toolbox.limit is not None:
            limit, self.toolbox.limit = self.toolbox.limit, None
            raise limit

    def _check_loops(self, wanted: Sequence[ToolCall]) -> None:
        """Raises `Failed` where one of the calls was made so often already that it is a loop."""
        loop = self.toolbox.loops.loop(wanted, self._at)
        if loop is not None:
            raise self._looping(loop)

    def _too_many(self, count: int) -> str:
        """Says that a turn has too many tool calls; raises `Failed` where the one before had too many."""
        most = self.agent.max_calls_per_turn
        turns = [message for message in self.messages if message.role == "assistant"]
        if self._engine >= 4 and len(turns) > 1 and len(turns[-2].tool_calls) > most:
            raise self._looping(f"asks for {count} tool calls in one turn once more; the most is {most}")
        return f"{count} tool calls in one turn; the most is {most}, and none was made"

    def _looping(self, what: str) -> Failed:
        self.toolbox.refuse("stops a loop", what)
        return self.failed(FailureType.LOOP_DETECTED, f"{self.agent.name} {what}")

    def _asks_back(self) -> bool:
        """Says whether an agent that gives up is asked if it means that: once, if that would undo something.

        Small models that have done their job call whatever sounds like an end.
        """
        if self._engine < 2 or self.asked_back or not self.toolbox.has_effects:
            return False
        self.asked_back = True
        return True

    def _correct(self, type_: FailureType, reason: str) -> None:
        self.corrections += 1
        if self.corrections > MAX_CORRECTIONS:
            message = f"{self.agent.name} was corrected {MAX_CORRECTIONS} times; last: {reason}"
            raise self.failed(type_, message)

    def _say(self, message: ChatMessage) -> None:
        self.messages.append(message)
        self.size += message.size


def _said(reply: ModelReply) -> ChatMessage:
    """Returns what the model said as a message; some providers take none that is empty."""
    content = reply.content or (None if reply.tool_calls else "(nothing)")
    has_extras = reply.extras or any(call.extras for call in reply.tool_calls)
    return ChatMessage(
        role="assistant",
        content=content,
        tool_calls=reply.tool_calls,
        extras=reply.extras,
        model=reply.model if has_extras else "",
    )
