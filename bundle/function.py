"""What a Python function takes and returns, as JSON Schema and as converters."""

from __future__ import annotations

import inspect
import math
import typing
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from types import UnionType
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PydanticSchemaGenerationError,
    RootModel,
    TypeAdapter,
    ValidationError,
    create_model,
)
from pydantic.errors import PydanticUserError
from pydantic.fields import FieldInfo
from pydantic_core import (
    InitErrorDetails,
    PydanticCustomError,
    PydanticSerializationError,
    PydanticUndefined,
    from_json,
    to_json,
)

from ..saga.errors import DefinitionError
from ..saga.failure import text_of
from ..saga.fault_texts import faults_in
from ..saga.json_value import MASKED, has_masked_secret, read_json
from .json_readability import lost_in_json
from .round_trip import difference, holds_secret, is_open

MAX_DEPTH = 100
"""Levels of lists and objects in one result: JSON parsers give up at 200, and messages put more around it."""

_KINDS_REFUSED = {
    inspect.Parameter.POSITIONAL_ONLY: "positional-only",
    inspect.Parameter.VAR_POSITIONAL: "*args",
    inspect.Parameter.VAR_KEYWORD: "**kwargs",
}


class Function:
    """A user's function with its types made usable.

    Attributes:
        call: The function itself.
        name: Its Python name.
        description: The first paragraph of its docstring, on one line.
        is_async: Whether it is a coroutine function.
        parameters: Names of its parameters in order.
        hints: The annotations of its parameters by name; Any if one is missing.
        result: The annotation of its result; Any if it is missing.
        input_schema: JSON Schema of the arguments as one object.
        output_schema: JSON Schema of the result.
        refuses: Says why settings of this process refuse a value of an argument, given its name too, or
            returns nothing; None where no setting does. What a spec writes down is held against it early.
    """

    def __init__(self, call: Callable[..., Any], what: str, *, returns: bool = True) -> None:
        """Reads the signature of `call`.

        Args:
            call: A plain or async function.
            what: How messages name it, e.g. ``tool shop.reserve_stock``.
            returns: Whether its result is used; if not, it may return anything.

        Raises:
            DefinitionError: It is not a function, a parameter or the result cannot be written as JSON, or it
                has parameters that cannot be given by name.
        """
        if not callable(call) or inspect.isclass(call):
            raise DefinitionError(f"{what}: {call!r} is not a function")
        if inspect.isgeneratorfunction(call) or inspect.isasyncgenfunction(call):
            raise DefinitionError(f"{what}: it yields; return the whole result instead")
        self.call = call
        self.refuses: Callable[[str, Any], str] | None = None
        self.name: str = getattr(call, "__name__", str(call))
        self.description = " ".join((inspect.getdoc(call) or "").split("\n\n")[0].split())
        self.is_async = inspect.iscoroutinefunction(call)
        hints = _hints(call, what)
        fields = _fields(call, what, hints)
        self.parameters = tuple(fields)
        self.hints: Mapping[str, Any] = {name: annotation for name, (annotation, _) in fields.items()}
        self.result: Any = hints.get("return", Any) if returns else Any
        self._is_used = returns
        self._arguments = _arguments_type(self.name, what, fields)
        self._returns = adapter(what, "result", self.result)
        self._is_open = is_open(self._returns.core_schema)
        self.input_schema = schema_of(what, "parameters", self._arguments.json_schema)
        self.output_schema = schema_of(
            what, "result", lambda: self._returns.json_schema(mode="serialization")
        )
        for part, type_ in (("parameters", self._arguments), ("result", self._returns)):
            if holds_secret(type_.core_schema):
                raise DefinitionError(
                    f"{what}: a SecretStr or SecretBytes in its {part} is masked when it is written and "
                    "cannot be read again; pass the name of the secret instead"
                )
            for lost in lost_in_json(type_.core_schema):
                raise DefinitionError(f"{what}: its {part} cannot travel as JSON: {lost}")

    def bind(self, arguments: Any) -> dict[str, Any]:
        """Turns JSON arguments into Python ones.

        Args:
            arguments: A JSON object that holds the arguments by parameter name.

        Returns:
            Keyword arguments of the annotated types.

        Raises:
            pydantic.ValidationError: The arguments do not fit the signature.
        """
        checked = read_json(self._arguments, arguments)
        return {name: getattr(checked, f"p_{name}") for name in self.parameters}

    def dump(self, result: Any) -> Any:
        """Checks a result against the annotation and turns it into JSON.

        Raises:
            pydantic.ValidationError: The result does not fit, or it cannot be written as JSON.
        """
        if not self._is_used:
            return None
        try:
            checked = self._returns.validate_python(result, from_attributes=True)
        except ValidationError:
            raise
        except Exception as error:
            raise self._no_json(result, _raised(error)) from None
        try:
            try:
                return self._written(checked, round_trip=False)
            except ValueError:
                # Some types, e.g. `Json` or models with computed fields, have a second form that can be read.
                return self._written(checked, round_trip=True)
        except ValidationError as error:
            raise self._no_json(result, f"cannot be read again: {faults_in(error)}") from None
        except Exception as error:
            raise self._no_json(result, _raised(error)) from None

    def _written(self, checked: Any, *, round_trip: bool) -> Any:
        """Writes a result as JSON, by aliases as the schema does, and reads it again as its undo will."""
        value = self._returns.dump_python(checked, mode="json", by_alias=True, round_trip=round_trip)
        if _depth(value) > MAX_DEPTH:
            raise ValueError(f"it is nested deeper than {MAX_DEPTH} levels")
        if not _is_finite(checked) or not _is_finite(value):
            raise ValueError("a number in it is not finite")
        if from_json(to_json(value)) != value:
            raise ValueError("JSON changes it")
        if has_masked_secret(self._unwritten(checked), value):
            raise ValueError(MASKED)
        lost = difference(checked, read_json(self._returns, value), anything=self._is_open)
        if lost:
            raise ValueError(f"written and read again, {lost}")
        return value

    def _unwritten(self, checked: Any) -> Any:
        """Returns what is written as plain mappings and lists, in which secrets are still secrets."""
        try:
            return self._returns.dump_python(checked, by_alias=True, warnings=False)
        except Exception:
            # Serializers for JSON alone may raise anything when they are used for Python.
            return None

    @property
    def returns(self) -> TypeAdapter[Any]:
        """The converter of its result."""
        return self._returns

    @property
    def takes_one_object(self) -> bool:
        """True where the only parameter is an object: a model, a dataclass, a TypedDict or a mapping."""
        return len(self.parameters) == 1 and is_object_type(self.hints[self.parameters[0]])

    @property
    def object_schema(self) -> dict[str, Any]:
        """JSON Schema of that one object."""
        inner: dict[str, Any] = self.input_schema["properties"][self.parameters[0]]
        definitions = self.input_schema.get("$defs")
        return inner if definitions is None else {**inner, "$defs": definitions}

    def _no_json(self, result: Any, reason: str) -> ValidationError:
        problem = PydanticCustomError("not_json", "cannot travel as JSON: {reason}", {"reason": reason})
        return ValidationError.from_exception_data(
            self.name, [InitErrorDetails(type=problem, loc=(), input=result)]
        )


