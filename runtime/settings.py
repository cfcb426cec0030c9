"""The settings from environment variables, for the worker, its health check and the command line only."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from ..saga.duration import Duration
from ..saga.errors import CounterstepError, Fault
from ..saga.limits.unpriced import IGNORED, UnpricedModels

PREFIX = "COUNTERSTEP_"

SECRET_FILE = re.compile(r"^(\w+_(?:API_KEY|ACCESS_KEY|PASSWORD|SECRET))_FILE$")
"""``OPENAI_API_KEY_FILE`` names the file that holds ``OPENAI_API_KEY``."""

ELSEWHERE = frozenset({f"{PREFIX}DECISION_TOKEN"})
"""Variables of ours that are options of commands."""

LARGEST_SECRET = 10_000
"""Bytes of such a file; a larger one is something else."""


class SettingsError(CounterstepError):
    """Raised when environment variables cannot be used.

    Attributes:
        faults: All faults that were found; the `path` of each is the name of its variable.
    """

    def __init__(self, faults: Sequence[Fault]) -> None:
        """Joins the faults into one message.

        Args:
            faults: The faults; at least one.
        """
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


def split_names(value: Any) -> Any:
    """Splits a list of names at its commas and ignores the spaces around each name.

    Args:
        value: Text, or anything else, which is returned as it is.

    Returns:
        A tuple of names.

    Raises:
        ValueError: One of the names is empty.
    """
    if not isinstance(value, str):
        return value
    names = tuple(name.strip() for name in value.split(","))
    if not all(names):
        raise ValueError(f"there is an empty name between the commas of {value!r}")
    return names


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def variable_of(field: str) -> str:
    """Returns the name of the variable that a setting is read from.

    Args:
        field: The field of `Settings`.
    """
    return f"{PREFIX}{field.upper()}"


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(split_names)]
LogFormat = Annotated[Literal["console", "json"], BeforeValidator(_lower)]
LogLevel = Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)]
SignIn = Annotated[Literal["local", "header"], BeforeValidator(_lower)]
Header = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,100}$")]


class Settings(BaseSettings):
    """The settings that come from the variables ``COUNTERSTEP_*``; each variable has the name of its field.

    Temporal's own settings (address, namespace, TLS, API key) are Temporal's own variables.

    Attributes:
        bundles: What to offer, as ``module:attribute`` or by the name of an installed bundle.
        model: litellm names as a fallback chain, for agents that name none.
        task_queue: The queue of the workers.
        codec: The payload codec of clients and workers, as ``module:attribute``.
        inline_specs: Whether workers run specs that callers bring.
        log_format: ``console`` or ``json``.
        log_level: The lowest level that is logged.
        graceful_shutdown: How long running calls may take to finish once a worker is asked to stop.
        decision_keys: A file with a JWKS, or its http(s) address: tasks take only decisions that are signed
            with one of its keys.
        decision_audience: What the ``aud`` of a signed decision has to name.
        notify_url: The webhook that is told when tasks wait for people.
        notify_secret: What that is signed with: ``whsec_`` and base64.
        inbox_url: Where people find the inbox; links to it begin with this.
        inbox_sign_in: Who says who somebody is: a ``header`` of a proxy, or a ``local`` login.
        inbox_trusted_proxies: The addresses and networks of that proxy.
        inbox_user_header: The header with the name.
        inbox_groups_header: The header with the roles.
        inbox_secret: Signs the cookies of the inbox; without it they count until it is started again.
        inbox_signing_key: The file with the private JWK that signs what people decide in the inbox.
        web_ui_url: The address of Temporal's Web UI.
        limits: The file with the limits that all workers share, and with what opens breakers.
        redis_url: The Redis in which workers share them; without it each worker has its own.
        unpriced_models: How models without a known price are treated.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        alias_generator=variable_of,
        validate_by_name=True,
        case_sensitive=True,
        validate_default=False,
    )

    bundles: Names = ()
    model: Names = ()
    task_queue: Annotated[str, Field(max_length=1000)] = "counterstep"
    codec: str | None = None
    inline_specs: bool = False
    log_format: LogFormat = "console"
    log_level: LogLevel = "info"
    graceful_shutdown: Duration = timedelta(seconds=30)
    decision_keys: str | None = None
    decision_audience: str | None = None
    notify_url: str | None = None
    notify_secret: SecretStr | None = None
    inbox_url: str | None = None
    inbox_sign_in: SignIn = "local"
    inbox_trusted_proxies: Names = ()
    inbox_user_header: Header = "X-Forwarded-User"
    inbox_groups_header: Header = "X-Forwarded-Groups"
    inbox_secret: Annotated[SecretStr, Field(min_length=32)] | None = None
    inbox_signing_key: Path | None = None
    web_ui_url: str | None = None
    limits: Path | None = None
    redis_url: SecretStr | None = None
    unpriced_models: Annotated[UnpricedModels, NoDecode] = IGNORED

    @property
    def store(self) -> str | None:
        """The address of the Redis as its client takes it; None without one."""
        return None if self.redis_url is None else self.redis_url.get_secret_value()

    @model_validator(mode="after")
    def _go_together(self) -> Settings:
        if (self.notify_url is None) != (self.notify_secret is None):
            raise ValueError(
                "COUNTERSTEP_NOTIFY_URL and COUNTERSTEP_NOTIFY_SECRET belong together: what is told is signed"
            )
        return self

    @model_validator(mode="before")
    @classmethod
    def _leave_blanks_out(cls, given: dict[str, Any]) -> dict[str, Any]:
        stripped = {name: value.strip() if isinstance(value, str) else value for name, value in given.items()}
        return {name: value for name, value in stripped.items() if value != ""}


