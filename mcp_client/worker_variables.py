"""Variables of the worker's environment, which declarations name as ``env:VARIABLE``."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..saga.fault_texts import kind_of

_VARIABLE = re.compile(r"env:([A-Za-z_]\w*)")


def filled(text: str) -> str:
    """Returns a text with the values of the variables that it names."""
    return _VARIABLE.sub(lambda found: value_of(found[1]), text)


def named_in(texts: Iterable[str]) -> list[str]:
    """Returns the variables that texts name, each once."""
    return list(dict.fromkeys(name for text in texts for name in _VARIABLE.findall(text)))


def value_of(variable: str) -> str:
    """Returns the value of a variable, without the end of the line that files of secrets often have."""
    return os.environ.get(variable, "").strip("\r\n")


def env_faults(env: Any) -> Iterator[str]:
    """Yields what is wrong with the environment that a declaration gives to a program."""
    if not isinstance(env, Mapping):
        yield f"env must be a mapping, not {kind_of(env)}"
    elif not all(isinstance(name, str) and isinstance(value, str) for name, value in env.items()):
        yield "the names and values of env are texts"
