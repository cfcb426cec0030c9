"""What is shown of a value: itself, or its size where it is too large."""

from __future__ import annotations

import json
from typing import Any


def bounded(value: Any, most: int) -> Any:
    """Returns a JSON value if it has at most `most` characters, else a sentence that tells its size."""
    size = len(json.dumps(value, ensure_ascii=False))
    return value if size <= most else f"{size} bytes: too large for the board, see the history"
