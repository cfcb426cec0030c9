"""How often a call of a saga is tried, and how long one attempt may take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pydantic import ValidationError
from temporalio.common import RetryPolicy

from ..calls.timeouts_and_retries import DEFAULT_TIMEOUT
from ..duration import parse_duration
from ..errors import DefinitionError
from ..fault_texts import faults_in
from ..spec.retry import Retry
from ..spec.timeout import Calibrated, Limit, in_full, time_for


@dataclass(frozen=True, slots=True)
class Tries:
    """What one call says of its attempts; None for what its declaration, or the default, says.

    Attributes:
        retry: How often and how fast it is tried.
        timeout: The longest one attempt may take, also as measured.
    """

    retry: Retry | None = None
    timeout: Limit | None = None

    def with_options(self, name: str, options: Mapping[str, Any]) -> dict[str, Any]:
        """Adds them to Temporal's options of a plain activity.

        Raises:
            DefinitionError: The same is said twice.
        """
        found = dict(options)
        if self.timeout is not None:
            longest = time_for(self.timeout, [name]) or DEFAULT_TIMEOUT
            _add(name, found, "timeout", "start_to_close_timeout", longest)
        if self.retry is not None:
            policy = RetryPolicy(
                initial_interval=self.retry.initial,
                backoff_coefficient=self.retry.factor,
                maximum_interval=max(self.retry.max, self.retry.initial),
                maximum_attempts=self.retry.attempts,
            )
            _add(name, found, "retry", "retry_policy", policy)
        return found


def tries_of(
    retry: Retry | Mapping[str, Any] | None, timeout: timedelta | str | Mapping[str, Any] | None
) -> Tries:
    """Reads what a call says.

    Raises:
        DefinitionError: It has another shape than in a spec.
    """
    try:
        read = None if retry is None else Retry.model_validate(retry)
    except ValidationError as error:
        raise DefinitionError(f"retry: {faults_in(error, 'the value')}") from None
    return Tries(read, None if timeout is None else _limit(timeout))


def _limit(timeout: timedelta | str | Mapping[str, Any]) -> Limit:
    said = in_full(timeout)
    try:
        if not isinstance(said, Mapping):
            return parse_duration(said)
        if "settled" in said:
            raise DefinitionError(
                "timeout: there is no key 'settled' here; there are percentile, floor, ceiling"
            )
        return Calibrated.model_validate(said)
    except ValidationError as error:
        raise DefinitionError(f"timeout: {faults_in(error, 'the value')}") from None
    except ValueError as error:
        raise DefinitionError(f"timeout: {error}") from None


def _add(name: str, options: dict[str, Any], ours: str, theirs: str, value: Any) -> None:
    if theirs in options:
        raise DefinitionError(f"{name}: say {ours} or {theirs}, not both")
    options[theirs] = value
