"""What environment variables say; read by the worker and the command line only."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from .saga.duration import Duration
from .saga.errors import CounterstepError, Fault

PREFIX = "COUNTERSTEP_"


class SettingsError(CounterstepError):
    """Environment variables that cannot be used.

    Attributes:
        faults: All of them; `path` is the variable's name.
    """

    def __init__(self, faults: Sequence[Fault]) -> None:
        """Args: faults: at least one."""
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


def split_names(value: Any) -> Any:
    """Reads names that commas separate; spaces around them do not count.

    Args:
        value: Text, or anything else, which is returned as it is.

    Returns:
        A tuple of names.

    Raises:
        ValueError: A name is empty.
    """
    if not isinstance(value, str):
        return value
    names = tuple(name.strip() for name in value.split(","))
    if not all(names):
        raise ValueError(f"there is an empty name between the commas of {value!r}")
    return names


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(split_names)]
LogFormat = Annotated[Literal["console", "json"], BeforeValidator(_lower)]
LogLevel = Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)]


class Settings(BaseModel):
    """The variables ``COUNTERSTEP_*``, each named like its field.

    Temporal's own settings (address, namespace, TLS, API key) are Temporal's own variables.

    Attributes:
        bundles: What to offer, as ``module:attribute``.
        model: litellm names as a fallback chain, for agents that name none.
        task_queue: The queue of the workers.
        inline_specs: Whether workers run specs that callers bring.
        log_format: ``console`` or ``json``.
        log_level: The least level that is logged.
        graceful_shutdown: How long running calls may take to finish once a worker is asked to stop.
    """

    model_config = ConfigDict(frozen=True)

    bundles: Names = ()
    model: Names = ()
    task_queue: Annotated[str, Field(max_length=1000)] = "counterstep"
    inline_specs: bool = False
    log_format: LogFormat = "console"
    log_level: LogLevel = "info"
    graceful_shutdown: Duration = timedelta(seconds=30)


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Reads the settings; a variable that is blank counts as not set.

    Args:
        environment: The variables; the process's own where not given.

    Returns:
        The settings. Those that were set are in its ``model_fields_set``.

    Raises:
        SettingsError: With every variable that cannot be used.
    """
    variables = os.environ if environment is None else environment
    given = {name: variables.get(_variable(name), "").strip() for name in Settings.model_fields}
    try:
        return Settings.model_validate({name: value for name, value in given.items() if value})
    except ValidationError as error:
        raise SettingsError([_fault(dict(item)) for item in error.errors(include_url=False)]) from None


def _variable(field: str) -> str:
    return f"{PREFIX}{field.upper()}"


def _fault(error: dict[str, Any]) -> Fault:
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "literal_error":
        message = f"must be {error['ctx']['expected']}, not {error['input']!r}"
    elif error["type"] == "bool_parsing":
        message = f"must be true or false, not {error['input']!r}"
    return Fault(_variable(str(error["loc"][0])), message)
