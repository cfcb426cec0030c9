"""What is asked is shown as text, with a button for each answer; a form sends back what it was about."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.requests import Request
from temporalio.client import Client

from counterstep.client import Board
from counterstep.inbox.inbox_config import InboxConfig, LocalSignIn
from counterstep.inbox.page_renderer import PageRenderer
from counterstep.inbox.pages import Pages
from counterstep.inbox.person import SignedIn
from counterstep.inbox.question_view import children_that_ask, questions_of
from counterstep.inbox.task_reader import SeenTask
from counterstep.tests.support.pages.inbox_page import InboxPage

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7*7 }}"
AT = "2026-11-28T12:00:00+00:00"


def asked(**changes: Any) -> dict[str, Any]:
    return {
        "step": "pay",
        "kind": "approval",
        "ask": "Pay?",
        "actions": ["approve", "reject", "edit", "always"],
        "since": AT,
        "update": "decide",
        "show": {"tool": "till.pay", "arguments": {"cents": 12950, "what": "tea"}, "agent": "till.clerk"},
        "hash": "a" * 32,
        **changes,
    }


def board(*questions: dict[str, Any], **more: Any) -> Board:
    document = {
        "task": "shop.order",
        "task_id": "order-1",
        "state": "waiting",
        "waiting_for": questions,
        **more,
    }
    return Board.model_validate(document)


def rendered(board: Board) -> str:
    """The page of a task with this board."""

    async def render() -> str:
        config = InboxConfig("127.0.0.1", LocalSignIn({}), "s" * 32, web_ui="http://ui.test/workflows")
        client = await Client.connect("127.0.0.1:1", lazy=True)
        pages = Pages(client, config, PageRenderer(config, EVIL))
        scope = {"type": "http", "headers": [], "query_string": b"", "session": {}, "path": "/"}
        seen = SeenTask(board.task_id, board.task, board.state.value, False, board)
        page = pages._task_page(Request(scope), SignedIn(EVIL), seen)
        return bytes(page.body).decode()

    return asyncio.run(render())


def test_whatever_models_and_users_say_is_shown_as_text() -> None:
    everything = board(
        asked(
            step=EVIL,
            kind=EVIL,
            ask=EVIL,
            actions=["approve", EVIL],
            default=EVIL,
            deadline=AT,
            people=2,
            said=[{"by": EVIL, "action": EVIL, "note": EVIL}],
            roles=[[EVIL]],
        ),
        asked(
            step="b",
            show={
                "tool": EVIL,
                "agent": EVIL,
                "edited_by": EVIL,
                "before": EVIL,
                "arguments": {EVIL: EVIL, "n": 1, "deep": [{EVIL: [EVIL]}], "usd": 1, "currency": EVIL},
            },
        ),
        asked(step="c", task=EVIL),
        goal=EVIL,
        steps={EVIL: {"state": "failed", "agent": EVIL, "error": EVIL, "output": {EVIL: EVIL}}},
        ledger=[{"id": EVIL, "step": EVIL, "compensation": EVIL, "state": "stuck", "error": EVIL}],
        failure={"step": EVIL, "type": EVIL, "message": EVIL},
        decisions=[
            {
                **{"step": EVIL, "kind": EVIL, "ask": EVIL, "since": AT, "at": AT},
                **{"action": EVIL, "by": EVIL, "note": EVIL},
            }
        ],
        log=[{"n": 1, "at": AT, "who": EVIL, "what": EVIL, "step": EVIL, "why": EVIL}],
        task=EVIL,
        task_id=EVIL,
    )
    html = rendered(everything)
    page = InboxPage(html)
    assert [given for tag, given in page.tags if tag == "script"] == [
        {"src": "/static/live.js", "defer": None}
    ]
    assert [tag for tag, _ in page.tags if tag == "img"] == []
    assert [given for _, given in page.tags if any(name.startswith("on") for name in given)] == []
    assert page.text.count("<script>alert(1)</script>") > 20
    assert "{{ 7*7 }}" in page.text, "what looks like a template is not filled in"


def test_a_call_is_shown_with_its_arguments_its_agent_and_its_money() -> None:
    text = InboxPage(rendered(board(asked(deadline=AT, default="reject")))).text
    for part in ("Pay?", "till.pay", "till.clerk", "129.50", "12950", "what tea", "then: reject"):
        assert part in text


def test_a_form_carries_what_it_is_about_and_edits_begin_with_what_is_there() -> None:
    page = InboxPage(rendered(board(asked())))
    (view,) = questions_of(board(asked()))
    plain, edit = page.form("approve"), page.form("edit")
    assert plain.buttons == ["approve", "reject", "always"]
    for form in (plain, edit):
        assert (form.action, form.method) == ("/tasks/order-1", "post")
        assert form.fields["shown"] == view.shown
        assert (form.fields["step"], form.fields["update"]) == ("pay", "decide")
        assert form.fields["csrf"]
    assert edit.fields["value.edit.cents"] == "12950"
    assert edit.fields["value.edit.what"] == "tea"


@pytest.mark.parametrize(
    "change",
    [
        {"ask": "Pay more?"},
        {"hash": "b" * 32},
        {"show": {"tool": "till.pay", "arguments": {"cents": 12951, "what": "tea"}}},
        {"actions": ["approve"]},
    ],
)
def test_what_is_shown_has_a_hash_that_changes_with_it(change: dict[str, Any]) -> None:
    (before,), (after,) = questions_of(board(asked())), questions_of(board(asked(**change)))
    assert before.shown != after.shown
    (again,) = questions_of(board(asked(people=2, said=[{"by": "ann", "action": "approve"}])))
    assert again.shown == before.shown, "another person's yes does not make a form stale"


def test_stuck_undos_are_told_apart_and_children_ask_on_their_own_pages() -> None:
    actions = ["retry", "skip", "done"]
    undo = {"kind": "undo", "update": "resolve", "actions": actions, "show": None, "hash": ""}
    one, other = asked(**undo, ask="one", entry="b[0]#1"), asked(**undo, ask="two", entry="b[1]#1")
    all_ = board(one, other, asked(task="order-1/child#1"))
    assert [(view.name, view.ask) for view in questions_of(all_)] == [("b[0]#1", "one"), ("b[1]#1", "two")]
    page = InboxPage(rendered(all_))
    assert page.form("retry", step="b[1]#1").buttons == actions
    assert children_that_ask(all_) == ["order-1/child#1"]


def test_an_agent_that_asks_is_named_and_its_choices_are_to_be_chosen() -> None:
    show = {"agent": "shop.desk", "choices": ["blue", "a <b>\u202e"]}
    question = asked(kind="needs_input", ask="Which colour?", actions=["answer"], show=show)
    page = InboxPage(rendered(board(question)))
    assert "Agent shop.desk" in page.text
    options = [given["value"] for tag, given in page.tags if tag == "option"]
    assert options == ["", "blue", "a <b>\u202e"], "as they are, though they are shown otherwise"
    assert page.form("answer").fields["value.answer."] == ""


def test_the_team_of_a_step_and_that_its_output_is_not_whole_are_shown() -> None:
    step = {"state": "completed", "team": "debate of 3", "output": 1, "degraded": f"2 rounds {EVIL}"}
    page = InboxPage(rendered(board(asked(kind="member"), steps={"panel": step})))
    assert "debate of 3" in page.text
    assert f"degraded: 2 rounds {EVIL}" in page.text
    assert "A team asks its member" in page.text


def test_choices_of_a_step_are_what_they_are_called() -> None:
    (view,) = questions_of(board(asked(kind="approve", actions=["retry", "take_the_train"], show=None)))
    assert [(b.label, b.look, b.fields) for b in view.buttons] == [
        ("retry", "plain", ()),
        ("take the train", "plain", ()),
    ]


@pytest.mark.parametrize(
    ("kind", "update", "action", "fields"),
    [
        ("escalated", "decide", "supply", 1),
        ("escalated", "decide", "retry", 0),
        ("needs_input", "decide", "answer", 1),
        ("member", "decide", "answer", 1),
        ("pivot", "resolve", "applied", 1),
        ("pivot", "resolve", "not_applied", 0),
        ("reset", "resolve", "go_on", 0),
    ],
)
def test_answers_that_need_a_value_have_a_field(kind: str, update: str, action: str, fields: int) -> None:
    (view,) = questions_of(board(asked(kind=kind, update=update, actions=[action], show=None)))
    (button,) = view.buttons
    assert len(button.fields) == fields
