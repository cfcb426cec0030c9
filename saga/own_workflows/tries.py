"""How often a call of a saga is tried, and how long one attempt may take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pydantic import ValidationError
from temporalio.common import RetryPolicy

from ..duration import parse_duration
from ..errors import DefinitionError
from ..fault_texts import faults_in
from ..spec.retry import Retry


@dataclass(frozen=True, slots=True)
class Tries:
    """What one call says of its attempts; None for what its declaration, or the default, says.

    Attributes:
        retry: How often and how fast it is tried.
        timeout: The longest one attempt may take.
    """

    retry: Retry | None = None
    timeout: timedelta | None = None

    def with_options(self, name: str, options: Mapping[str, Any]) -> dict[str, Any]:
        """Adds them to Temporal's options of a plain activity.

        Raises:
            DefinitionError: The same is said twice.
        """
        found = dict(options)
        if self.timeout is not None:
            _add(name, found, "timeout", "start_to_close_timeout", self.timeout)
        if self.retry is not None:
            policy = RetryPolicy(
                initial_interval=self.retry.initial,
                backoff_coefficient=self.retry.factor,
                maximum_interval=max(self.retry.max, self.retry.initial),
                maximum_attempts=self.retry.attempts,
            )
            _add(name, found, "retry", "retry_policy", policy)
        return found


def tries_of(retry: Retry | Mapping[str, Any] | None, timeout: timedelta | str | None) -> Tries:
    """Reads what a call says.

    Raises:
        DefinitionError: It has another shape than in a spec.
    """
    try:
        read = None if retry is None else Retry.model_validate(retry)
    except ValidationError as error:
        raise DefinitionError(f"retry: {faults_in(error, 'the value')}") from None
    try:
        return Tries(read, None if timeout is None else parse_duration(timeout))
    except ValueError as error:
        raise DefinitionError(f"timeout: {error}") from None


def _add(name: str, options: dict[str, Any], ours: str, theirs: str, value: Any) -> None:
    if theirs in options:
        raise DefinitionError(f"{name}: say {ours} or {theirs}, not both")
    options[theirs] = value