def is_object_type(annotation: Any) -> bool:
    """Says whether values of a type are JSON objects."""
    origin = typing.get_origin(annotation) or annotation
    if not inspect.isclass(origin):
        return False
    if issubclass(origin, RootModel):
        root = origin.model_fields["root"].annotation
        is_union = typing.get_origin(root) in (typing.Union, UnionType)
        return all(is_object_type(one) for one in (typing.get_args(root) if is_union else (root,)))
    return is_dataclass(origin) or issubclass(origin, BaseModel | Mapping) or typing.is_typeddict(origin)


def adapter(what: str, part: str, annotation: Any) -> TypeAdapter[Any]:
    """Returns the converter of a type; raises `DefinitionError` if its values cannot be written as JSON."""
    try:
        return TypeAdapter(annotation)
    except (PydanticSchemaGenerationError, PydanticUserError, TypeError) as error:
        raise DefinitionError(f"{what}: its {part} cannot travel as JSON: {_reason(error)}") from None


def schema_of(what: str, part: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Returns the JSON Schema that `make` makes; raises `DefinitionError` if it cannot make one."""
    try:
        return make()
    except (PydanticUserError, PydanticSerializationError) as error:
        raise DefinitionError(f"{what}: its {part} cannot travel as JSON: {_reason(error)}") from None


def _hints(call: Callable[..., Any], what: str) -> dict[str, Any]:
    try:
        return typing.get_type_hints(call, include_extras=True)
    except Exception as error:
        # Annotations are the user's code: resolving them can raise anything.
        raise DefinitionError(f"{what}: its annotations cannot be resolved: {error}") from None


def _fields(call: Callable[..., Any], what: str, hints: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    try:
        parameters = inspect.signature(call).parameters.values()
    except (ValueError, TypeError):
        raise DefinitionError(f"{what}: its signature cannot be read; wrap it in a function") from None
    fields: dict[str, tuple[Any, Any]] = {}
    for parameter in parameters:
        if parameter.kind in _KINDS_REFUSED:
            raise DefinitionError(
                f"{what}: parameter {parameter.name!r} is {_KINDS_REFUSED[parameter.kind]}; "
                "calls travel as JSON objects, so every parameter needs a name"
            )
        if parameter.name in ("self", "cls"):
            raise DefinitionError(f"{what}: it is a method; register a function")
        default = ... if parameter.default is inspect.Parameter.empty else parameter.default
        fields[parameter.name] = (hints.get(parameter.name, Any), default)
    return fields


def _arguments_type(name: str, what: str, fields: Mapping[str, tuple[Any, Any]]) -> TypeAdapter[BaseModel]:
    # Fields get a prefix, so that a parameter named `schema` or `_x` cannot hit a name of pydantic's.
    prefixed: dict[str, Any] = {
        f"p_{field}": (annotation, _field(field, default)) for field, (annotation, default) in fields.items()
    }
    try:
        forbid = ConfigDict(extra="forbid")
        model: type[BaseModel] = create_model(f"{name}_arguments", __config__=forbid, **prefixed)
        for field, info in model.model_fields.items():
            _expect_default(f"{what}: the default of parameter {field[2:]!r}", info)
        return TypeAdapter(model)
    except (PydanticSchemaGenerationError, PydanticUserError, TypeError) as error:
        raise DefinitionError(f"{what}: a parameter cannot travel as JSON: {_reason(error)}") from None


def _field(name: str, default: Any) -> Any:
    if not isinstance(default, FieldInfo):
        return Field(default=default, alias=name)
    named = {"alias": name, "validation_alias": name, "serialization_alias": name}
    return FieldInfo.merge_field_infos(default, **named)


def _expect_default(what: str, field: FieldInfo) -> None:
    """Refuses what does not fit, such as a field of another library: it would be passed on as it is."""
    if field.default is None or field.default is PydanticUndefined:
        return
    try:
        TypeAdapter(field.rebuild_annotation()).validate_python(field.default)
    except ValidationError as error:
        reasons = "; ".join(fault["msg"] for fault in error.errors(include_url=False))
        raise DefinitionError(f"{what} does not fit its type: {reasons}") from None


def _is_finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    return all(map(_is_finite, value)) if isinstance(value, list | tuple) else True


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level := [part for part in level if isinstance(part, list | dict)]:
        depth += 1
        level = [inner for part in level for inner in (part.values() if isinstance(part, dict) else part)]
    return depth


def _raised(error: Exception) -> str:
    """Says why a result cannot be written; validators and computed fields of users may raise anything."""
    is_ours = isinstance(error, ValueError | RecursionError)
    return text_of(error) if is_ours else f"{type(error).__name__}: {text_of(error)}"


def _reason(error: Exception) -> str:
    return str(error).split("\n", 1)[0].rstrip(".")
