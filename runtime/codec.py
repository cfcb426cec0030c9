"""Payload codecs: loads the one that is named, and says in one sentence what cannot be decoded."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.converter import DataConverter, PayloadCodec

from ..saga.errors import CounterstepError, DefinitionError

_PLAIN = {"json/plain", "json/protobuf", "binary/null", "binary/plain", "binary/protobuf"}
"""What Temporal's own converter reads."""

_HOW = "name the codec of the task's workers with --codec or COUNTERSTEP_CODEC"


class PayloadUnreadable(CounterstepError):
    """Raised when what the server keeps cannot be decoded here."""


class ExplainingConverter(DataConverter):
    """Decodes as Temporal's own converter does, and raises `PayloadUnreadable` where that is not possible.

    How a task or an update has failed is told as far as it can be read; its type is never encoded.
    """

    async def encode(self, values: Sequence[Any]) -> list[Payload]:
        """See base class."""
        try:
            return await super().encode(values)
        except Exception as error:
            if self.payload_codec is None:
                raise
            raise DefinitionError(
                f"the codec cannot encode, so nothing was sent: {_reason(error)}"
            ) from error

    async def decode(self, payloads: Sequence[Payload], type_hints: list[type] | None = None) -> list[Any]:
        """See base class."""
        try:
            return await super().decode(payloads, type_hints)
        except Exception as error:
            why = await self._why(payloads)
            if not why:
                raise
            raise PayloadUnreadable(why) from error

    async def decode_failure(self, failure: Failure) -> BaseException:
        """See base class."""
        whole = Failure()
        whole.CopyFrom(failure)  # decoding changes it
        try:
            return await super().decode_failure(failure)
        except Exception:
            _leave_out_encoded(whole)
            return self.failure_converter.from_failure(whole, self.payload_converter)

    async def _why(self, payloads: Sequence[Payload]) -> str:
        """Says why payloads cannot be decoded; empty where they can, and do not fit what they are for."""
        decoded = list(payloads)
        try:
            if self.payload_codec is not None:
                decoded = await self.payload_codec.decode(decoded)
        except Exception as error:
            return f"The codec cannot decode what the server has: {_reason(error)}."
        encodings = {payload.metadata.get("encoding", b"").decode(errors="replace") for payload in decoded}
        strange = ", ".join(sorted(encodings - _PLAIN))
        return (
            f"What the server has is encoded ({strange}) and cannot be read here: {_HOW}." if strange else ""
        )


def explaining_converter(codec: PayloadCodec | None) -> DataConverter:
    """Returns Temporal's own data converter with a codec, which explains what it cannot read."""
    return ExplainingConverter(payload_codec=codec)


def load_codec(reference: str) -> PayloadCodec:
    """Imports a payload codec.

    Args:
        reference: ``module:attribute``; the working directory is searched as well. The attribute is a codec,
            or a class or function that makes one without arguments.

    Returns:
        The codec.

    Raises:
        DefinitionError: The reference is malformed, cannot be imported, or is not a codec.
    """
    module_name, _, attribute = reference.partition(":")
    if not attribute or not all(part.isidentifier() for part in module_name.split(".")):
        raise DefinitionError(
            f"codec {reference!r}: write it as module:attribute, e.g. shop.codec:Encryption"
        )
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        found: Any = importlib.import_module(module_name)
        for name in attribute.split("."):
            found = getattr(found, name)
        codec = found if isinstance(found, PayloadCodec) or not callable(found) else found()
    except (Exception, SystemExit) as error:
        raise DefinitionError(f"codec {reference!r} cannot be made: {_reason(error)}") from error
    if not isinstance(codec, PayloadCodec):
        message = f"is of type {type(codec).__name__}, not a temporalio.converter.PayloadCodec"
        raise DefinitionError(f"codec {reference!r}: it {message}")
    return codec


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".rstrip(". :")


def _leave_out_encoded(failure: Failure) -> None:
    """Takes out of a failure, and of its causes, what only a codec could read."""
    part: Failure | None = failure
    while part is not None:
        if part.HasField("encoded_attributes"):
            part.ClearField("encoded_attributes")
            part.message = f"its message is encoded; {_HOW}"
        if part.HasField("application_failure_info"):
            part.application_failure_info.ClearField("details")
        if part.HasField("timeout_failure_info"):
            part.timeout_failure_info.ClearField("last_heartbeat_details")
        if part.HasField("canceled_failure_info"):
            part.canceled_failure_info.ClearField("details")
        part = part.cause if part.HasField("cause") else None
