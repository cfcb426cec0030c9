"""One agent to whom another may hand its conversation over."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import BeforeValidator, ValidationInfo

from ...names import NAME_ATTRIBUTE
from ..fields import SpecModel
from ..json_schema import resolve
from .member import NAME, AgentName, key_of

SUMMARY: Final = "summary"
"""The argument of a transfer in which the agent that hands over sums up what was said."""

_NO_METADATA: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {"reason": {"type": "string", "description": "Why, in one sentence."}},
}

_FILTERS: Final = ("full", "none", "summary")


def _filter(value: Any) -> Any:
    if value in _FILTERS or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
        return value
    raise ValueError(f"{value!r} is not one of {', '.join(_FILTERS)}, or how many messages are left, from 1")


def _tool(value: Any, info: ValidationInfo) -> Any:
    if value is None:
        return None
    name = value if isinstance(value, str) else getattr(value, NAME_ATTRIBUTE, None)
    if not isinstance(name, str) or not re.fullmatch(NAME, name):
        raise ValueError(f"{getattr(value, '__name__', value)!r} is not a tool of a bundle")
    bundle = (info.context or {}).get("bundle")
    return name if "." in name or bundle is None else f"{bundle}.{name}"


if TYPE_CHECKING:  # what is taken, and not only what is kept
    OnHandoff = Any
else:
    OnHandoff = Annotated[str | None, BeforeValidator(_tool)]

Filter = Annotated[Literal["full", "none", "summary"] | int, BeforeValidator(_filter)]


class Handoff(SpecModel):
    """An agent to whom another may hand its conversation over, by the tool ``transfer_to_NAME``.

    Attributes:
        to: Who takes over. Python code and teams have no conversation: they get the arguments of the transfer
            as their input, and their answer is the answer.
        description: When to hand over, for the model that decides it; what `to` does where not given.
        metadata: The type of what is handed over besides the conversation, or a JSON Schema: the parameters
            of the tool. None for a reason, in words.
        filter: What the one who takes over sees of the conversation besides the agent's input: ``full``, all
            of it; ``none``; a number, so many of the last messages, and those that belong to a tool call
            among them; or ``summary``, which the model writes that hands over.
        on_handoff: A tool of a bundle that is called at the handoff with the metadata, or with its fields
            where it has parameters of these names. It is a call of its own, which is undone like any other.
        returns: Whether the one who takes over may hand the conversation back.
    """

    to: AgentName
    description: str = ""
    metadata: Any = None
    filter: Filter = "full"
    on_handoff: OnHandoff = None
    returns: bool = False

    @property
    def key(self) -> str:
        """What the tool is called after: the last part of the agent's name."""
        return key_of(self.to)

    @property
    def declared(self) -> Mapping[str, Any]:
        """JSON Schema of the metadata, as it is checked."""
        if self.metadata is not None:
            return resolve(self.metadata)
        # A tool that is called at the handoff may need what a model may leave out.
        return _NO_METADATA if self.on_handoff is None else {**_NO_METADATA, "required": ["reason"]}

    def parameters(self) -> dict[str, Any]:
        """Returns the JSON Schema of the arguments of a transfer."""
        schema = dict(self.declared)
        if self.filter == "summary":
            told = {
                "type": "string",
                "minLength": 1,
                "description": "What was said and done so far, for the one who takes over and sees no more.",
            }
            schema["properties"] = {**schema.get("properties", {}), SUMMARY: told}
            schema["required"] = [*schema.get("required", ()), SUMMARY]
        definitions = {key: part for key, part in (self.metadata or {}).items() if key == "$defs"}
        return {**definitions, **schema}

    def faults(self) -> list[tuple[str, str]]:
        """Returns what is wrong with the metadata, each as a path and what is wrong there."""
        schema = self.declared
        if schema.get("type") != "object":
            return [("metadata", "must be an object: a model, a dataclass or a mapping")]
        if self.filter == "summary" and SUMMARY in schema.get("properties", {}):
            return [("metadata", f"has a field {SUMMARY!r}, which filter='summary' has already; rename it")]
        return []
