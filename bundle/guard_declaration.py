"""Reads, strictly, what people write as the guard of a tool or an agent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from ..saga.errors import DefinitionError
from ..saga.fault_texts import faults_in
from ..saga.names import NAME_ATTRIBUTE
from ..saga.spec.validation import Validation

NameOf = Callable[[str, Any], str]


def read_guard(what: str, guard: Any, name_of: NameOf) -> tuple[Validation, ...]:
    """Reads the checks of an input.

    Args:
        what: How messages name what has declared them.
        guard: Validators of a bundle, rules as text, and mappings as in a spec.
        name_of: Returns the full name of a validator that is named by its name, or by its function.

    Raises:
        DefinitionError: Something in it is wrong; all faults are named.
    """
    if isinstance(guard, str | Mapping) or not isinstance(guard, Sequence):
        raise DefinitionError(f"{what}: guard must be a list of validators, rules, or mappings as in a spec")
    found, faults = list[Validation](), list[str]()
    for at, item in enumerate(guard):
        try:
            found.append(_read(f"{what}: guard[{at}]", item, name_of))
        except ValidationError as error:
            faults.append(f"{what}: guard[{at}]: {faults_in(error, 'it')}")
        except DefinitionError as error:
            faults.append(str(error))
    if faults:
        raise DefinitionError("\n".join(faults))
    return tuple(found)


def _read(what: str, item: Any, name_of: NameOf) -> Validation:
    if isinstance(item, Mapping):
        item = Validation.model_validate(_named(what, item, name_of))
    elif isinstance(item, str):
        item = Validation(rule=item)
    elif not isinstance(item, Validation):
        if not hasattr(item, NAME_ATTRIBUTE):
            raise DefinitionError(f"{what}: {item!r} is not a validator of a bundle, a rule or a mapping")
        item = Validation(check=name_of(what, item))
    return Validation.model_validate(_named(what, item.model_dump(exclude_none=True), name_of))


def _named(what: str, item: Mapping[str, Any], name_of: NameOf) -> dict[str, Any]:
    """Gives a validator its full name."""
    check = item.get("check")
    return {**item} if check is None else {**item, "check": name_of(what, check)}
