"""What a workflow is given that was started without an argument."""

from __future__ import annotations

from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue

NOTHING = RawValue(Payload(metadata={"encoding": b"binary/null"}))
"""The default of an argument: without one such a workflow would fail its first workflow task for ever."""
