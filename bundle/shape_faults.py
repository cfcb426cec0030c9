"""What pydantic finds wrong with the shape of a spec, or of what users declare, in words for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ..saga.fault_texts import in_words, short
from ..saga.limits.budget import Budget
from ..saga.names import nearest
from ..saga.spec.approval import Approval, Asking, EscalateTo, ToolApproval
from ..saga.spec.failure_policy import FORMS, Escalate, Escalation, Fallback
from ..saga.spec.retry import Retry
from ..saga.spec.task_spec import Compensation, Group, Step, TaskSpec
from ..saga.spec.teams.handoff import Handoff
from ..saga.spec.teams.member import MemberIf, Person
from ..saga.spec.teams.pattern import Pattern
from ..saga.spec.teams.router import Route
from ..saga.spec.teams.team import Team
from ..saga.spec.timeout import Calibrated
from ..saga.spec.validation import Judge, Validation
from ..saga.spec.waiting import Approve, Wait

PATTERNS: Final[Mapping[str, type[Pattern]]] = {
    pattern.model_fields["pattern"].default: pattern for pattern in get_args(get_args(Team)[0])
}
"""The patterns of teams, by their names."""

_MODELS_OF_USERS: Final[tuple[type[BaseModel], ...]] = (
    Approval,
    Asking,
    Budget,
    Handoff,
    MemberIf,
    Person,
    Route,
)

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
    "guard": Validation,
    "judge": Judge,
    "retry": Retry,
    "on_failure": Fallback,
    "on_reject": Fallback,
    "then": Fallback,
    "rules": Route,
    "a measured timeout": Calibrated,
    "Person": Person,
    "MemberIf": MemberIf,
    **PATTERNS,
    **dict(FORMS.values()),
}
_KEYS: Final = ("fallback", "model", "rule", "escalate", "retry_from")
"""The keys of these forms, as messages list them; a mapping with none of them is held against a fallback."""

_KINDS: Final = frozenset(kind for kind, _ in FORMS.values())
"""What pydantic's locations call these mappings."""

_TROUBLES = ("on_failure", "on_reject", "then")


def declaration_faults(error: ValidationError) -> str:
    """Says, in one line, what is wrong with what a user has declared in Python.

    Args:
        error: What pydantic has found.
    """
    root = _DECLARED.get(error.title)
    faults: dict[str, str] = {}
    for fault in error.errors(include_url=False):
        where = ".".join(map(str, fault["loc"]))
        message = in_words(fault) if root is None else message_of(fault, root)
        faults.setdefault(where, f"{where}: {message}" if where else message)
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
            if loc[-1] in _KEYS and any(part in _KINDS for part in loc[-2:-1]):
                forms = ", ".join(_forms(loc))
                return f"only one of {forms} can stand here; a list has one after the other"
            known = _forms(loc) if loc[-2:-1] == ("a fallback",) else known_keys(loc, root)
            return f"there is no key {loc[-1]!r} here{nearest(str(loc[-1]), known)}"
        case "missing" if loc[-2:] == ("a fallback", "fallback"):
            return f"say one of {', '.join(_forms(loc))}"
        case "union_tag_not_found":
            return f"say its pattern, one of {', '.join(PATTERNS)}"
        case "union_tag_invalid" if any(part in _TROUBLES for part in loc):
            # What pydantic calls a tag here are words for people already.
            return f"{error['ctx']['tag']} cannot stand here"
        case "union_tag_invalid":
            tag = str(error["ctx"]["tag"])
            return f"there is no pattern {tag!r}{nearest(tag, PATTERNS)}"
        case "string_pattern_mismatch":
            return f"{short(value)} must be lower-case letters, digits and _, and begin with a letter"
        case "literal_error" if any(part in _TROUBLES for part in loc):
            more = "" if "then" in loc else ", {retry_from: STEP}"
            forms = "{model: NAME}, {rule: NAME} and {fallback: AGENT}"
            return f"{short(value)} is none of rollback, skip, escalate{more}, {forms}"
        case _:
            return in_words(error)


def _forms(loc: Sequence[int | str]) -> list[str]:
    """Returns the keys of what may follow a failure; a retry does not follow another."""
    return [form for form in _KEYS if form != "retry_from" or "then" not in loc]
