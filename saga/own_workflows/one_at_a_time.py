"""A workflow has one open saga at a time."""

from __future__ import annotations

from collections.abc import Sequence

from ..engine.run_context import OPENED
from ..errors import DefinitionError
from ..record.task_state import ENDED


def expect_no_other(opening: Sequence[object]) -> None:
    """Refuses a saga while another one is open: only one can answer the workflow's updates.

    Args:
        opening: The sagas of this workflow that are being opened.

    Raises:
        DefinitionError: There is another one.
    """
    if opening or any(context.record.state not in ENDED for context in OPENED.get() or []):
        raise DefinitionError(
            "a saga is open in this workflow already: make the calls with that; another may be opened "
            "once it has ended, or in a child workflow"
        )
