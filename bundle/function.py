"""What a Python function takes and gives, as JSON Schema and as converters."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, PydanticSchemaGenerationError, TypeAdapter, create_model
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticUserError

from ..saga.errors import DefinitionError

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
        parameters: Names of its parameters in order.
        input_schema: JSON Schema of the arguments as one object.
        output_schema: JSON Schema of the result.
    """

    def __init__(self, call: Callable[..., Any], what: str) -> None:
        """Reads the signature of `call`.

        Args:
            call: A plain or async function.
            what: How messages name it, e.g. ``tool shop.reserve_stock``.

        Raises:
            DefinitionError: A parameter or the result cannot be written as JSON, or a kind of parameter is
                used that has no name.
        """
        if not callable(call) or inspect.isclass(call):
            raise DefinitionError(f"{what}: {call!r} is not a function")
        self.call = call
        self.name: str = getattr(call, "__name__", str(call))
        self.description = " ".join((inspect.getdoc(call) or "").split("\n\n")[0].split())
        self.is_async = inspect.iscoroutinefunction(call)
        try:
            hints = typing.get_type_hints(call, include_extras=True)
        except NameError as error:
            raise DefinitionError(f"{what}: its annotations cannot be resolved: {error}") from None
        signature = inspect.signature(call)
        fields: dict[str, Any] = {}
        for parameter in signature.parameters.values():
            if parameter.kind in _KINDS_REFUSED:
                raise DefinitionError(
                    f"{what}: parameter {parameter.name!r} is {_KINDS_REFUSED[parameter.kind]}; "
                    "calls travel as JSON objects, so every parameter needs a name"
                )
            default = ... if parameter.default is inspect.Parameter.empty else parameter.default
            fields[parameter.name] = (hints.get(parameter.name, Any), default)
        self.parameters = tuple(fields)
        self.hints: Mapping[str, Any] = {name: annotation for name, (annotation, _) in fields.items()}
        self.arguments = self._arguments_model(what, fields)
        self.returns: TypeAdapter[Any] = self._adapter(what, "result", hints.get("return", Any))
        self.input_schema = self._schema(what, "parameters", self.arguments.model_json_schema)
        self.output_schema = self._schema(
            what, "result", lambda: self.returns.json_schema(mode="serialization")
        )

    def bind(self, arguments: Any) -> dict[str, Any]:
        """Turns JSON arguments into Python ones.

        Args:
            arguments: A JSON object, by parameter name.

        Returns:
            Keyword arguments of the annotated types.

        Raises:
            pydantic.ValidationError: They do not fit the signature.
        """
        checked = self.arguments.model_validate(arguments)
        return {name: getattr(checked, f"p_{name}") for name in self.parameters}

    def dump(self, result: Any) -> Any:
        """Checks a result against the annotation and turns it into JSON; raises pydantic.ValidationError."""
        return self.returns.dump_python(self.returns.validate_python(result, from_attributes=True), mode="json")

    def positional(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Names positional arguments; raises TypeError as the call itself would."""
        bound = inspect.signature(self.call).bind(*args, **kwargs)
        return dict(bound.arguments)

    @property
    def takes_one_object(self) -> bool:
        """True where the only parameter is an object: a model, a dataclass, a TypedDict or a mapping."""
        if len(self.parameters) != 1:
            return False
        annotation = next(iter(self.hints.values()))
        return is_object_type(annotation)

    def _arguments_model(self, what: str, fields: dict[str, Any]) -> type[BaseModel]:
        # Fields get a prefix, so that a parameter named `schema` or `_x` cannot hit a name of pydantic's.
        from pydantic import Field

        prefixed: dict[str, Any] = {
            f"p_{name}": (annotation, Field(alias=name) if default is ... else Field(default=default, alias=name))
            for name, (annotation, default) in fields.items()
        }
        try:
            return create_model(
                f"{self.name}_arguments", __config__=ConfigDict(extra="forbid"), **prefixed
            )
        except (PydanticSchemaGenerationError, PydanticUserError, TypeError) as error:
            raise DefinitionError(f"{what}: a parameter cannot travel as JSON: {_reason(error)}") from None

    @staticmethod
    def _adapter(what: str, part: str, annotation: Any) -> TypeAdapter[Any]:
        try:
            return TypeAdapter(annotation)
        except (PydanticSchemaGenerationError, PydanticUserError) as error:
            raise DefinitionError(f"{what}: its {part} cannot travel as JSON: {_reason(error)}") from None

    @staticmethod
    def _schema(what: str, part: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        try:
            return make()
        except (PydanticInvalidForJsonSchema, PydanticUserError) as error:
            raise DefinitionError(f"{what}: its {part} cannot travel as JSON: {_reason(error)}") from None


def is_object_type(annotation: Any) -> bool:
    """Says whether values of a type are JSON objects."""
    origin = typing.get_origin(annotation) or annotation
    if not inspect.isclass(origin):
        return False
    return (
        is_dataclass(origin) or issubclass(origin, BaseModel | Mapping) or typing.is_typeddict(origin)
    )


def _reason(error: Exception) -> str:
    return str(error).split("\n", 1)[0].rstrip(".")
