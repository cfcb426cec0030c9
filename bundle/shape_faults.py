"""What pydantic finds wrong with the shape of a spec, or of what users declare, in words for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ..saga.fault_texts import faults_in
from ..saga.limits.budget import Budget
from ..saga.names import nearest
from ..saga.spec.approval import Approval, Asking, EscalateTo, ToolApproval
from ..saga.spec.failure_policy import Escalate, Escalation, Fallback, RetryFrom
from ..saga.spec.retry import Retry
from ..saga.spec.task_spec import Compensation, Group, Step, TaskSpec
from ..saga.spec.teams.handoff import Handoff
from ..saga.spec.teams.member import Person
from ..saga.spec.teams.pattern import Pattern
from ..saga.spec.teams.router import Route
from ..saga.spec.teams.team import Team
from ..saga.spec.validation import Judge, Validation
from ..saga.spec.waiting import Approve, Wait

PATTERNS: Final[Mapping[str, type[Pattern]]] = {
    pattern.model_fields["pattern"].default: pattern for pattern in get_args(get_args(Team)[0])
}
"""The patterns of teams, by their names."""

_MODELS_OF_USERS: Final[tuple[type[BaseModel], ...]] = (Approval, Asking, Budget, Handoff, Person, Route)

_DECLARED: Final[Mapping[str, type[BaseModel]]] = {
    model.__name__: model for model in (*_MODELS_OF_USERS, *PATTERNS.values())
}
"""What users declare in Python, by the names of the classes."""

_MODELS: Mapping[str, type[BaseModel]] = {
    "steps": Step,
    "group": Group,
    "approve": Approve,
    "approvals": ToolApproval,
    "escalate": EscalateTo,
    "wait": Wait,
    "budget": Budget,
    "compensation": Compensation,
    "validate": Validation,
    "judge": Judge,
    "retry": Retry,
    "on_failure": Fallback,
    "on_reject": Fallback,
    "then": Fallback,
    "a fallback": Fallback,
    "a retry": RetryFrom,
    "an escalation": Escalate,
    "rules": Route,
    "Person": Person,
    **PATTERNS,
}
_TROUBLES = ("on_failure", "on_reject", "then")


def declaration_faults(error: ValidationError) -> str:
    """Says, in one line, what is wrong with what a user has declared in Python.

    Args:
        error: What pydantic has found.
    """
    root = _DECLARED.get(error.title)
    if root is None:
        return f"{error.title}: {faults_in(error)}"
    faults: dict[str, str] = {}
    for fault in error.errors(include_url=False):
        where = ".".join(map(str, fault["loc"]))
        faults.setdefault(where, f"{where}: {message_of(fault, root)}" if where else message_of(fault, root))
    return f"{error.title}: {'; '.join(faults.values())}"


def path_of(error: ErrorDetails, document: Any) -> str:
    """Follows pydantic's location through the document; its names of union members are not part of it.

    Args:
        error: What pydantic has found.
        document: The whole value.
    """
    path = ""
    value = document
    for depth, part in enumerate(error["loc"]):
        absent = depth == len(error["loc"]) - 1 and error["type"] == "missing"
        if isinstance(value, Mapping) and (part in value or absent):
            path = f"{path}.{part}" if path else str(part)
            value = value.get(part)
        elif isinstance(value, list | tuple) and isinstance(part, int):
            path = f"{path}[{part}]"
            value = value[part] if part < len(value) else None
    return path


def known_keys(loc: Sequence[int | str], root: type[BaseModel] = TaskSpec) -> list[str]:
    """Returns the keys that may stand where one of pydantic's locations is.

    Args:
        loc: The location; its last part is the key that stands there.
        root: The model of the whole value.
    """
    model = root
    for part in loc[:-1]:
        # Inside of an escalation, as inside of every question, `escalate` says who may answer too.
        outer, model = model, _MODELS.get(str(part), model)
        if part == "escalate" and outer is Escalate:
            model = Escalation
    return [field.alias or name for name, field in model.model_fields.items()]


def message_of(error: ErrorDetails, root: type[BaseModel] = TaskSpec) -> str:
    """Says what is wrong with a value, in words for people.

    Args:
        error: What pydantic has found.
        root: The model of the whole value.
    """
    loc, value = error["loc"], error["input"]
    match error["type"]:
        case "extra_forbidden":
            return f"there is no key {loc[-1]!r} here{nearest(str(loc[-1]), known_keys(loc, root))}"
        case "missing":
            return f"{loc[-1]!r} is missing"
        case "union_tag_not_found":
            return f"say its pattern, one of {', '.join(PATTERNS)}"
        case "union_tag_invalid":
            tag = str(error["ctx"]["tag"])
            return f"there is no pattern {tag!r}{nearest(tag, PATTERNS)}"
        case "string_pattern_mismatch":
            return f"{_short(value)} must be lower-case letters, digits and _, and begin with a letter"
        case "value_error":
            return error["msg"].removeprefix("Value error, ")
        case "literal_error" if any(part in _TROUBLES for part in loc):
            more = "" if "then" in loc else ", {retry_from: STEP}"
            return f"{_short(value)} is none of rollback, skip, escalate{more} and {{fallback: AGENT}}"
        case "literal_error" | "enum":
            return f"{_short(value)} is not one of {error['ctx']['expected']}"
        case "model_type" | "model_attributes_type" | "dict_type":
            return f"must be a mapping, not {kind_of(value)}"
        case "too_short" | "string_too_short":
            return "must not be empty"
        case "tuple_type":
            return f"must be a list, not {kind_of(value)}"
        case "string_type":
            return f"must be text, not {_short(value)}"
        case _:
            _, _, wanted = error["msg"].partition(" should ")
            return f"must {wanted}, not {_short(value)}" if wanted else error["msg"]


def kind_of(value: Any) -> str:
    """Returns what people call the type of a value of JSON."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true/false"
    names = {dict: "a mapping", list: "a list", str: "text", int: "a number", float: "a number"}
    return names.get(type(value), type(value).__name__)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
