"""How long a task, or a call, of a name that a worker does not know waits for another worker."""

from __future__ import annotations

from datetime import timedelta

PATIENCE = timedelta(minutes=10)
"""A deployment that is still rolling may bring a worker that knows the task, or the activity."""

PAUSE = timedelta(seconds=10)
"""How long a call of a name that a worker does not know waits before it is offered to the workers again."""