def read_settings() -> Settings:
    """Reads the settings and the secrets that are kept in files; a blank variable counts as not set.

    A secret from a file is set as the variable that its users read: ``OPENAI_API_KEY_FILE`` names the file
    from which `OPENAI_API_KEY` is set.

    Returns:
        The settings. The fields that were set are in its ``model_fields_set``.

    Raises:
        SettingsError: Some variables cannot be used; the error names all of them.
    """
    secrets, faults = _read_secrets(os.environ)
    faults += _misspelt(os.environ)
    fields = {variable_of(field) for field in Settings.model_fields}
    own: dict[str, Any] = {name: secret for name, secret in secrets.items() if name in fields}
    try:
        settings = Settings(**own)
    except ValidationError as error:
        raise SettingsError(
            [*(_fault(dict(item)) for item in error.errors(include_url=False)), *faults]
        ) from None
    if faults:
        raise SettingsError(faults)
    os.environ.update({name: secret for name, secret in secrets.items() if name not in own})
    return settings


def _misspelt(variables: Mapping[str, str]) -> list[Fault]:
    """Finds misspelt variables of ours.

    A variable that only begins like ours is left alone: it may belong to a bundle, for example.
    """
    known = [variable_of(name) for name in Settings.model_fields]
    faults = []
    in_files = {f"{name}_FILE" for name in known if SECRET_FILE.match(f"{name}_FILE")}
    for name in sorted(set(variables) - set(known) - in_files - ELSEWHERE):
        if not name.startswith(PREFIX):
            continue
        near = get_close_matches(
            name[len(PREFIX) :][:100], [other[len(PREFIX) :] for other in known], 1, 0.65
        )
        if near:
            faults.append(Fault(name, f"there is no such setting; did you mean {PREFIX}{near[0]}?"))
    return faults


def _read_secrets(variables: Mapping[str, str]) -> tuple[dict[str, str], list[Fault]]:
    secrets, faults = {}, []
    for variable, path in sorted(variables.items()):
        match = SECRET_FILE.match(variable)
        if match is None or not path.strip():
            continue
        known = variables.get(match[1], "").strip()
        fault = f"{match[1]} is set as well; only one of the two can count" if known else ""
        try:
            secret = _read_secret(Path(path.strip()))
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            faults.append(Fault(variable, fault or f"{path.strip()!r} cannot be used: {reason}"))
            continue
        if known == secret:
            continue  # the settings are read again, and were put there the first time
        if fault:
            faults.append(Fault(variable, fault))
        secrets[match[1]] = secret
    return secrets, faults


def _read_secret(path: Path) -> str:
    with path.open("rb") as file:
        content = file.read(LARGEST_SECRET + 1)
    if len(content) > LARGEST_SECRET:
        raise ValueError(f"it has more than {LARGEST_SECRET} bytes")
    try:
        secret = content.decode().strip()
    except UnicodeDecodeError:
        raise ValueError("it is not text") from None
    if not secret:
        raise ValueError("it is empty")
    if not secret.isprintable():
        raise ValueError("it has more than one line")
    return secret


def _fault(error: dict[str, Any]) -> Fault:
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "literal_error":
        message = f"must be {error['ctx']['expected']}, not {error['input']!r}"
    elif error["type"] == "bool_parsing":
        message = f"must be true or false, not {error['input']!r}"
    # What does not go together has no place of its own.
    return Fault(str(error["loc"][0]) if error["loc"] else "the settings", message)
