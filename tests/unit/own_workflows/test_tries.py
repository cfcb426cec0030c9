"""What a call of a saga says of its attempts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from counterstep import DefinitionError
from counterstep.saga.own_workflows.tries import Tries, tries_of
from counterstep.saga.spec.timeout import Calibrated


def test_a_timeout_is_a_duration_or_as_measured() -> None:
    assert tries_of(None, "30s").timeout == timedelta(seconds=30)
    assert tries_of(None, timedelta(seconds=2)).timeout == timedelta(seconds=2)
    assert tries_of(None, " p95 ").timeout == Calibrated(percentile=95)
    found = tries_of(None, {"percentile": 50, "floor": "1s", "ceiling": "4s"}).timeout
    assert found == Calibrated(percentile=50, floor=timedelta(seconds=1), ceiling=timedelta(seconds=4))


@pytest.mark.parametrize(
    ("timeout", "why"),
    [
        ("soon", "timeout: "),
        ("p10", "timeout: percentile: "),
        ({"percentile": 95, "flor": "1s"}, "flor: "),
        ({"percentile": 95, "settled": {"desk.put": "1s"}}, "there is no key 'settled' here"),
        ({"percentile": 95, "floor": "3m"}, "the floor 3m is above the ceiling 2m"),
    ],
)
def test_any_other_timeout_is_refused(timeout: Any, why: str) -> None:
    with pytest.raises(DefinitionError, match="timeout: ") as caught:
        tries_of(None, timeout)
    assert why in str(caught.value)


def test_a_measured_timeout_is_an_option_of_temporals_too() -> None:
    tries = tries_of(None, "p95")
    assert tries.with_options("mine", {}) == {"start_to_close_timeout": timedelta(minutes=1)}
    with pytest.raises(DefinitionError, match="mine: say timeout or start_to_close_timeout, not both"):
        tries.with_options("mine", {"start_to_close_timeout": timedelta(seconds=1)})
    measured = Calibrated(percentile=95, settled={"mine": timedelta(seconds=9)})
    assert Tries(timeout=measured).with_options("mine", {})["start_to_close_timeout"] == timedelta(seconds=9)
