"""Answers are typed at the prompt, while the task is watched."""

from __future__ import annotations

import asyncio
import getpass
import json
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client, WorkflowHandle
from temporalio.worker import Worker

from counterstep.embedded import EmbeddedServer
from counterstep.plugin import CounterstepPlugin
from counterstep.runtime.connection import has_workers
from counterstep.tests.support.bundles.desk import Desk, desk
from counterstep.tests.support.bundles.till import till
from counterstep.tests.support.people.signing import Signer
from counterstep.tests.support.processes.command import Shop, Terminal, until
from counterstep.tests.support.tasks.tasks import Tasks, end_of, tell
from counterstep.tests.support.tasks.work import child, put

PROMPT = "Number or word (Enter leaves it open):"
NOTE = "Why? (Enter for no note):"
APPROVALS = [{"tool": "desk.put"}]


@pytest.fixture
def shop(server: EmbeddedServer, tmp_path: Path) -> Shop:
    """A folder whose commands use the tests' server."""
    return Shop.open(tmp_path, TEMPORAL_ADDRESS=server.address)


def approve(id_: str, *needs: str) -> dict[str, Any]:
    asks = {"ask": f"May {id_} be?", "show": f"{{'about': '{id_}'}}"}
    return {"id": id_, "needs": list(needs), "approve": asks}


async def run_at_terminal(
    shop: Shop, tasks: Tasks, steps: Sequence[Mapping[str, Any]], *options: str, **spec: Any
) -> tuple[Terminal, WorkflowHandle[Any, Any]]:
    """Starts `run` at a terminal."""
    (shop.folder / "task.json").write_text(json.dumps({"name": "asking", "steps": steps, **spec}))
    handle = tasks.client.get_workflow_handle(f"asking-{tasks.task_queue}")
    while not await has_workers(tasks.client, tasks.task_queue):  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    command = ("run", "task.json", "--id", handle.id, "--task-queue", tasks.task_queue, *options)
    return Terminal(shop, *command), handle


async def shown(terminal: Terminal, *texts: str) -> None:
    """Waits until all has been shown since something was typed."""

    def is_shown() -> bool:
        return all([terminal.shows(text) for text in texts])

    try:
        await asyncio.to_thread(until, is_shown, f"{texts}", 30)
    except AssertionError:
        raise AssertionError(f"{texts} in {terminal.seen}") from None


async def typed(terminal: Terminal, text: str, *then: str) -> None:
    """Types a line, and waits for what is shown after it."""
    terminal.seen = ""
    terminal.type(f"{text}\n")
    await shown(terminal, *then)


async def closed(terminal: Terminal) -> int:
    return await asyncio.to_thread(terminal.close)


async def decided(handle: WorkflowHandle[Any, Any]) -> list[tuple[str, ...]]:
    board = await handle.query("board")
    return [tuple(made[key] for key in ("step", "action", "by", "note")) for made in board["decisions"]]


async def test_what_was_shown_is_edited_after_values_that_are_refused(
    tasks: Tasks, effects: Desk, shop: Shop
) -> None:
    terminal, handle = await run_at_terminal(shop, tasks, [put("tea")], approvals=APPROVALS)
    await shown(terminal, 'shown: {"tool"', "Your answer for tea?", "1  approve", "3  edit", PROMPT)
    await typed(terminal, "maybe", "'maybe' is not an answer here", PROMPT)
    await typed(terminal, "edit", "edit, with which value?")
    await typed(terminal, "{what: tea", "the value: is not JSON", "edit, with which value?")
    await typed(terminal, '{"what": 1}', NOTE)
    await typed(terminal, "", "Refused: arguments.what: 1 is not", "Your answer for tea?", PROMPT)
    assert effects.what("begin") == []
    await typed(terminal, "3", "edit, with which value?")
    await typed(terminal, '{"what": "milk"}', NOTE)
    await typed(terminal, "no tea is left", f"edit, for 'tea', says {getpass.getuser()}")
    assert await closed(terminal) == 0, terminal.seen
    assert list(effects.effects()) == ["milk"]
    assert await decided(handle) == [("tea", "edit", getpass.getuser(), "no tea is left")]


async def test_several_questions_are_asked_one_after_the_other_also_of_children(
    tasks: Tasks, effects: Desk, shop: Shop
) -> None:
    """One is approved; one of a child is left open, then asked again and rejected."""
    inner = {"spec": {"name": "inner", "steps": [approve("within")]}}
    inside = child("inside", "AgentTask", "tea", input=inner, task_queue=tasks.task_queue)
    steps = [approve("first"), put("tea", "first"), inside]
    terminal, handle = await run_at_terminal(shop, tasks, [*steps, approve("beside", "tea")], "--by", "ada")
    await shown(terminal, "Your answer for first?", PROMPT)
    await typed(terminal, "Approve", NOTE)
    await typed(terminal, "fine", "approve, for 'first', says ada", "Your answer for beside?", PROMPT)
    await typed(terminal, "", "Left open", "Your answer for within?", "within of the child")
    await typed(terminal, "", "Left open", "waiting")
    await typed(terminal, "", "Your answer for beside?", PROMPT)
    await typed(terminal, "1", NOTE)
    await typed(terminal, "", "approve, for 'beside', says ada", "Your answer for within?", PROMPT)
    await typed(terminal, "reject", NOTE)
    await typed(terminal, "", "reject, for 'within', says ada")
    assert await closed(terminal) == 1, terminal.seen
    assert effects.what("done", "undone") == ["tea", "tea"]
    assert effects.effects() == {}
    assert await decided(handle) == [("first", "approve", "ada", "fine"), ("beside", "approve", "ada", "")]


