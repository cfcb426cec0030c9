"""Pydantic's payload converter, made once a process."""

from __future__ import annotations

from temporalio.contrib.pydantic import PydanticPayloadConverter

_MADE = PydanticPayloadConverter()


class SharedPydanticConverter(PydanticPayloadConverter):
    """What `PydanticPayloadConverter` is; all of a process share their parts.

    The SDK makes a converter for each workflow task and for each call, and each of the original has to find
    out anew how every type is read.
    """

    def __init__(self) -> None:
        """Makes a converter of the shared parts."""
        self.converters = _MADE.converters
