"""What people see and answer in the inbox of a real namespace, as a browser without JavaScript does it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm
from temporalio.api.common.v1 import Payload
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.converter import DataConverter, PayloadCodec
from temporalio.envconfig import ClientConnectConfig
from temporalio.worker import Worker

from counterstep import Agent, Bundle
from counterstep.embedded import EmbeddedServer
from counterstep.inbox import waiting_tasks
from counterstep.inbox.app import make_app
from counterstep.inbox.inbox_config import InboxConfig, LocalSignIn
from counterstep.inbox.person import SignedIn
from counterstep.inbox.signing import DecisionSigner
from counterstep.plugin import CounterstepPlugin
from counterstep.runtime.connection import connect
from counterstep.testing.model_behaviour import Behaviour, call
from counterstep.testing.model_server import ModelServer
from counterstep.tests.support.bundles.agents import KEY, told
from counterstep.tests.support.bundles.desk import Desk, desk
from counterstep.tests.support.bundles.desk import put as desk_put
from counterstep.tests.support.bundles.till import till
from counterstep.tests.support.pages.inbox_page import InboxPage
from counterstep.tests.support.tasks.tasks import Tasks, end_of, tell, until_asked, until_state
from counterstep.tests.support.tasks.work import put


class Locked(PayloadCodec):
    """Turns all bits over."""

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [self._locked(payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        kind = b"binary/turned"
        return [
            Payload.FromString(_turned(one.data)) if one.metadata["encoding"] == kind else one
            for one in payloads
        ]

    @staticmethod
    def _locked(payload: Payload) -> Payload:
        metadata = {"encoding": b"binary/turned"}
        return Payload(metadata=metadata, data=_turned(payload.SerializeToString()))


def _turned(data: bytes) -> bytes:
    return bytes(255 - byte for byte in data)


ORIGIN = {"Origin": "http://inbox.test"}
PAY = {"id": "p", "tool": "till.pay", "input": {"what": "tea"}}


@dataclass
class Visitor:
    """A person in front of the inbox."""

    browser: httpx.AsyncClient

    async def see(self, path: str, status: int = 200) -> InboxPage:
        answer = await self.browser.get(path)
        assert answer.status_code == status, answer.text
        assert "Traceback" not in answer.text
        return InboxPage(answer.text)

    async def press(self, page: InboxPage, button: str, task: str = "", **values: str) -> httpx.Response:
        """Presses a button on a page, with what is filled in."""
        (*_, form) = (f for f in page.forms if button in f.buttons and task in f.action)
        answer = await self.browser.post(form.action, data=form.filled(button, values), headers=ORIGIN)
        assert "Traceback" not in answer.text
        return answer

    async def answer(self, id: str, button: str, **values: str) -> str:
        """Opens a task, presses a button, and returns what the page says then."""
        answer = await self.press(await self.see(f"/tasks/{id}"), button, id, **values)
        if answer.status_code != 303:
            return InboxPage(answer.text).text
        return (await self.see(answer.headers["location"])).text


@dataclass
class Office:
    """An inbox, the tasks behind it, and two people."""

    tasks: Tasks
    ann: Visitor
    bob: Visitor


async def visitor(client: Client, name: str, signer: DecisionSigner | None = None) -> Visitor:
    people = {"ann": (SignedIn("ann", ("finance",)), "password"), "bob": (SignedIn("bob"), "password")}
    ui = "http://ui.test/workflows"
    config = InboxConfig("127.0.0.1", LocalSignIn(people), "s" * 32, web_ui=ui, signer=signer)
    transport = httpx.ASGITransport(make_app(client, config))
    browser = httpx.AsyncClient(transport=transport, base_url="http://inbox.test")
    form = InboxPage((await browser.get("/sign-in")).text).form("")
    sent = form.filled("", {"name": name, "password": "password"})
    assert (await browser.post("/sign-in", data=sent, headers=ORIGIN)).status_code == 303
    return Visitor(browser)


@pytest.fixture
async def office(server: EmbeddedServer, task_queue: str, effects: Desk) -> AsyncIterator[Office]:
    client = await Client.connect(
        server.address, plugins=[CounterstepPlugin([desk, till], inline_specs=True)]
    )
    plain = await Client.connect(server.address)
    async with Worker(client, task_queue=task_queue):
        yield Office(Tasks(client, task_queue), await visitor(plain, "ann"), await visitor(plain, "bob"))


async def asked(office: Office, step: dict[str, Any], **spec: Any) -> Any:
    """Starts a task whose step asks, and waits until it does."""
    handle = await office.tasks.start([step], **spec)
    await until_asked(handle, step["id"])
    return handle


async def test_what_is_approved_is_done_and_who_said_so_is_kept(office: Office, effects: Desk) -> None:
    handle = await asked(office, PAY)
    page = await office.ann.see(f"/tasks/{handle.id}?step=p")
    for part in ("Pay 6000 for tea?", "till.pay", "60.00", "6000", "The board", "Temporal Web UI"):
        assert part in page.text
    assert ("a", f"http://ui.test/workflows/{handle.id}") in [(t, g.get("href")) for t, g in page.tags]
    answer = await office.ann.press(page, "approve", note="as agreed\non the phone")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/tasks/{handle.id}")
    assert "“Approve” it is, for p." in (await office.ann.see(answer.headers["location"])).text
    assert (await end_of(handle)).type == "completed"
    assert effects.what("done") == ["tea"]
    (line,) = [one for one in (await handle.query("board"))["log"] if one["what"] == "decides: approve"]
    assert (line["who"], line["why"]) == ("ann", "as agreed\non the phone")
    again = await office.ann.press(page, "approve")
    assert "has ended" in (await office.ann.see(again.headers["location"])).text
    assert effects.what("done") == ["tea"], "nothing twice"


async def test_what_is_rejected_is_not_done(office: Office, effects: Desk) -> None:
    handle = await asked(office, PAY)
    assert "“Reject” it is" in await office.ann.answer(handle.id, "reject", note="too dear")
    end = await end_of(handle)
    assert end.failure["message"] == "ann does not allow till.pay: too dear"
    assert effects.events() == []


async def test_what_is_edited_is_done_and_what_does_not_fit_can_be_mended(
    office: Office, effects: Desk
) -> None:
    handle = await asked(office, PAY)
    page = await office.ann.see(f"/tasks/{handle.id}")
    refused = await office.ann.press(page, "edit", **{"value.edit.cents": "a lot", "note": "hm"})
    assert refused.status_code == 422
    kept = InboxPage(refused.text)
    assert "“cents” has to be a number." in kept.text
    assert kept.form("edit").fields["value.edit.cents"] == "a lot", "nothing that was typed is lost"
    assert kept.form("edit").fields["note"] == "hm"
    refused = await office.ann.press(kept, "edit", **{"value.edit.cents": "7000.5"})
    assert refused.status_code == 409
    assert "Refused" in InboxPage(refused.text).text
    done = await office.ann.press(InboxPage(refused.text), "edit", **{"value.edit.cents": "7000"})
    assert done.status_code == 303
    assert (await end_of(handle)).type == "completed"
    assert [event.note for event in effects.events("done")] == ["7000"]


async def test_two_different_people_have_to_say_yes(office: Office, effects: Desk) -> None:
    demand = [{"tool": "till.pay", "people": 2}]
    handle = await asked(office, {**PAY, "approvals": demand})
    old = await office.bob.see(f"/tasks/{handle.id}")
    assert "1 of 2 people have answered" in await office.ann.answer(handle.id, "approve", note="fine")
    assert "ann has answered already" in await office.ann.answer(handle.id, "approve")
    assert effects.events() == []
    assert "ann: approve, “fine”" in (await office.bob.see(f"/tasks/{handle.id}")).text
    await office.bob.press(old, "approve")
    assert (await end_of(handle)).type == "completed"
    assert effects.what("done") == ["tea"]


async def test_an_answer_to_what_has_changed_is_not_sent(office: Office, effects: Desk) -> None:
    handle = await asked(office, {"id": "p", "tool": "till.top_up", "input": {"what": "tea"}})
    old = await office.bob.see(f"/tasks/{handle.id}")
    charge = {"id": "p", "tool": "till.charge", "input": {"what": "tea", "cents": 1}}
    assert (await office.tasks.run([charge])).type == "completed"
    await office.ann.answer(handle.id, "approve")
    await until_asked(handle, "p", "at 1?")
    answer = await office.bob.press(old, "approve")
    page = await office.bob.see(answer.headers["location"])
    assert "has changed since it was shown to you" in page.text
    assert "Top tea up at 1?" in page.text
    assert effects.what("done") == ["tea"], "only the charge"
    assert "it is, for p" in await office.bob.answer(handle.id, "approve")
    assert (await end_of(handle)).type == "completed"


async def test_a_step_that_asks_takes_its_choices_and_its_output(office: Office) -> None:
    ask = {"id": "ask", "approve": {"ask": "How?", "choices": ["by_train", "by_car"], "deadline": "1h"}}
    handle = await asked(office, ask)
    page = await office.ann.see(f"/tasks/{handle.id}")
    assert "then: reject" in page.text
    await office.ann.press(page, "by_car")
    assert (await end_of(handle)).output["ask"]["action"] == "by_car"
    broken = {"id": "look", "tool": "desk.look", "input": {"fail": "x"}, "on_failure": "escalate"}
    handle = await asked(office, {**broken, "retry": {"attempts": 1}})
    page = await office.ann.see(f"/tasks/{handle.id}")
    assert {"retry", "skip", "rollback", "supply"} <= {one for form in page.forms for one in form.buttons}
    refused = await office.ann.press(page, "supply", **{"value.supply.": "{"})
    assert "has to be JSON" in InboxPage(refused.text).text
    supplied = {"value.supply.": '{"what": "y", "count": 1}'}
    await office.ann.press(InboxPage(refused.text), "supply", **supplied)
    assert (await end_of(handle)).output == {"look": {"what": "y", "count": 1}}


@pytest.mark.parametrize("action", ["retry", "done", "skip"])
async def test_a_stuck_undo(office: Office, effects: Desk, action: str) -> None:
    handle = await office.tasks.start([put("b", undo="broken"), put("d", "b", fail="final")])
    await until_state(handle, "needs_attention")
    page = await office.ann.see(f"/tasks/{handle.id}")
    assert "the undo desk.take_back is stuck" in page.text
    effects.repair("b")
    if action == "skip":
        refused = await office.ann.press(page, "skip")
        assert (refused.status_code, "say why in the note" in refused.text) == (422, True)
    await office.ann.press(page, action, note="it may stay" if action == "skip" else "")
    end = await end_of(handle)
    assert end.type == ("SagaRollbackIncomplete" if action == "skip" else "SagaRolledBack")
    assert list(effects.effects()) == ([] if action == "retry" else ["b"])


async def test_a_childs_question_is_answered_on_its_own_page(office: Office, effects: Desk) -> None:
    child = {"id": "k", "workflow": "desk.tidy", "input": {"what": "pen"}}
    handle = await office.tasks.start([child], approvals=[{"tool": "desk.put"}])
    await until_asked(handle, "place")
    page = await office.ann.see(f"/tasks/{handle.id}")
    links = [given["href"] or "" for tag, given in page.tags if tag == "a" and "href" in given]
    (link,) = [href for href in links if "%23" in href]
    assert link == f"/tasks/{handle.id}%2Fk%231"
    answer = await office.ann.press(await office.ann.see(link), "approve")
    assert answer.headers["location"] == link
    assert (await end_of(handle)).type == "completed"
    assert effects.what("done") == ["pen"]


async def test_an_agent_that_asks_is_answered(
    server: EmbeddedServer, task_queue: str, monkeypatch: pytest.MonkeyPatch, effects: Desk
) -> None:
    curious = Bundle("curious")
    words = {"description": "Asks.", "instructions": "Ask.", "tools": [desk_put]}
    curious.add(Agent(name="clerk", model="openai/curious", may_ask=True, **words))  # type: ignore[arg-type]
    async with ModelServer() as models:
        models.for_model("curious").reply(
            Behaviour.calls(call("ask_person", question="Which one?", choices=["cup", "pen"])),
            Behaviour.calls(call("ask_person", question="And why?")),
            Behaviour.text("Done."),
        )
        for name, value in {**models.environment, "OPENAI_API_KEY": KEY}.items():
            monkeypatch.setenv(name, value)
        plugin = CounterstepPlugin([desk, curious], inline_specs=True)
        client = await Client.connect(server.address, plugins=[plugin])
        async with Worker(client, task_queue=task_queue):
            ann = await visitor(await Client.connect(server.address), "ann")
            step = {"id": "s", "agent": "curious.clerk", "input": {"wish": "something"}}
            handle = await Tasks(client, task_queue).start([step], output="${{ steps.s.output }}")
            await until_asked(handle, "s/ask.1")
            page = await ann.see(f"/tasks/{handle.id}?step=s%2Fask.1")
            assert "An agent has a question" in page.text and "Agent curious.clerk" in page.text
            refused = await ann.press(page, "answer")
            assert "Refused" in InboxPage(refused.text).text
            await ann.press(InboxPage(refused.text), "answer", **{"value.answer.": "pen"})
            await until_asked(handle, "s/ask.2")
            await ann.answer(handle.id, "answer", **{"value.answer.": "It writes.\nAlways."})
            assert (await end_of(handle)).output == "Done."
        assert "It writes.\\nAlways." in told(models.requests[2], "tool")[1]


# --- signed decisions


async def test_the_inbox_signs_for_who_is_signed_in(
    server: EmbeddedServer, task_queue: str, effects: Desk, tmp_path: Path
) -> None:
    private = json.loads(OKPAlgorithm.to_jwk(Ed25519PrivateKey.generate()))
    signer = DecisionSigner(json.dumps({**private, "kid": "inbox-1"}), "refunds")
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps(signer.public_keys))
    plugin = CounterstepPlugin(
        [desk, till], inline_specs=True, decision_keys=str(keys), decision_audience="refunds"
    )
    client = await Client.connect(server.address, plugins=[plugin])
    plain = await Client.connect(server.address)
    async with Worker(client, task_queue=task_queue):
        tasks = Tasks(client, task_queue)
        demand = {"tool": "till.pay", "roles": ["finance"]}
        office = Office(tasks, await visitor(plain, "ann", signer), await visitor(plain, "bob", signer))
        handle = await asked(office, {**PAY, "approvals": [demand]})
        unsigned = await visitor(plain, "ann")
        assert "this is not signed" in await unsigned.answer(handle.id, "approve")
        assert "finance" in (await office.bob.see(f"/tasks/{handle.id}")).text
        assert "bob is not finance" in await office.bob.answer(handle.id, "approve")
        assert effects.events() == []
        await office.ann.answer(handle.id, "edit", **{"value.edit.cents": "7000"})
        assert (await end_of(handle)).type == "completed"
        assert [event.note for event in effects.events("done")] == ["7000"]
        assert "ann (signed): edit" in (await office.bob.see(f"/tasks/{handle.id}")).text
        handle = await tasks.start([put("b", undo="broken"), put("d", "b", fail="final")])
        await until_state(handle, "needs_attention")
        await office.bob.answer(handle.id, "done")
        assert (await end_of(handle)).type == "SagaRolledBack"


# --- the list


@pytest.mark.slow
async def test_the_list_has_what_waits_the_oldest_first_on_pages(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting_tasks, "PAGE", 2)
    monkeypatch.setattr(waiting_tasks, "LOOKED_AT", 3)
    monkeypatch.setattr(waiting_tasks, "_FRESH", 0)
    event = {"id": "w", "wait": {"event": "never"}}
    silent = [await office.tasks.start([event]) for _ in range(4)]
    for handle in silent:
        await until_state(handle, "waiting")
    handles = [await asked(office, PAY) for _ in range(3)]
    ids = [handle.id for handle in handles]

    async def until_listed(expected: list[str]) -> str:
        """Waits for these of ours, and returns the last page; other tests may have left some as well."""
        found: list[str] = []
        for _ in range(600):
            found, path = [], "/"
            while True:
                page = await office.ann.see(path)
                assert not [handle.id for handle in silent if handle.id in page.text], "they ask nobody"
                forms = [form for form in page.forms if "approve" in form.buttons]
                found += [id for form in forms for id in ids if form.action == f"/tasks/{id}"]
                more = [g["href"] for t, g in page.tags if t == "a" and g.get("rel") == "next"]
                if not more:
                    break
                path = more[0] or ""
            if found == expected:
                return path
            await asyncio.sleep(0.05)
        raise AssertionError(f"{found} and not {expected}")

    page = await office.ann.see(await until_listed(ids))
    answer = await office.ann.press(page, "approve", ids[2])
    assert answer.headers["location"] == "/"
    assert "it is, for p" in (await office.ann.see("/")).text
    assert (await end_of(handles[2])).type == "completed"
    await until_listed(ids[:2])
    for handle in (*silent, *handles[:2]):
        await handle.cancel()


async def test_a_page_says_when_nothing_has_changed(office: Office) -> None:
    handle = await asked(office, PAY)
    live = {"X-Live": "1"}
    first = await office.ann.browser.get(f"/tasks/{handle.id}", headers=live)
    tagged = {**live, "If-None-Match": first.headers["etag"]}
    assert (await office.ann.browser.get(f"/tasks/{handle.id}", headers=tagged)).status_code == 304
    await tell(handle, "amend", facts={"limit": 5}, note="news")
    second = await office.ann.browser.get(f"/tasks/{handle.id}", headers=tagged)
    assert (second.status_code, second.headers["etag"] != first.headers["etag"]) == (200, True)
    await handle.cancel()


# --- where little can be told


async def test_a_task_that_is_unknown_has_ended_or_has_no_worker(office: Office) -> None:
    page = await office.ann.see("/tasks/nobody/has%2Fit", 404)
    assert "There is no task 'nobody/has/it'" in page.text
    ended = await office.tasks.start([put("a")])
    assert (await end_of(ended)).type == "completed"
    assert "It asks nobody anything: it has ended." in (await office.ann.see(f"/tasks/{ended.id}")).text
    assert "a waits for nobody now" in (await office.ann.see(f"/tasks/{ended.id}?step=a")).text
    id, queue = f"{ended.id}-lonely", "nobody-here"
    lonely = await office.tasks.client.start_workflow("x.y", id=id, task_queue=queue)
    assert "No worker polls the queue 'nobody-here'" in (await office.ann.see(f"/tasks/{id}", 503)).text
    await lonely.terminate()
    assert "terminated" in (await office.ann.see(f"/tasks/{id}")).text


async def test_what_is_encoded_cannot_be_shown_and_the_page_says_what_to_do(
    server: EmbeddedServer, task_queue: str, effects: Desk
) -> None:
    converter = DataConverter(payload_codec=Locked())
    plugin = CounterstepPlugin([desk], inline_specs=True)
    client = await Client.connect(server.address, plugins=[plugin], data_converter=converter)
    where: ClientConnectConfig = {"target_host": server.address}
    async with Worker(client, task_queue=task_queue):
        blind, seeing = await connect(where), await connect(where, codec=Locked())
        ann, bob = await visitor(blind, "ann"), await visitor(seeing, "bob")
        ask = {"id": "ask", "approve": {"ask": "Really?", "show": "task"}}
        handle = await Tasks(client, task_queue).start([ask], {"secret": "tea"})
        await until_asked(handle, "ask")
        page = await ann.see(f"/tasks/{handle.id}", 502)
        assert "COUNTERSTEP_CODEC" in page.text and "tea" not in page.text
        assert "secret tea" in (await bob.see(f"/tasks/{handle.id}")).text
        assert "it is, for ask" in await bob.answer(handle.id, "approve")
        assert (await end_of(handle)).type == "completed"


async def test_a_namespace_without_search_attributes_is_told(server: EmbeddedServer, client: Client) -> None:
    name = f"bare-{uuid4().hex}"
    request = RegisterNamespaceRequest(namespace=name)
    request.workflow_execution_retention_period.FromTimedelta(timedelta(days=3))
    await client.workflow_service.register_namespace(request)
    ann = await visitor(await Client.connect(server.address, namespace=name), "ann")
    for _ in range(150):
        # All parts of the server know a new namespace after some seconds.
        answer = await ann.browser.get("/")
        if answer.status_code == 200:
            break
        await asyncio.sleep(0.2)
    assert f"search-attribute create --namespace {name} --name SagaTask" in InboxPage(answer.text).text


async def test_the_find_form_opens_a_task(office: Office) -> None:
    answer = await office.ann.browser.get("/find", params={"id": "a/b#c?d"})
    assert answer.headers["location"] == "/tasks/a%2Fb%23c%3Fd"


async def test_it_is_healthy_while_it_reaches_its_server(office: Office) -> None:
    assert (await office.ann.browser.get("/healthz")).json() == {"status": "ok"}
