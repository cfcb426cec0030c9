"""How long calls of each kind are waited for, and how often they are tried, where nothing else is said."""

from __future__ import annotations

from datetime import timedelta

from ..spec.retry import Retry

DEFAULT_TIMEOUT = timedelta(seconds=60)
"""The longest time that one attempt of a call may take."""

HEARTBEAT = timedelta(seconds=10)
"""A worker that sends no heartbeat for this long is taken for dead, and its calls are given to another."""

GRACE = timedelta(seconds=2)
"""How long after its timeout a call is still expected to land."""

FORWARD_RETRY = Retry()
"""A call of a tool, or of an agent that is Python code."""

UNDO_RETRY = Retry(attempts=10, initial=timedelta(seconds=1), factor=2, max=timedelta(minutes=1))
"""An undo is tried for about five minutes before it counts as stuck."""

MODEL_RETRY = Retry(attempts=6, initial=timedelta(seconds=1), factor=2, max=timedelta(seconds=30))
"""A request to a model; a pause that the provider asks for goes first."""

CHECK_TIMEOUT = DEFAULT_TIMEOUT
"""The longest time that one attempt of a validator may take."""

CHECK_RETRY = Retry()
"""A validator that breaks down."""

PIVOT_RETRY = Retry(attempts=1)
"""A pivot that is not declared idempotent: nobody knows what a second attempt would do."""
