"""Reads JSON values from the command line: single ones, and ``NAME=VALUE`` pairs that override a file."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NoReturn

from ...bundle.yaml_document import payload_faults, read_document
from ...saga.errors import Fault, SpecError
from ...saga.limits.payload_size import MAX_PAYLOAD


def read_values(pairs: Sequence[str], file: str | None, *, option: str, root: str) -> Any:
    """Reads a file and then the ``NAME=VALUE`` pairs; a VALUE that does not parse as JSON is text.

    Args:
        pairs: The pairs, which override the file.
        file: A JSON or YAML file, ``-`` for stdin, or None.
        option: The option with which the user gives a pair.
        root: How faults name the whole value.

    Returns:
        A JSON value; a mapping if there is no file.

    Raises:
        SpecError: The file or a pair cannot be read; the error names all faults.
    """
    faults: list[Fault] = []
    said: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not name or not equals:
            faults.append(Fault(option, f"{pair!r} has another shape than NAME=VALUE"))
        elif name in said:
            faults.append(Fault(f"{option} {name}", "is given twice"))
        else:
            said[name] = _json_or_text(text)
    base: Any = {}
    if file is not None:
        try:
            base = _read_file(file)
        except SpecError as error:
            faults += error.faults
    if said and not isinstance(base, dict):
        faults.append(
            Fault("stdin" if file == "-" else str(file), f"is not a mapping, so {option} cannot add to it")
        )
        raise SpecError(faults)
    value = {**base, **said} if said else base
    faults += payload_faults(value, root)
    if faults:
        raise SpecError(faults)
    return value


def read_value(text: str, *, option: str) -> Any:
    """Reads one JSON value; text without quotes is refused, because it may be mistyped JSON.

    Raises:
        SpecError: The text is not JSON.
    """
    try:
        value = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        message = f"is not JSON ({error}); text is written in double quotes: '\"text\"'"
        raise SpecError([Fault(option, message)]) from None
    faults = payload_faults(value, option)
    if faults:
        raise SpecError(faults)
    return value


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return text


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _read_file(source: str) -> Any:
    name = "stdin" if source == "-" else source
    try:
        with nullcontext(sys.stdin.buffer) if source == "-" else Path(source).open("rb") as file:
            raw = file.read(MAX_PAYLOAD + 1)
    except OSError as error:
        raise SpecError([Fault(name, f"cannot be read: {error.strerror or error}")]) from None
    if len(raw) > MAX_PAYLOAD:
        raise SpecError([Fault(name, f"is too large; at most {MAX_PAYLOAD} bytes are allowed")])
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SpecError([Fault(name, "is not UTF-8 text; write JSON or YAML")]) from None
    if not text.strip():
        raise SpecError([Fault(name, "is empty; write JSON or YAML, e.g. {}")])
    return read_document(text, name)
