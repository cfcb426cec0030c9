"""`make demo` notices when the rows are not as promised."""

from __future__ import annotations

from examples.trip import demo
from examples.trip.store import BOOKED, CANCELLED, BookingRow


def _row(kind: str, state: str) -> BookingRow:
    return BookingRow(booking_id=1, key=kind, trip="t", kind=kind, offer="x", what="X", price=1, state=state)


def test_the_demo_says_what_is_not_as_promised() -> None:
    success, failure = demo.SCENES
    shelf = {f"{kind} x": 9 for kind in demo.KINDS}
    booked = [_row(kind, BOOKED) for kind in demo.KINDS]
    undone = [_row(kind, CANCELLED) for kind in demo.KINDS]
    one_less = dict.fromkeys(shelf, 8)
    assert demo.differences(success, "completed", booked, shelf, one_less) == []
    assert demo.differences(failure, "rolled_back", undone, shelf, shelf) == []
    assert demo.differences(failure, "completed", undone, shelf, shelf) == [
        "the task must end rolled_back, and it is completed"
    ]
    assert demo.differences(success, "completed", booked, shelf, shelf) == [
        f"of {offer} 8 must be left, and 9 are" for offer in shelf
    ]
    assert demo.differences(failure, "rolled_back", undone[1:], shelf, shelf) == [
        f"one {undone[0].kind} must be cancelled; the rows say nothing"
    ]
    assert demo.differences(failure, "rolled_back", [*undone, booked[0]], shelf, shelf) == [
        f"one {booked[0].kind} must be cancelled; the rows say cancelled, booked",
        f"of {booked[0].kind} x 8 must be left, and 9 are",
    ]
