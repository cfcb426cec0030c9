"""What an expression is made of."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Path(NamedTuple):
    """A value that an expression reads, e.g. ``steps.quote.output.price``; numbers are places in a list."""

    root: str
    parts: tuple[str | int, ...]

    def __str__(self) -> str:
        text = self.root
        for part in self.parts:
            if isinstance(part, int):
                text += f"[{part}]"
            else:
                text += f".{part}" if _PLAIN_NAME.fullmatch(part) else f"[{json.dumps(part)}]"
        return text


@dataclass(frozen=True, slots=True)
class LoopBody:
    """What a loop does with each item.

    Attributes:
        reads: The values it reads, each as often as it does; not those in which it only looks something up.
        items: The loops whose items it reads, each as often as it does: itself, and those around it.
    """

    reads: tuple[Path, ...]
    items: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ParsedExpression:
    """What an expression is made of.

    Attributes:
        source: Rewritten CEL source.
        paths: The values it reads, in order of appearance, each once.
        needed: Those of them that must be there: of ``has(a.b)`` only ``a``.
        plain: Those that the rewritten source reads as the original does.
        variables: Those that are variables of their own in it, with their names: the library copies all that
            is on the way to a value each time it is read.
        whole: The path, where the expression is nothing but one.
        says_null: Whether ``null`` stands in it.
        reads: As those of a `LoopBody`, of the whole expression.
        bodies: Of its loops, by the number that the rewritten source gives them.
    """

    source: str
    paths: tuple[Path, ...]
    needed: tuple[Path, ...]
    plain: tuple[Path, ...]
    variables: Mapping[Path, str]
    whole: Path | None
    says_null: bool
    reads: tuple[Path, ...]
    bodies: tuple[LoopBody, ...]
