"""The task of an agent elsewhere: begun once, followed to its end, and cancelled when nobody follows it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from counterstep.a2a_client import asking, remote_task
from counterstep.a2a_client.asking import ask
from counterstep.a2a_client.failures import RemoteAgentAway, RemoteAgentFailed, UnknownWhetherSent
from counterstep.a2a_client.remote_task import RemoteEnd
from counterstep.a2a_client.remote_terms import RemoteTerms
from counterstep.tests.support.foreign.scripted_agent import URL, ScriptedAgent, error
from counterstep.tests.support.processes.watching import until

TERMS = RemoteTerms(url=URL, headers={})
IDEMPOTENT = RemoteTerms(url=URL, headers={}, idempotent=True)
NOT_THERE = error(-32601, "Method not found")
DONE = RemoteEnd("completed", {"room": 7}, "", "task-0")


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_task, "_FIRST_PAUSE", 0.001)
    monkeypatch.setattr(remote_task, "LONGEST_OUTAGE", 0.2)


@pytest.fixture
def noted() -> list[str]:
    """What the heartbeats have."""
    return []


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, noted: list[str]) -> Any:
    """Asks an agent as an attempt does."""

    async def asked(agent: ScriptedAgent, terms: RemoteTerms = TERMS, **said: Any) -> RemoteEnd:
        monkeypatch.setattr(asking, "bounded_client", agent.client)
        given: Any = {"known": "", "is_repeat": False, "is_given_up": lambda: True, **said}
        return await ask(terms, {"city": "Rome"}, key="key", note=noted.append, **given)

    return asked


async def test_it_is_sent_once_and_looked_at_until_it_ends(asked: Any, noted: list[str]) -> None:
    agent = ScriptedAgent("WORKING", "WORKING", "COMPLETED")
    assert await asked(agent) == DONE
    assert agent.asked == ["SendMessage", "GetTask", "GetTask", "GetTask"]
    assert noted == ["task-0"]


async def test_whole_numbers_are_integers_as_they_were_sent(asked: Any) -> None:
    assert json.dumps((await asked(ScriptedAgent("COMPLETED"))).output) == '{"room": 7}'


async def test_another_attempt_goes_on_with_the_task_that_it_knows(asked: Any) -> None:
    agent = ScriptedAgent()
    agent.begin("key")
    assert await asked(agent, known="task-0", is_repeat=True) == DONE
    assert agent.asked == ["GetTask"]


async def test_another_attempt_finds_the_task_by_its_context_or_sends_the_message(asked: Any) -> None:
    for begun, expected in (
        (True, ["ListTasks", "GetTask"]),
        (False, ["ListTasks", "SendMessage", "GetTask"]),
    ):
        agent = ScriptedAgent()
        if begun:
            agent.begin("key")
        assert await asked(agent, is_repeat=True) == DONE
        assert agent.asked == expected


# --- lost answers


@pytest.mark.parametrize(
    "lost",
    [
        httpx.ReadError("gone"),
        httpx.ReadTimeout("slow"),
        httpx.Response(502),
        httpx.Response(200, text="<p>"),
    ],
)
async def test_a_message_whose_answer_is_lost_is_not_sent_again(asked: Any, lost: Any) -> None:
    agent = ScriptedAgent()
    agent.script["SendMessage"] = [lost]
    assert await asked(agent) == DONE
    assert agent.asked == ["SendMessage", "ListTasks", "GetTask"]


async def test_a_message_that_reached_nobody_is_sent_again_to_whoever_lists_nothing(asked: Any) -> None:
    agent = ScriptedAgent()
    agent.script["SendMessage"] = [httpx.ConnectError("no"), httpx.ConnectError("no")]
    assert await asked(agent) == DONE
    assert agent.asked == ["SendMessage", "SendMessage", "SendMessage", "GetTask"]


@pytest.mark.parametrize(
    "answer",
    [
        NOT_THERE,
        error(-32004, "not supported"),
        httpx.Response(405),
        lambda agent: {"result": {"tasks": [{"id": "task-9", "contextId": "of another"}]}},
    ],
)
async def test_who_cannot_tell_what_has_begun_gets_no_second_message(asked: Any, answer: Any) -> None:
    agent = ScriptedAgent()
    agent.script = {"SendMessage": [httpx.ReadError("gone")], "ListTasks": [answer, answer]}
    with pytest.raises(UnknownWhetherSent, match="nobody knows whether it has begun"):
        await asked(agent)
    assert agent.asked.count("SendMessage") == 1

    agent.asked.clear()
    agent.script["ListTasks"] = [answer]
    assert (await asked(agent, IDEMPOTENT, is_repeat=True)).state == "completed"
    assert agent.asked == ["ListTasks", "SendMessage", "GetTask"]


async def test_an_agent_that_has_failed_is_not_asked_for_the_same_again(asked: Any) -> None:
    for answer in (error(-32603, "the database is full"), httpx.Response(500)):
        agent = ScriptedAgent()
        agent.script["SendMessage"] = [answer]
        with pytest.raises(RemoteAgentFailed, match="it has failed"):
            await asked(agent)
        assert agent.asked == ["SendMessage", "ListTasks", "GetTask", "CancelTask"]
        assert agent.tasks["key"]["status"]["state"] == "TASK_STATE_CANCELED"


# --- outages


async def test_who_is_away_for_a_while_is_asked_again(asked: Any) -> None:
    agent = ScriptedAgent("WORKING", "COMPLETED")
    agent.script["GetTask"] = [httpx.ConnectError("no"), httpx.Response(503), error(-32603, "locked")]
    assert await asked(agent) == DONE
    assert "CancelTask" not in agent.asked


async def test_who_is_away_for_long_is_left_to_another_attempt(asked: Any, noted: list[str]) -> None:
    agent = ScriptedAgent("WORKING")
    agent.script["GetTask"] = [httpx.ConnectError("no")] * 1000
    with pytest.raises(RemoteAgentAway, match=r"hotel\.example does not answer"):
        await asked(agent)
    assert noted == ["task-0"]
    assert "CancelTask" not in agent.asked


# --- what nobody follows is cancelled


async def test_a_task_that_asks_is_cancelled_since_nobody_answers_it(asked: Any) -> None:
    for state in ("INPUT_REQUIRED", "AUTH_REQUIRED"):
        agent = ScriptedAgent(state)
        assert (await asked(agent)).state == state.lower()
        assert agent.tasks["key"]["status"]["state"] == "TASK_STATE_CANCELED"


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (error(-32001, "no such task"), "has refused the request: no such task"),
        (httpx.Response(401), "has refused the request: HTTP Error 401"),
        (
            lambda agent: {"result": {"status": {"state": "TASK_STATE_GONE"}, "artifacts": 3}},
            "what is not A2A",
        ),
        (lambda agent: {"result": "done"}, "what is not A2A"),
        (
            httpx.Response(200, text='{"jsonrpc": "2.0", "result": ' + "[" * 9000 + "]" * 9000 + "}"),
            "is not A2A",
        ),
    ],
)
async def test_a_task_that_cannot_be_followed_is_cancelled(asked: Any, answer: Any, told: str) -> None:
    agent = ScriptedAgent("WORKING")
    agent.script["GetTask"] = [answer]
    with pytest.raises(RemoteAgentFailed) as failed:
        await asked(agent)
    assert told in str(failed.value)
    assert agent.asked[-1] == "CancelTask"


async def test_an_id_that_fills_heartbeats_is_refused(asked: Any, noted: list[str]) -> None:
    for id in ("", "x" * 1001):
        agent = ScriptedAgent()
        task = {"id": id, "contextId": "key", "status": {"state": "TASK_STATE_WORKING"}}
        sent = {"jsonrpc": "2.0", "result": {"task": task}}
        agent.script["SendMessage"] = [httpx.Response(200, json=sent)]
        with pytest.raises(RemoteAgentFailed, match="its task has an id of"):
            await asked(agent)
        assert noted == []


async def cancelled(asking: Any, agent: ScriptedAgent, at: str) -> None:
    """Cancels a call when the agent is asked for something."""
    call = asyncio.create_task(asking)
    await until(lambda: at in agent.asked)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_a_cancel_is_passed_on_by_whoever_is_the_last(asked: Any) -> None:
    agent = ScriptedAgent("WORKING")
    await cancelled(asked(agent, is_given_up=lambda: False), agent, "GetTask")
    assert "CancelTask" not in agent.asked
    agent.asked.clear()
    await cancelled(asked(agent, is_given_up=lambda: True), agent, "GetTask")
    assert agent.tasks["key"]["status"]["state"] == "TASK_STATE_CANCELED"


async def test_a_cancel_is_passed_on_while_the_agent_is_away(asked: Any) -> None:
    agent = ScriptedAgent("WORKING")
    agent.begin("key")
    agent.script["GetTask"] = [httpx.ReadError("gone")]
    await cancelled(asked(agent, known="task-0", is_repeat=True), agent, "GetTask")
    assert agent.tasks["key"]["status"]["state"] == "TASK_STATE_CANCELED"


async def test_a_cancel_finds_the_task_of_a_message_that_is_not_answered_yet(asked: Any) -> None:
    agent = ScriptedAgent("WORKING")
    agent.script["SendMessage"] = [httpx.ReadError("gone")]
    agent.script["ListTasks"] = [httpx.Response(503)]
    await cancelled(asked(agent), agent, "ListTasks")
    assert agent.tasks["key"]["status"]["state"] == "TASK_STATE_CANCELED"
