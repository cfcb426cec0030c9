"""Values as JSON: how they are read as a type, and secrets that would be masked where they are written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeVar

from pydantic import Secret, SecretBytes, SecretStr, TypeAdapter, ValidationError
from pydantic_core import to_json, to_jsonable_python

T = TypeVar("T")

MASKED = "a secret in it would be masked, and could not be read again; pass the name of the secret instead"

_ANY: TypeAdapter[Any] = TypeAdapter(Any)
_LISTS = (list, tuple, set, frozenset)


def read_json(type_: TypeAdapter[T], value: Any) -> T:
    """Reads a JSON value as a type; strict types take the text of a date, for one, only where it is JSON.

    Raises:
        pydantic.ValidationError: It does not fit the type.
    """
    try:
        return type_.validate_python(value)
    except ValidationError as error:
        best = error
        try:
            return type_.validate_json(to_json(value))
        except ValidationError as other:
            best = min(error, other, key=lambda each: each.error_count())
        except ValueError:
            pass
        raise best from None


def write_json(value: Any) -> Any:
    """Turns any Python value into JSON.

    Raises:
        ValueError: It cannot become JSON, or a secret in it would be masked.
    """
    written = to_jsonable_python(value)
    if has_masked_secret(_ANY.dump_python(value, warnings=False), written):
        raise ValueError(MASKED)
    return written


def has_masked_secret(given: Any, written: Any) -> bool:
    """Says whether a secret is masked in what was written.

    Args:
        given: Python values in lists and mappings, models as mappings; secrets are still secrets.
        written: The same as JSON.
    """
    masks = _masks(given)
    return bool(masks) and any(to_json(part) in masks for part in _leaves(written))


def is_masked_in(value: Any, data: bytes) -> bool:
    """Says whether a secret in a Python value is masked in the JSON text that some converter made of it."""
    try:
        given = _ANY.dump_python(value, warnings=False)
    except Exception:
        # Serializers are the user's code, and the converter need not use them.
        return False
    return any(mask in data for mask in _masks(given))


def _masks(given: Any) -> set[bytes]:
    secrets = [part for part in _leaves(given) if isinstance(part, Secret | SecretStr | SecretBytes)]
    return {to_json(secret) for secret in secrets if to_json(secret) != to_json(secret.get_secret_value())}


def _leaves(value: Any) -> Iterator[Any]:
    rest = [value]
    while rest:
        part = rest.pop()
        if isinstance(part, Mapping):
            rest += [*part.keys(), *part.values()]
        elif isinstance(part, _LISTS):
            rest += part
        else:
            yield part


_MOST_EXACT: Final = 2**53
"""Up to this number the numbers of JavaScript, and of protocol buffers' JSON, tell integers apart."""


def with_integers(value: Any) -> Any:
    """Returns a value whose whole numbers are integers again, where a protocol has one kind of number.

    Args:
        value: JSON.
    """
    match value:
        case float() if value.is_integer() and abs(value) <= _MOST_EXACT:
            return int(value)
        case dict():
            return {name: with_integers(part) for name, part in value.items()}
        case list():
            return [with_integers(part) for part in value]
        case _:
            return value