async def test_a_stuck_undo_is_skipped_with_a_note(tasks: Tasks, effects: Desk, shop: Shop) -> None:
    handle = await tasks.start([put("one", undo="fail"), put("last", "one", fail="final")])
    terminal = Terminal(shop, "watch", handle.id, "--by", "ada")
    await shown(
        terminal, "one: the undo desk.take_back is stuck", "3  done   it has been undone by hand", PROMPT
    )
    await typed(terminal, "skip", "skip needs a note")
    await typed(terminal, "", PROMPT)
    await typed(terminal, "2", "skip needs a note")
    await typed(terminal, "she keeps it", "skip, for 'one', says ada", "NOT undone: one")
    assert await closed(terminal) == 3
    assert (await end_of(handle)).details["not_undone"] == ["one"]
    assert list(effects.effects()) == ["one"]
    log = (await handle.query("board"))["log"]
    assert ("ada", "she keeps it") in [(line["who"], line["why"]) for line in log]


async def test_a_question_that_somebody_else_answers_goes_away(tasks: Tasks, shop: Shop) -> None:
    """What had been typed until then is not taken for an answer to the next question."""
    handle = await tasks.start([approve("one"), approve("two", "one"), approve("three", "two")])
    terminal = Terminal(shop, "watch", handle.id)
    await shown(terminal, "Your answer for one?", PROMPT)
    terminal.type("rej")
    await tell(handle, "decide", step="one", action="approve")
    await shown(terminal, "one needs no answer any more: approve, by ann", "Your answer for two?")
    await typed(terminal, "approve", NOTE)
    await typed(terminal, "", "approve, for 'two'", "Your answer for three?", PROMPT)
    await handle.terminate()
    await shown(terminal, "three needs no answer any more: the task has ended.")
    assert await closed(terminal) == 3


async def test_an_interrupt_at_the_prompt_asks_what_it_always_asks(
    tasks: Tasks, effects: Desk, shop: Shop
) -> None:
    steps = [put("tea"), approve("ok", "tea")]
    terminal, _ = await run_at_terminal(shop, tasks, steps)
    await shown(terminal, PROMPT)
    for answer, then in (("g", PROMPT), ("c", "Cancelling")):
        terminal.process.send_signal(signal.SIGINT)
        await shown(terminal, "[c]ancel and undo, [l]eave it running, or [g]o on?")
        await typed(terminal, answer, then)
    assert await closed(terminal) == 130, terminal.seen
    assert effects.what("done", "undone") == ["tea", "tea"]
    assert effects.effects() == {}


async def test_who_wants_nothing_to_be_asked_says_so(tasks: Tasks, effects: Desk, shop: Shop) -> None:
    """After Ctrl-D nothing is asked, and the task is watched to its end."""
    handle = await tasks.start([approve("one"), approve("two", "one"), put("tea", "two")])
    terminal = Terminal(shop, "watch", handle.id)
    await shown(terminal, PROMPT)
    terminal.seen = ""
    terminal.type("\x04")
    await shown(terminal, "Nothing is asked here any more")
    await tell(handle, "decide", step="one", action="approve")
    await shown(terminal, f"counterstep decide {handle.id} two approve")
    await tell(handle, "decide", step="two", action="approve")
    assert await closed(terminal) == 0
    assert PROMPT not in terminal.seen
    assert list(effects.effects()) == ["tea"]


async def test_who_has_to_prove_it_is_asked_for_a_token(
    server: EmbeddedServer, task_queue: str, effects: Desk, shop: Shop
) -> None:
    signer = Signer(shop.folder)
    plugin = CounterstepPlugin([desk, till], inline_specs=True, decision_keys=str(signer.file))
    client = await Client.connect(server.address, plugins=[plugin])
    async with Worker(client, task_queue=task_queue):
        handle = await Tasks(client, task_queue).start(
            [{"id": "p", "tool": "till.pay", "input": {"what": "tea"}}]
        )
        terminal = Terminal(shop, "watch", handle.id)
        await shown(terminal, PROMPT)
        (asked,) = (await handle.query("board"))["waiting_for"]
        await typed(terminal, "approve", NOTE)
        await typed(terminal, "", "Refused: this is not signed", PROMPT)
        await typed(terminal, "approve", NOTE)
        await typed(terminal, "", "A signed token:")
        await typed(terminal, "me", "Refused: ", PROMPT)
        await typed(terminal, "approve", NOTE)
        await typed(terminal, "", "A signed token:")
        said = {"step": "p", "action": "approve", "hash": asked["hash"]}
        token = signer.token(handle.id, said, sub="eve")
        await typed(terminal, token, "approve, for 'p', says who has signed the token")
        assert await closed(terminal) == 0, terminal.seen
        (made,) = (await handle.query("board"))["decisions"]
        assert (made["action"], made["by"], made["proven"]) == ("approve", "eve", True)
