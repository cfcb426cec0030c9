"""What an exception means is found in it and in its causes, however these hang together."""

from __future__ import annotations

import pytest

from counterstep.saga.engine.lifecycle import failure_of
from counterstep.saga.failure import Failed, Failure
from counterstep.saga.temporal.call_failed import CallFailed

FAILURE = Failure(step="a", type="Final", message="no")


@pytest.mark.timeout(10)
def test_an_exception_that_is_its_own_cause() -> None:
    failed = Failed(FAILURE)
    failed.__cause__ = failed
    assert failure_of(failed) == FAILURE


def test_what_a_framework_has_wrapped_is_that_failure() -> None:
    wrapped, outer = RuntimeError("an agent failed"), RuntimeError("a run failed")
    outer.__cause__, wrapped.__cause__ = wrapped, CallFailed(FAILURE, in_framework=True)
    assert failure_of(outer) == FAILURE
    wrapped.__cause__ = CallFailed(FAILURE)
    assert failure_of(outer).type == "RuntimeError"
