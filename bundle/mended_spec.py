"""Looks up the names of a spec whose shape has faults, so that a misspelt key does not hide them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ..saga.errors import Fault
from ..saga.spec.catalog import Catalog
from ..saga.spec.checker import check_spec
from ..saga.spec.json_schema import join
from ..saga.spec.rules.pivot_rules import pivot_faults
from ..saga.spec.task_spec import TaskSpec

KnownKeys = Callable[[Sequence[int | str]], list[str]]

_ROUNDS = 20
_UNKNOWN = {"workflow": "unknown", "task_queue": "unknown"}
"""Stands for what a step calls where nobody can tell: nothing is known of its input and output."""
_KEPT = ("id", "needs", "input", "when", "for_each", "max_parallel", "precondition", "guard", "validate")
_OF_ITEMS = "can be read under for_each only"


def name_faults(document: Any, catalog: Catalog, known_keys: KnownKeys) -> list[Fault]:
    """Finds the faults that remain once the shape of a document is mended.

    A misspelt key is read as the one that is meant. What else is wrong is left out, together with all faults
    that may only follow from that.

    Args:
        document: A document that is not a spec.
        catalog: What the worker offers.
        known_keys: Returns the keys that may stand where one of pydantic's locations is.
    """
    if not isinstance(document, dict):
        return []
    mended = _Mended(copy.deepcopy(document), known_keys)
    spec = mended.spec()
    if spec is None:
        return []
    follow = set(pivot_faults(spec, catalog)) if mended.dropped else set()
    faults = [fault for fault in check_spec(spec, catalog) if fault not in follow]
    return [mended.as_written(fault) for fault in faults if not mended.may_follow(fault)]


class _Mended:
    """A document that is mended until it is a spec.

    Attributes:
        dropped: The steps of which something was left out: their ids by their paths.
    """

    def __init__(self, document: Any, known_keys: KnownKeys) -> None:
        self.dropped: dict[str, str] = {}
        self._document = document
        self._known_keys = known_keys
        self._renamed: dict[str, str] = {}

    def spec(self) -> TaskSpec | None:
        """Mends; None where that is not possible."""
        for _ in range(_ROUNDS):
            try:
                return TaskSpec.model_validate(self._document)
            except ValidationError as error:
                faults = error.errors(include_url=False)
            if not all(self._mend(fault) for fault in faults):
                return None
        return None

    def as_written(self, fault: Fault) -> Fault:
        """Returns a fault with the path that its part has in the document."""
        for new, old in self._renamed.items():
            if fault.path == new or fault.path.startswith((f"{new}.", f"{new}[")):
                return Fault(old + fault.path[len(new) :], fault.message)
        return fault

    def may_follow(self, fault: Fault) -> bool:
        """Returns whether a fault may only be there because something was left out."""
        for path, id in self.dropped.items():
            own = (path, f"{path}.input", f"{path}.workflow", f"{path}.one_of", f"{path}.effect")
            below = fault.path.startswith(f"{path}.")
            if fault.path in own or (below and _OF_ITEMS in fault.message):
                return True
            if fault.message.startswith(f"steps.{id}.output"):
                return True
        return False

    def _mend(self, error: ErrorDetails) -> bool:
        parts = self._parts(error["loc"])
        if not parts:
            return False
        if error["type"] == "too_short" and self._at(parts):
            return True  # pydantic counts only what has no faults
        container = self._at(parts[:-1])
        key = parts[-1]
        if error["type"] == "extra_forbidden" and isinstance(container, dict):
            if key not in container:
                return True  # it was mended together with another fault
            free = [known for known in self._known_keys(error["loc"]) if known not in container]
            near = get_close_matches(str(key), free, n=1, cutoff=0.6)
            if near:
                container[near[0]] = container.pop(key)
                self._renamed[join("", [*parts[:-1], near[0]])] = join("", parts)
                return True
        return self._leave_out(parts)

    def _leave_out(self, parts: list[int | str]) -> bool:
        """Leaves out the key of the innermost step, or of the task, under which a fault is."""
        starts = [
            at for at, part in enumerate(parts[:-1]) if part == "steps" and isinstance(parts[at + 1], int)
        ]
        if not starts:
            return parts[0] not in ("name", "steps") and self._document.pop(parts[0], self) is not self
        end = starts[-1] + 2
        step = self._at(parts[:end])
        if not isinstance(step, dict) or not isinstance(step.get("id"), str):
            return False
        if len(parts) > end and parts[end] == "id":
            return False
        self.dropped[join("", parts[:end])] = step["id"]
        if len(parts) > end and parts[end] in step:
            del step[parts[end]]
        else:
            mended = {name: step[name] for name in _KEPT if name in step} | _UNKNOWN
            step.clear()
            step.update(mended)
        return True

    def _parts(self, loc: Sequence[int | str]) -> list[int | str]:
        """Follows pydantic's location through the document; its names of union members are not part of it."""
        parts: list[int | str] = []
        value = self._document
        for part in loc:
            found = isinstance(value, Mapping) and part in value
            if found or (isinstance(value, list) and isinstance(part, int) and part < len(value)):
                parts.append(part)
                value = value[part]
        return parts

    def _at(self, parts: Sequence[int | str]) -> Any:
        value = self._document
        for part in parts:
            value = value[part]
        return value
