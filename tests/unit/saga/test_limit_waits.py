"""How long it is waited for what the tasks of a pool share."""

from __future__ import annotations

from datetime import timedelta

from counterstep.saga.calls.limit_waits import LEAST_WAIT, least_wait


def test_who_has_waited_often_looks_again_more_seldom() -> None:
    assert [least_wait(times) for times in range(1, 11)] == [LEAST_WAIT] * 10
    later = [least_wait(times) for times in (11, 12, 18, 19, 100_000)]
    assert later == [timedelta(seconds=seconds) for seconds in (2, 4, 256, 300, 300)]
