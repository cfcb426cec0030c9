"""What people see of their tasks in Temporal's own Web UI, in a real browser.

Each test leaves a picture in ``.counterstep/ui``; the docs show some of them.
"""

from __future__ import annotations

import json
import re
from urllib.parse import quote

from playwright.sync_api import FloatRect, FrameLocator, Locator, Page, expect

from counterstep.tests.support.browser.trips import PICTURES, WINDOW, Trips

COLUMNS = ["Status", "Workflow ID", "Type", "SagaState", "SagaStep", "SagaCostUsd", "Start"]


def picture(page: Page, name: str, *, below: str = "") -> None:
    """Keeps what the page shows now: its top, or what begins with a heading."""
    page.set_viewport_size(WINDOW)
    if below:
        heading = page.get_by_role("heading", name=below, exact=True)
        # Some room above it is under the bar at the top of the page.
        heading.evaluate("element => { element.style.scrollMarginTop = '70px'; element.scrollIntoView(); }")
    page.screenshot(path=PICTURES / f"{name}.png", animations="disabled", scale="css")


def rows(page: Page) -> Locator:
    """The tasks in the list."""
    return page.get_by_test_id("workflows-summary-configurable-table-row")


def open_list(page: Page, trips: Trips, query: str = "") -> None:
    """Opens the list with columns of ours, as "Configure Columns" would keep them."""
    columns = json.dumps({"default": [{"label": label} for label in COLUMNS]})
    page.add_init_script(f"localStorage.setItem('namespace-workflow-table-columns', {json.dumps(columns)})")
    page.goto(trips.url() + (f"?query={quote(query)}" if query else ""))


def open_tab(page: Page, trips: Trips, workflow_id: str, tab: str) -> None:
    """Opens a tab of a task."""
    page.goto(trips.url(workflow_id))
    page.get_by_test_id(f"{tab}-tab").click()
    expect(page).to_have_url(re.compile(f"/{tab}"))


def details(page: Page, which: str) -> FrameLocator:
    """The Markdown of a part of the user metadata: ``summary``, ``details`` or ``current-details``."""
    return page.frame_locator(f"#user-metadata-{which}")


# --- the list


def test_the_list_shows_the_state_of_each_task(page: Page, trips: Trips) -> None:
    open_list(page, trips, 'SagaTask STARTS_WITH "trip."')
    for id_, *cells in (
        (trips.booked, "trip.trip", "completed"),
        (trips.undone, "trip.trip", "rolled_back"),
        (trips.waiting, "trip.confirmed_trip", "waiting", "confirm"),
    ):
        row = rows(page).filter(has_text=id_)
        for cell in cells:
            expect(row.get_by_role("cell", name=cell, exact=True)).to_be_visible()
    picture(page, "list")


def test_the_list_is_filtered_by_state(page: Page, trips: Trips) -> None:
    open_list(page, trips, 'SagaTask="trip.trip" AND SagaState="rolled_back"')
    expect(rows(page)).to_have_count(1)
    expect(rows(page)).to_contain_text(trips.undone)
    picture(page, "list-rolled-back")


def test_the_list_is_filtered_by_task_and_by_step(page: Page, trips: Trips) -> None:
    open_list(page, trips, 'SagaTask="trip.confirmed_trip" AND SagaStep="confirm"')
    expect(rows(page)).to_have_count(1)
    expect(rows(page)).to_contain_text(trips.waiting)


# --- one task


def open_timeline(page: Page, trips: Trips, workflow_id: str) -> None:
    """Opens the timeline in a window that is high enough for all of it: the Web UI draws what is seen."""
    page.set_viewport_size({**WINDOW, "height": 3000})
    open_tab(page, trips, workflow_id, "timeline")


def test_the_timeline_says_who_did_what(page: Page, trips: Trips) -> None:
    open_timeline(page, trips, trips.booked)
    for summary in (
        "trip.book_hotel • trip.hotel_agent uses trip.book_hotel",
        "trip.booked • check car",
        "counterstep.call_model • trip.planner, turn 1",
    ):
        expect(page.get_by_text(summary, exact=True)).to_be_visible()
    picture(page, "timeline", below="Timeline")


def test_the_undos_of_a_failed_task_are_seen_in_their_order(page: Page, trips: Trips) -> None:
    open_timeline(page, trips, trips.undone)
    undos = page.get_by_text(re.compile(r" • undo [\w/.]+$"))
    expect(undos).to_have_count(7)
    newest_first = sorted((place_of(undo)["y"], undo.inner_text()) for undo in undos.all())
    shown = [text for _, text in reversed(newest_first)]
    assert shown[0] == "counterstep.retract • undo plan"
    # All bookings are cancelled; the output of an agent is withdrawn once its own is.
    assert sorted(shown[1:]) == [
        f"{undo} • undo {step}{call}"
        for undo, call in (("counterstep.retract", ""), ("trip.cancel_booking", "/tool.2"))
        for step in ("car", "flight", "hotel")
    ]
    for step in ("car", "flight", "hotel"):
        cancelled = shown.index(f"trip.cancel_booking • undo {step}/tool.2")
        assert cancelled < shown.index(f"counterstep.retract • undo {step}")
    picture(page, "undos", below="Timeline")


def place_of(element: Locator) -> FloatRect:
    """Where an element is on the page."""
    box = element.bounding_box()
    assert box is not None
    return box


def test_a_failed_task_says_why(page: Page, trips: Trips) -> None:
    open_tab(page, trips, trips.undone, "timeline")
    result = page.get_by_role("textbox", name="Result")
    expect(result).to_contain_text("the trip costs 720 EUR, and the budget is 500 EUR")


def test_the_board_of_a_failed_task(page: Page, trips: Trips) -> None:
    open_tab(page, trips, trips.undone, "user-metadata")
    board = details(page, "current-details")
    expect(board.locator("strong").first).to_have_text("trip.trip")
    expect(board.get_by_role("listitem").filter(has_text="plan undone, by trip.planner")).to_be_visible()
    undos = board.get_by_role("listitem").filter(has_text=re.compile("by (trip.cancel|counterstep.retract)"))
    expect(undos).to_have_count(7)
    expect(undos.first).to_contain_text("plan undone, by counterstep.retract, begun ")
    expect(board.get_by_text("First failure:")).to_be_visible()
    picture(page, "board-rolled-back", below="Current Details")


def test_the_board_of_a_waiting_task_has_its_question(page: Page, trips: Trips) -> None:
    open_tab(page, trips, trips.waiting, "user-metadata")
    expect(details(page, "summary").get_by_text("trip.confirmed_trip")).to_be_visible()
    cancelling = "Request Cancellation undoes what the task has done"
    expect(details(page, "details").get_by_role("listitem").first).to_contain_text(cancelling)
    question = details(page, "current-details").get_by_role("listitem").first
    expect(question).to_contain_text("confirm: Pay 720 EUR for this trip?")
    expect(question.locator("code")).to_have_text(f"counterstep decide {trips.waiting} confirm ACTION")
    picture(page, "board-waiting", below="Current Details")


def test_the_search_attributes_of_a_task(page: Page, trips: Trips) -> None:
    open_tab(page, trips, trips.waiting, "search-attributes")
    for line in ('"SagaState": "waiting"', '"SagaStep": "confirm"', '"SagaTask": "trip.confirmed_trip"'):
        expect(page.get_by_text(line)).to_be_visible()
