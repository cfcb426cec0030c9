"""As much of what a task has left behind as one answer holds."""

from __future__ import annotations

from collections.abc import Sequence

from temporalio import activity

from ...histories.outstanding import OutstandingEffect
from ...histories.payload_reader import PayloadReader
from ...saga.ledger.effect_to_undo import EffectToUndo
from ...saga.limits.payload_size import MAX_PAYLOAD

MOST_ENTRIES = 200
"""The order among them is worked out in the workflow, pair by pair."""

_ROOM = 0.9 * MAX_PAYLOAD


async def newest_of(
    left: Sequence[OutstandingEffect], reader: PayloadReader
) -> tuple[tuple[EffectToUndo, ...], bool]:
    """Reads the newest effects, at most about 0.9 MB of them.

    Args:
        left: All of them, newest first.
        reader: Reads what their undos need to be told.

    Returns:
        They, in the order in which they came about, and whether there are older ones.
    """
    entries: list[EffectToUndo] = []
    size = 0
    for item in left[:MOST_ENTRIES]:
        recovered = await reader.recovered(item)
        activity.heartbeat()
        size += len(recovered.model_dump_json().encode())
        if entries and size > _ROOM:
            break
        entries.append(recovered)
    return tuple(reversed(entries)), len(entries) < len(left)
