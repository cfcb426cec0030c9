"""A data converter that hides payloads from the server: encrypted for a workflow, large ones elsewhere."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Self

from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import PydanticPayloadConverter
from temporalio.converter import (
    DataConverter,
    ExternalStorage,
    PayloadCodec,
    SerializationContext,
    StorageDriver,
    StorageDriverClaim,
    StorageDriverRetrieveContext,
    StorageDriverStoreContext,
    WithSerializationContext,
)

_ENCODING = b"binary/locked"


class Lock(PayloadCodec, WithSerializationContext):
    """Encrypts, after a fashion, with a key of each workflow's own; it takes nothing else."""

    def __init__(self, owner: str = "") -> None:
        self._owner = owner

    def with_context(self, context: SerializationContext) -> Self:
        return type(self)(str(getattr(context, "workflow_id", "")))

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [
            Payload(metadata={"encoding": _ENCODING}, data=self._turn(payload.SerializeToString()))
            for payload in payloads
        ]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [self._unlocked(payload) for payload in payloads]

    def _unlocked(self, payload: Payload) -> Payload:
        if payload.metadata["encoding"] != _ENCODING:
            raise RuntimeError("this was not locked")
        return Payload.FromString(self._turn(payload.data))

    def _turn(self, data: bytes) -> bytes:
        key = hashlib.shake_256(self._owner.encode()).digest(len(data))
        return bytes(a ^ b for a, b in zip(data, key, strict=True))


class Drawer(StorageDriver):
    """Keeps payloads in memory.

    Attributes:
        kept: By name.
    """

    def __init__(self) -> None:
        self.kept: dict[str, Payload] = {}

    def name(self) -> str:
        return "drawer"

    async def store(
        self, context: StorageDriverStoreContext, payloads: Sequence[Payload]
    ) -> list[StorageDriverClaim]:
        claims = []
        for payload in payloads:
            name = hashlib.sha256(payload.SerializeToString()).hexdigest()
            self.kept[name] = Payload.FromString(payload.SerializeToString())  # the caller changes his
            claims.append(StorageDriverClaim({"name": name}))
        return claims

    async def retrieve(
        self, context: StorageDriverRetrieveContext, claims: Sequence[StorageDriverClaim]
    ) -> list[Payload]:
        return [self.kept[claim.claim_data["name"]] for claim in claims]


def vault(drawer: Drawer) -> DataConverter:
    """A converter with both; what has more than 1 KB goes into the drawer."""
    storage = ExternalStorage(drivers=[drawer], payload_size_threshold=1000)
    return DataConverter(
        payload_converter_class=PydanticPayloadConverter, payload_codec=Lock(), external_storage=storage
    )


def is_readable(events: Sequence[Any], text: str) -> bool:
    """Says whether a text stands in the clear somewhere in events."""
    return any(text.encode() in event.SerializeToString() for event in events)
