"""What people see in the inbox and answer there, in a real browser.

Some tests leave a picture in ``.counterstep/ui``; the docs show them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from counterstep.embedded import EmbeddedServer
from counterstep.tests.support.browser.inbox_visit import InboxVisit, inbox_visit
from counterstep.tests.support.browser.trips import PICTURES

PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
    "color_scheme": "dark",
}
CLOSE = [{"id": "close", "tool": "refunds.close_account", "input": {"customer": "c-77"}}]
BROKEN = {"attempts": 1}
STUCK = [
    {"id": "book", "tool": "desk.put", "input": {"what": "book", "undo": "broken"}, "retry": BROKEN},
    {"id": "lamp", "needs": ["book"], "tool": "desk.put", "input": {"what": "lamp", "fail": "final"}},
]


@pytest.fixture(scope="module")
def visit(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[InboxVisit]:
    expect.set_options(timeout=60_000)  # a page asks for news every five seconds
    with inbox_visit(server, tmp_path_factory.mktemp("inbox")) as visit:
        yield visit


def picture(page: Page, name: str) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"{name}.png", animations="disabled", scale="css")


def question(page: Page, task: str) -> Locator:
    """The question of a task."""
    return page.get_by_role("article").filter(has_text=task)


def done(visit: InboxVisit, action: str, what: str) -> list[str]:
    return [event.note for event in visit.effects.events(action) if event.what == what]


def test_a_call_is_approved_from_the_list(browser: Browser, visit: InboxVisit) -> None:
    visit.refund("order-1042")
    with visit.person(browser, "ann") as page:
        asked = question(page, "order-1042")
        expect(asked.get_by_role("heading")).to_have_text("Refund 129.5 EUR for order-1042?")
        row = asked.get_by_role("row").filter(has=page.get_by_role("rowheader", name="cents", exact=True))
        expect(row).to_contain_text("129.50 EUR")
        expect(row.locator("code")).to_have_text("12950")
        expect(asked).to_contain_text("refunds.clerk")
        expect(asked).to_contain_text("then: reject")
        picture(page, "inbox")
        asked.get_by_label("Note").first.fill("as agreed on the phone")
        asked.get_by_role("button", name="Approve", exact=True).click()
        expect(page.get_by_role("status").filter(has_text="it is, for")).to_be_visible()
        expect(page).to_have_url(f"{visit.url}/")
    assert visit.end("order-1042").type == "completed"
    assert [note.split()[0] for note in done(visit, "refunded", "order-1042")] == ["12950"]


def test_a_call_is_rejected_by_keyboard_and_enter_in_a_note_answers_nothing(
    browser: Browser, visit: InboxVisit
) -> None:
    visit.refund("order-1043")
    with visit.person(browser, "ann") as page:
        page.goto(f"{visit.url}/tasks/order-1043?step=settle%2Ftool.1")
        note = page.get_by_label("Note").first
        note.focus()
        page.keyboard.type("too dear")
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name="Reject")).to_be_visible()
        page.get_by_text("Edit the arguments").click()
        page.get_by_label("order", exact=True).press("Enter")
        expect(page.get_by_role("button", name="Reject")).to_be_visible()
        note.focus()
        page.keyboard.press("Tab")
        expect(page.get_by_role("button", name="Approve", exact=True)).to_be_focused()
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.get_by_role("status").filter(has_text="“Reject” it is")).to_be_visible()
    assert visit.end("order-1043").type in ("completed", "SagaRolledBack")
    assert done(visit, "refunded", "order-1043") == []


def test_arguments_are_edited_and_what_does_not_fit_is_not_lost(browser: Browser, visit: InboxVisit) -> None:
    visit.refund("order-1044")
    with visit.person(browser, "ann") as page:
        page.clock.install()
        page.goto(f"{visit.url}/tasks/order-1044")
        page.get_by_text("Edit the arguments").click()
        page.get_by_label("cents").fill("a lot")
        page.get_by_role("button", name="Approve as edited").click()
        expect(page.get_by_role("alert")).to_have_text("“cents” has to be a number. Nothing was sent.")
        page.get_by_role("heading", name="The board").click()
        with page.expect_response(f"{visit.url}/tasks/order-1044"):
            page.clock.run_for(6000)
        page.clock.run_for(6000)
        expect(page.get_by_label("cents")).to_have_value("a lot")
        expect(page.locator("#notice")).to_be_hidden()
        page.get_by_label("cents").fill("9900")
        page.get_by_role("button", name="Approve as edited").click()
        expect(page.get_by_role("status").filter(has_text="“Approve as edited” it is")).to_be_visible()
    assert visit.end("order-1044").type == "completed"
    assert [note.split()[0] for note in done(visit, "refunded", "order-1044")] == ["9900"]


def test_two_people_answer_and_the_page_of_one_shows_what_the_other_has_said(
    browser: Browser, visit: InboxVisit
) -> None:
    visit.start("close-c-77", CLOSE, "Close an account.", asks="close")
    with visit.person(browser, "ann") as ann, visit.person(browser, "bob") as bob:
        for page in (ann, bob):
            page.goto(f"{visit.url}/tasks/close-c-77")
            expect(page.get_by_text("0 of 2 people have answered.")).to_be_visible()
        ann.get_by_role("button", name="Approve", exact=True).click()
        expect(ann.get_by_role("status").filter(has_text="1 of 2 people have answered")).to_be_visible()
        assert done(visit, "closed", "c-77") == []
        # Nobody loads bob's page again.
        expect(bob.get_by_text("1 of 2 people have answered.")).to_be_visible()
        expect(bob.get_by_text("ann: approve")).to_be_visible()
        bob.get_by_role("button", name="Approve", exact=True).click()
        expect(bob.get_by_role("status").filter(has_text="it is, for close")).to_be_visible()
    assert visit.end("close-c-77").type == "completed"
    assert len(done(visit, "closed", "c-77")) == 1


def test_what_somebody_is_writing_stays_when_the_page_has_news(browser: Browser, visit: InboxVisit) -> None:
    visit.start("close-c-78", CLOSE, "Close an account.", asks="close")
    with visit.person(browser, "ann") as ann, visit.person(browser, "bob") as bob:
        for page in (ann, bob):
            page.goto(f"{visit.url}/tasks/close-c-78")
        bob.get_by_label("Note").first.fill("I am still thinking")
        ann.get_by_role("button", name="Reject").click()
        expect(bob.get_by_role("status").filter(has_text="Something has changed")).to_be_visible()
        expect(bob.get_by_label("Note").first).to_have_value("I am still thinking")
        bob.get_by_role("button", name="Approve", exact=True).click()
        expect(bob.get_by_role("alert")).to_contain_text("nothing was sent")
    assert visit.end("close-c-78").failure["type"] == "ApprovalDenied"


def test_a_stuck_undo_is_undone_again(browser: Browser, visit: InboxVisit) -> None:
    visit.start("clear-the-desk", STUCK, "Clear the desk.")
    with visit.person(browser, "ann") as page:
        page.goto(f"{visit.url}/tasks/clear-the-desk")
        expect(page.get_by_role("heading", name="the undo desk.take_back is stuck")).to_be_visible()
        expect(page.get_by_role("table", name="Undos").get_by_text("stuck")).to_be_visible()
        link = page.get_by_role("link", name="Temporal Web UI")
        assert (
            link.get_attribute("href") == f"{visit.server.ui_url}/namespaces/default/workflows/clear-the-desk"
        )
        picture(page, "inbox-undo")
        page.get_by_role("button", name="Leave the effect as it is").click()
        expect(page.get_by_role("alert")).to_contain_text("say why in the note")
        visit.effects.repair("book")
        page.get_by_role("button", name="Undo it again").click()
        expect(page.get_by_role("status").filter(has_text="“Undo it again” it is")).to_be_visible()
    assert visit.end("clear-the-desk").type == "SagaRolledBack"
    assert "book" not in visit.effects.effects()


def test_without_javascript(browser: Browser, visit: InboxVisit) -> None:
    visit.refund("order-1045")
    with visit.person(browser, "bob", java_script_enabled=False) as page:
        link = page.get_by_role("link", name="order-1045")
        while not link.count():  # Temporal lists a task a moment after it has begun to wait
            page.wait_for_timeout(500)
            page.reload()
        link.click()
        page.get_by_text("Edit the arguments").click()
        page.get_by_label("reason").fill("Broken, twice.")
        page.get_by_role("button", name="Approve as edited").click()
        expect(page.get_by_role("status").filter(has_text="it is, for")).to_be_visible()
    assert visit.end("order-1045").type == "completed"
    assert done(visit, "refunded", "order-1045") == ["12950 Broken, twice."]


def test_on_a_phone(browser: Browser, visit: InboxVisit) -> None:
    visit.refund("order-1046")
    with visit.person(browser, "bob", **PHONE) as page:
        for path in ("/", "/tasks/order-1046", "/tasks/nobody-has-this-one"):
            page.goto(f"{visit.url}{path}")
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path
        page.goto(f"{visit.url}/tasks/order-1046")
        approve = page.get_by_role("button", name="Approve", exact=True)
        box = approve.bounding_box()
        assert box is not None and box["height"] >= 44 and box["width"] > 250, "large enough for a thumb"
        picture(page, "inbox-phone")
        approve.tap()
        expect(page.get_by_role("status").filter(has_text="it is, for")).to_be_visible()
    assert visit.end("order-1046").type == "completed"


def test_what_a_model_says_does_not_run(browser: Browser, visit: InboxVisit) -> None:
    evil = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    ask = [{"id": "ask", "approve": {"ask": f"Is this {evil} fine?", "choices": ["yes"]}}]
    visit.start("evil", ask, evil, asks="ask")
    with visit.person(browser, "ann") as page:
        page.goto(f"{visit.url}/tasks/evil")
        expect(page.get_by_role("article").get_by_role("heading")).to_have_text(f"Is this {evil} fine?")
        assert "owned" not in page.title()
        page.get_by_role("button", name="yes").click()
        expect(page.get_by_role("status").filter(has_text="it is, for")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_texts_can_be_read(browser: Browser, visit: InboxVisit, scheme: str) -> None:
    """A contrast of 4.5 to 1, as WCAG 2.2 AA asks for."""
    visit.refund(f"order-{scheme}")
    with visit.person(browser, "ann", color_scheme=scheme) as page:
        page.goto(f"{visit.url}/tasks/order-{scheme}")
        page.get_by_text("Edit the arguments").click()
        assert page.evaluate(CONTRAST) == []
        page.get_by_role("button", name="Approve as edited").click()
        expect(page.get_by_role("status").filter(has_text="it is, for")).to_be_visible()
        page.wait_for_load_state()
        assert page.evaluate(CONTRAST) == []


CONTRAST = """() => {
  const light = (color) => {
    const [r, g, b] = color.match(/[0-9.]+/g).slice(0, 3).map((part) => part / 255)
      .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const color = getComputedStyle(e).backgroundColor;
      if (!/rgba\\(.*, 0\\)/.test(color)) return color;
    }
    return "rgb(255, 255, 255)";
  };
  return [...document.querySelectorAll("body *")]
    .filter((e) => e.checkVisibility() && [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()))
    .map((e) => {
      const [a, b] = [light(getComputedStyle(e).color), light(behind(e))].sort((x, y) => y - x);
      return [e.tagName, e.className, e.textContent.trim().slice(0, 30), (a + 0.05) / (b + 0.05)];
    })
    .filter(([, , , contrast]) => contrast < 4.5);
}"""
