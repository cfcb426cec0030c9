"""Idempotency keys."""

from __future__ import annotations

import hashlib
import json


def idempotency_key(root: str, path: str, round_: int) -> str:
    """Names one call for ever.

    The same over retries, worker kills, continue-as-new and reset, because nothing in it changes with them;
    different between ``for_each`` items (they are in `path`) and re-runs after an undo (they are rounds).

    Args:
        root: The parent's key, or the first execution run id of a task without a parent.
        path: The call's place in the task, e.g. ``book[2]/tool.1``.
        round_: 1 for the first run of the step, plus 1 for each re-run after an undo.

    Returns:
        32 hexadecimal digits: SHA-256 (FIPS 180-4) cut to 128 bits.
    """
    return hashlib.sha256(json.dumps([root, path, round_]).encode()).hexdigest()[:32]
