"""Secrets never travel masked, through whichever door, and strict types read what they have written."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, SecretStr, TypeAdapter, ValidationError
from temporalio import activity

from counterstep import DefinitionError
from counterstep.client.payload import as_payload
from counterstep.saga.effect import Effect
from counterstep.saga.errors import SpecError
from counterstep.saga.json_value import is_masked_in, read_json, write_json
from counterstep.saga.own_workflows.call_target import CallTarget
from counterstep.saga.spec.catalog import ToolEntry


class Login(BaseModel):
    user: str
    token: SecretStr


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)
    when: date


LOGIN = Login(user="ada", token=SecretStr("tok-123"))
TOOL = ToolEntry(name="t.sign_in", description="", effect=Effect.READ_ONLY, parameters=("login",))


@activity.defn
def sign_in(login: Any) -> None: ...


def test_what_a_client_sends_is_refused_where_a_secret_would_be_masked() -> None:
    assert as_payload({"user": "ada"}, "input") == {"user": "ada"}
    with pytest.raises(SpecError, match=r"input.*a secret in it would be masked"):
        as_payload({"login": LOGIN}, "input")


def test_arguments_of_a_saga_are_refused_where_a_secret_would_be_masked() -> None:
    bundled, plain = CallTarget("t.sign_in", TOOL, "t.sign_in"), CallTarget("sign_in", None, sign_in)
    for engine in (1, 2):
        # Tasks under way go on as they began.
        masked = {"login": {"user": "ada", "token": "**********"}}
        assert bundled.arguments((LOGIN,), {}, engine=engine) == masked
        assert plain.named((LOGIN,), engine=engine) == masked
    with pytest.raises(DefinitionError, match=r"t\.sign_in .*a secret in it would be masked"):
        bundled.arguments((), {"login": LOGIN}, engine=3)
    with pytest.raises(DefinitionError, match=r"sign_in .*a secret in it would be masked"):
        plain.named((LOGIN,), engine=3)
    assert plain.named(("**********",), engine=3) == {"login": "**********"}


def test_a_converter_that_does_not_mask_is_left_alone() -> None:
    assert is_masked_in(LOGIN, b'{"user":"ada","token":"**********"}')
    assert not is_masked_in(LOGIN, b"\x01encrypted")
    assert not is_masked_in({"token": "**********"}, b'{"token":"**********"}')


def test_a_strict_type_reads_what_it_has_written() -> None:
    type_ = TypeAdapter(Strict)
    strict = Strict(when=date(2026, 1, 2))
    assert read_json(type_, write_json(strict)) == strict
    for wrong in ({"when": 1}, {"when": "x"}, {}, {"when": "\ud83d"}):
        with pytest.raises(ValidationError):
            read_json(type_, wrong)
