"""CEL expressions over JSON values.

CEL keeps integers and decimals apart, and JSON does not: a client may send ``7`` or ``7.0`` for the same
price. So an expression that the CEL library refuses for its mixed operands is evaluated once more with every
number as a decimal, and ``/`` always divides decimals. How: the tokens of the source are rewritten (number
literals, indexing, ``size`` and ``int``), never its structure; CEL's own parser stays the judge of syntax.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import cel

from .errors import ExpressionError

SCOPE = ("task", "steps", "facts", "item", "index", "output", "input", "feedback")
"""The variables that an expression may read; which of them exist depends on where it stands."""

MAX_LENGTH = 4096
"""Characters in one expression: room for any real rule, and a bound on what parsing may cost."""

_TOKEN = re.compile(
    r"""
    (?P<space>\s+|//[^\n]*)
  | (?P<string>[rRbB]{0,2}(?:\"\"\"(?s:.*?)\"\"\"|'''(?s:.*?)'''|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'))
  | (?P<number>0[xX][0-9a-fA-F]+u?|(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[uU]?)
  | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<mark>[=!<>]=|&&|\|\||.)
    """,
    re.VERBOSE | re.DOTALL,
)
_DECIMAL_FUNCTIONS = {"size": "size_", "int": "int_", "uint": "int_"}


class Token(NamedTuple):
    """One token of CEL source; `kind` is string, number, name or mark."""

    kind: str
    text: str


class Path(NamedTuple):
    """A value that an expression reads, e.g. ``steps.quote.output.price``."""

    root: str
    parts: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join((self.root, *self.parts))


class Expression:
    """One compiled CEL expression.

    Attributes:
        source: The text it was compiled from.
        paths: The values it reads from the scope, in order of appearance.
    """

    def __init__(self, source: str) -> None:
        """Compiles `source`.

        Raises:
            ExpressionError: It does not parse, is too long, or reads a variable that never exists.
        """
        if len(source) > MAX_LENGTH:
            raise ExpressionError(f"the expression has {len(source)} characters; the most is {MAX_LENGTH}")
        self.source = source
        try:
            self._program = cel.compile(source)
        except (ValueError, TypeError, RuntimeError, OverflowError) as error:
            raise ExpressionError(f"{source!r} does not parse: {_syntax_reason(error)}") from None
        tokens = _tokens(source)
        self.paths = tuple(_paths(tokens))
        bound = _bound_names(tokens)
        for name in self._program.variables():
            if name not in SCOPE and name not in bound:
                raise ExpressionError(f"{source!r} reads {name!r}; there is only {', '.join(SCOPE[:5])}")
        self._decimal_source = _with_decimals(tokens)
        self._divides = "_/_" in self._program.functions()

    def evaluate(self, scope: Mapping[str, Any]) -> Any:
        """Evaluates the expression.

        Args:
            scope: The variables, each a JSON value.

        Returns:
            A JSON value.

        Raises:
            ExpressionError: A value is missing or null where one is needed, or types do not fit.
        """
        attempts = (self._decimal, self._native) if self._divides else (self._native, self._decimal)
        first_error: Exception | None = None
        for attempt in attempts:
            try:
                value = _json(attempt(scope))
            except (KeyError, IndexError) as error:
                raise self._explain(error, scope) from None
            except (TypeError, ValueError, RuntimeError, ArithmeticError) as error:
                first_error = first_error or error
                continue
            if value is None and self._is_plain_path():
                raise ExpressionError(f"{self.paths[0]} is null")
            return value
        assert first_error is not None
        raise self._explain(first_error, scope) from None

    def _native(self, scope: Mapping[str, Any]) -> Any:
        return self._program.execute(dict(scope))

    def _decimal(self, scope: Mapping[str, Any]) -> Any:
        functions = {"at_": _at, "size_": lambda value: float(len(value)), "int_": _whole}
        context = cel.Context({name: _decimals(value) for name, value in scope.items()}, functions)
        return _shortest(cel.evaluate(self._decimal_source, context))

    def _is_plain_path(self) -> bool:
        return len(self.paths) == 1 and str(self.paths[0]) == self.source.strip()

    def _explain(self, error: Exception, scope: Mapping[str, Any]) -> ExpressionError:
        missing_key = str(error.args[0]) if isinstance(error, KeyError) and error.args else None
        for path in self.paths:
            fault = _missing_or_null(path, scope)
            if fault is None:
                continue
            name, what = fault
            if missing_key is not None and (what != "missing" or not name.endswith(missing_key)):
                continue
            return ExpressionError(f"{name} is {what} (in {self.source!r})")
        reason = f"no key {missing_key!r}" if missing_key else _first_sentence(str(error))
        return ExpressionError(f"{self.source!r}: {reason}")


@lru_cache(maxsize=4096)
def compile_expression(source: str) -> Expression:
    """Compiles `source`, keeping the last ones; raises what `Expression` raises."""
    return Expression(source)


def _tokens(source: str) -> list[Token]:
    found = (Token(match.lastgroup or "mark", match.group()) for match in _TOKEN.finditer(source))
    return [token for token in found if token.kind != "space"]


def _paths(tokens: Sequence[Token]) -> Iterator[Path]:
    bound = _bound_names(tokens)
    for start, token in enumerate(tokens):
        if token.kind != "name" or token.text not in SCOPE or token.text in bound:
            continue
        if start and tokens[start - 1].text == ".":
            continue
        if start + 1 < len(tokens) and tokens[start + 1].text in ("(", ":") and not _is_ternary(tokens, start):
            continue
        yield Path(token.text, tuple(_parts(tokens, start + 1)))


def _is_ternary(tokens: Sequence[Token], position: int) -> bool:
    return tokens[position + 1].text == ":" and any(token.text == "?" for token in tokens[:position])


def _parts(tokens: Sequence[Token], position: int) -> Iterator[str]:
    while position + 1 < len(tokens):
        following = tokens[position + 1]
        if tokens[position].text == "." and following.kind == "name":
            if position + 2 < len(tokens) and tokens[position + 2].text == "(":
                return
            yield following.text
            position += 2
        elif tokens[position].text == "[" and position + 2 < len(tokens) and tokens[position + 2].text == "]":
            if following.kind not in ("string", "number"):
                return
            yield following.text.strip("\"'")
            position += 3
        else:
            return


def _bound_names(tokens: Sequence[Token]) -> set[str]:
    macros = {"all", "exists", "exists_one", "map", "filter"}
    return {
        tokens[i + 3].text
        for i in range(len(tokens) - 3)
        if tokens[i].text == "." and tokens[i + 1].text in macros and tokens[i + 2].text == "("
    }


def _with_decimals(tokens: Sequence[Token]) -> str:
    rewritten: list[str] = []
    closers: list[str] = []
    for i, token in enumerate(tokens):
        before = tokens[i - 1] if i else Token("mark", "")
        text = token.text
        if token.kind == "number":
            text = repr(float(int(text.rstrip("uU"), 0))) if re.fullmatch(r"0[xX].*|[0-9]+[uU]?", text) else text
        elif token.kind == "name" and i + 1 < len(tokens) and tokens[i + 1].text == "(":
            text = _DECIMAL_FUNCTIONS.get(text, text)
        elif text == "[":
            indexes = before.kind in ("name", "string") and before.text != "in" or before.text in (")", "]")
            closers.append(")" if indexes else "]")
            text = ".at_(" if indexes else "["
        elif text == "]" and closers:
            text = closers.pop()
        rewritten.append(text)
    return " ".join(rewritten)


def _at(container: Any, key: Any) -> Any:
    if isinstance(container, list) and isinstance(key, float):
        return container[int(key)]
    return container[key]


def _whole(value: Any) -> float:
    return float(math.trunc(float(value)))


def _decimals(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, Mapping):
        return {key: _decimals(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_decimals(part) for part in value]
    return value


def _shortest(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, dict):
        return {key: _shortest(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_shortest(part) for part in value]
    return value


def _json(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError("the result is not a finite number")
        return value
    if isinstance(value, list | tuple):
        return [_json(part) for part in value]
    if isinstance(value, dict):
        return {str(key): _json(part) for key, part in value.items()}
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(value, "total_seconds"):
        return value.total_seconds()
    raise ValueError(f"the result is {type(value).__name__}, which is no JSON value")


def _missing_or_null(path: Path, scope: Mapping[str, Any]) -> tuple[str, str] | None:
    value: Any = scope
    for depth, part in enumerate((path.root, *path.parts)):
        name = ".".join((path.root, *path.parts)[: depth + 1])
        if isinstance(value, Mapping):
            if part not in value:
                return name, "missing"
            value = value[part]
        elif isinstance(value, list) and part.isdigit():
            if int(part) >= len(value):
                return name, "missing"
            value = value[int(part)]
        else:
            return None
        if value is None:
            return name, "null"
    return None


def _first_sentence(text: str) -> str:
    return re.split(r"\.\s|\n", text.strip(), maxsplit=1)[0]


def _syntax_reason(error: Exception) -> str:
    match = re.search(r"<input>:(\d+):(\d+): (.*)", str(error))
    if match is None:
        return _first_sentence(str(error))[:200]
    line, column, reason = match.groups()
    return f"line {line}, column {column}: {reason[:160]}"
