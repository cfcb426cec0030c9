"""The payload converter of a process."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel
from temporalio.contrib.pydantic import PydanticPayloadConverter

from counterstep.runtime.payload_converter import SharedPydanticConverter


class Model(BaseModel):
    number: int


@dataclass
class Plain:
    text: str


VALUES = [Model(number=7), Plain("a"), {"a": [1, None, 2.5]}, None, b"bytes"]


def test_it_writes_and_reads_what_the_original_does() -> None:
    original, ours = PydanticPayloadConverter(), SharedPydanticConverter()
    payloads = original.to_payloads(VALUES)
    assert ours.to_payloads(VALUES) == payloads
    hints: list[type] = [Model, Plain, dict, type(None), bytes]
    assert ours.from_payloads(payloads, hints) == original.from_payloads(payloads, hints) == VALUES


def test_how_a_type_is_read_is_found_out_once_a_process() -> None:
    assert SharedPydanticConverter().converters == SharedPydanticConverter().converters
    assert PydanticPayloadConverter().converters != PydanticPayloadConverter().converters
