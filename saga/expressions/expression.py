"""CEL expressions over JSON values.

CEL keeps integers and decimals apart, and JSON does not: a client may send ``7`` or ``7.0`` for the same
price. So the library parses and evaluates, and arithmetic inside an expression is ours (`cel_numbers`): the
source is rewritten (`cel_reading`) so that operators become calls, and ``/`` always divides decimals.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from ..errors import ExpressionError
from ..names import nearest
from .arithmetic import calculate, ceil, floor, largest, smallest
from .cel import cel
from .cost_limits import Loops, check_copied, joined, weight
from .effort import Effort, Evaluation
from .json_values import OperationRefused, for_cel, from_cel, kind, size
from .parsed import Path
from .rewriter import CALCULATE, CHAT_SCOPE, EACH, EFFORT_SCOPE, JOINED, PARTS, SCOPE, SIZE, read
from .tokens import OPEN, Token, tokenize

# The library logs whatever a function of ours refuses, values included; the error that follows says it too.
logging.getLogger("cel").setLevel(logging.ERROR)

__all__ = [
    "CHAT_SCOPE",
    "EFFORT_SCOPE",
    "MAX_LENGTH",
    "SCOPE",
    "Expression",
    "Path",
    "compile_expression",
    "told_where",
]

MAX_LENGTH = 4096
"""Characters in one expression: room for any real rule, and a bound on what parsing may cost."""

_CONDITIONS = frozenset(
    {
        Token("mark", "?"),
        Token("mark", "&&"),
        Token("mark", "||"),
        Token("name", "has"),
        Token("name", "null"),
    }
)
"""With one of them in it, an expression may do without a value that it names."""

_NUMBERS: Mapping[str, Callable[..., Any]] = {
    "ceil_": ceil,
    "floor_": floor,
    "min_": smallest,
    "max_": largest,
}
_UNDEFINED = "Undefined variable or function: "
_FEW_READS = 20
"""So many values, each of one payload, may be copied without being weighed."""

_LIBRARY_ERRORS = (ValueError, TypeError, RuntimeError, ArithmeticError, LookupError)


class Expression:
    """One compiled CEL expression.

    Attributes:
        source: The text it was compiled from.
        paths: The values it reads from the scope, in order of appearance, each once.
        is_conditional: Whether it may do without a value that it names, depending on others.
        is_plain: Whether it needs each of them whenever it is evaluated: it has no conditions and no loops.
    """

    def __init__(self, source: str) -> None:
        """Compiles `source`.

        Raises:
            ExpressionError: It does not parse, is too long, reads a variable or calls a function that never
                exists.
        """
        if len(source) > MAX_LENGTH:
            raise ExpressionError(f"the expression has {len(source)} characters; the most is {MAX_LENGTH}")
        if source.startswith(OPEN):
            raise ExpressionError(f"{_short(source)}: a ${{{{ is not closed by }}}}, or does not belong here")
        self.source = source
        try:
            cel.compile(source)
        except _LIBRARY_ERRORS as error:
            raise ExpressionError(f"{_short(source)} does not parse: {_syntax_reason(error)}") from None
        try:
            tokens = tokenize(source)
            self._reading = read(tokens)
            self._program = cel.compile(self._reading.source)
        except ExpressionError as error:
            raise ExpressionError(f"{_short(source)}: {error}", unknown=error.unknown) from None
        except (*_LIBRARY_ERRORS, RecursionError) as error:
            raise ExpressionError(f"{_short(source)} does not parse: {_syntax_reason(error)}") from None
        self.paths = self._reading.paths
        self.is_conditional = any(token in _CONDITIONS for token in tokens)
        self.is_plain = not self.is_conditional and not self._reading.bodies

    def lacks(self, scope: Mapping[str, Any]) -> list[str]:
        """Says which values are not there that it reads, each with the reason.

        Args:
            scope: Some of the variables; what it reads from the others is left out.
        """
        needed = [path for path in self._reading.needed if path.root in scope]
        troubles = [trouble for path in needed if (trouble := _follow(path, scope)[1]) is not None]
        return list(dict.fromkeys(trouble.text for trouble in troubles if trouble.what != "null"))

    def evaluate(self, scope: Mapping[str, Any], effort: Effort | None = None) -> Any:
        """Evaluates the expression.

        Args:
            scope: The variables, each a JSON value.
            effort: What it takes is added to this; what would take too long is refused then.

        Returns:
            A JSON value; the keys of a map that the expression makes are sorted, so that it is the same
            whenever it is evaluated again.

        Raises:
            ExpressionError: A value is missing or null where one is needed, or types do not fit.
        """
        if self._reading.whole is not None:
            return self._read(self._reading.whole, scope)
        weights = _Weights(scope)
        evaluation = Evaluation(effort)
        loops = Loops(weights.of, self._reading.bodies, evaluation)
        functions: dict[str, Callable[..., Any]] = {
            CALCULATE: calculate,
            EACH: loops.items,
            PARTS: loops.parts,
            JOINED: joined,
            SIZE: size,
            **_NUMBERS,
        }
        try:
            if len(self._reading.reads) > _FEW_READS:
                check_copied(weights.of(self._reading.reads))
            variables = self._variables(scope)
            evaluation.reads(variables)
            context = cel.Context(variables, functions)
            value = from_cel(self._program.execute(context))
        except OperationRefused as error:
            raise ExpressionError(f"{_short(self.source)}: {error}") from None
        except _LIBRARY_ERRORS as error:
            raise self._explain(error, scope) from None
        if value is None and not self._reading.says_null:
            raise ExpressionError(self._null_result(scope))
        return value

    def _read(self, path: Path, scope: Mapping[str, Any]) -> Any:
        """Reads a plain path without CEL: large numbers and the order of keys stay as they are."""
        value, trouble = _follow(path, scope)
        if trouble is not None:
            raise ExpressionError(trouble.text)
        return value

    def _variables(self, scope: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the part of the scope that can be read, which may be far less than all outputs so far.

        A value that is missing has no variable, so that reading it is an error, and not reading it is none.
        """
        wanted: dict[str, set[str] | None] = {}
        for root, parts in self._reading.plain:
            keys = wanted.setdefault(root, set())
            if parts and isinstance(parts[0], str) and keys is not None:
                keys.add(parts[0])
            else:
                wanted[root] = None
        found: dict[str, Any] = {}
        for root, keys in wanted.items():
            if root in scope:
                value = scope[root]
                if keys is not None and isinstance(value, Mapping):
                    value = {key: value[key] for key in keys if key in value}
                found[root] = for_cel(value)
        for path, name in self._reading.variables.items():
            value, trouble = _follow(path, scope)
            above = _follow(Path(path.root, path.parts[:-1]), scope)[1]
            if trouble is None or (trouble.what == "null" and above is None):
                found[name] = for_cel(value)
        return found

    def _explain(self, error: Exception, scope: Mapping[str, Any]) -> ExpressionError:
        troubles = [trouble for path in self._reading.needed if (trouble := _follow(path, scope)[1])]
        reason = _reason(error)
        named: list[_Trouble] = []
        if isinstance(error, LookupError):
            key = error.args[0] if isinstance(error, KeyError) else reason.rpartition(" ")[2]
            named = [t for t in troubles if t.what == "missing" and str(t.part) == key]
        elif isinstance(error, TypeError):
            # Who writes `null` into an expression has thought of it: then some other value does not fit.
            named = [t for t in troubles if t.what == "unfit"]
            named += [t for t in troubles if t.what == "null" and not self._reading.says_null]
        elif "null" in reason.split():
            named = [t for t in troubles if t.what == "null"]
        elif reason.startswith(_UNDEFINED):
            named = [t for t in troubles if t.what == "missing" and t.part == t.text.split()[0]]
        if reason.startswith(_UNDEFINED):
            name = reason.removeprefix(_UNDEFINED).strip("'")
            named += [
                trouble
                for path, known in self._reading.variables.items()
                if known == name and (trouble := _follow(path, scope)[1]) is not None
            ]
        if named:
            return ExpressionError(f"{named[0].text} (in {_short(self.source)})")
        if reason.startswith(_UNDEFINED):
            reason = f"{name}() does not take these values"
        return ExpressionError(f"{_short(self.source)}: {reason}")

    def _null_result(self, scope: Mapping[str, Any]) -> str:
        for path in self._reading.needed:
            trouble = _follow(path, scope)[1]
            if trouble is not None and trouble.what == "null":
                return f"{trouble.text} (in {_short(self.source)})"
        return f"{_short(self.source)} is null"


class _Weights:
    """How much an evaluation copies of what it reads."""

    def __init__(self, scope: Mapping[str, Any]) -> None:
        self._scope = scope
        self._known: dict[Path, int] = {}

    def of(self, paths: Sequence[Path]) -> int:
        """Returns the characters of these values together; one that is there twice counts twice."""
        for path in paths:
            if path not in self._known:
                self._known[path] = weight(_follow(path, self._scope)[0])
        return sum(self._known[path] for path in paths)


class _Trouble(NamedTuple):
    """Why a path gives no value: `what` is missing, null or unfit, `part` is where it ends."""

    what: str
    part: str | int
    text: str


@lru_cache(maxsize=4096)
def compile_expression(source: str) -> Expression:
    """Compiles `source`, keeping the last ones; raises what `Expression` raises."""
    return Expression(source)


def _follow(path: Path, scope: Mapping[str, Any]) -> tuple[Any, _Trouble | None]:
    value: Any = scope
    for depth, part in enumerate((path.root, *path.parts)):
        here = Path(path.root, path.parts[:depth])
        if isinstance(value, Mapping) and isinstance(part, str):
            if part not in value:
                return None, _Trouble("missing", part, f"{here} is missing")
            value = value[part]
        elif isinstance(value, list | tuple) and isinstance(part, int):
            if part >= len(value):
                return None, _Trouble("missing", part, f"{here} is missing")
            value = value[part]
        else:
            above = Path(path.root, path.parts[: depth - 1])
            return None, _Trouble("unfit", part, f"{above} is {kind(value)} and has no {part!r}")
        if value is None:
            return None, _Trouble("null", part, f"{here} is null")
    return value, None


def _reason(error: Exception) -> str:
    text = str(error)
    ours = re.search(r"Python function call failed: \w+: (.*)\. Check function arguments", text, re.DOTALL)
    if ours is not None:
        return ours.group(1)
    if isinstance(error, KeyError):
        return f"there is no key {error.args[0]!r}" if error.args else "a key is missing"
    if isinstance(error, ArithmeticError):
        return "the result is out of range"
    if text.startswith("Failed to convert variable"):
        return "a value in it is not a JSON value, or too large a number"
    if isinstance(error, TypeError) and text.startswith("No such overload"):
        return "an operation does not fit the types of its values"
    theirs = re.match(r"Function '(\w+)' error: (.*)", text)
    if theirs is not None:
        return f"{theirs.group(1)}() refuses its values: {_first_sentence(theirs.group(2)).rstrip(':')}"
    return _first_sentence(text)


def _first_sentence(text: str) -> str:
    return re.split(r"\.\s|\n", text.strip(), maxsplit=1)[0][:200]


def _syntax_reason(error: Exception) -> str:
    text = str(error)
    if isinstance(error, RecursionError) or "Recursion limit" in text or "Incomplete `ExprContext`" in text:
        return "it is nested too deeply"
    match = re.search(r"<input>:(\d+):(\d+): (.*)", text)
    if match is None:
        return _first_sentence(text)
    line, column, reason = match.groups()
    if "mismatched input '<EOF>'" in reason:
        reason = "it ends too early"
    reason = reason.removeprefix("Syntax error: ").split(" expecting ")[0]
    return f"line {line}, column {column}: {reason[:160]}"


def told_where(error: ExpressionError, readable: Iterable[str]) -> str:
    """Returns what is wrong with an expression where other variables may be read than in steps.

    Args:
        error: The error, which by itself offers the variables of steps in the place of an unknown one.
        readable: What may be read there.
    """
    if not error.unknown:
        return str(error)
    return f"{str(error).removesuffix(nearest(error.unknown, SCOPE))}{nearest(error.unknown, readable)}"


def _short(source: str) -> str:
    return repr(source if len(source) <= 120 else f"{source[:117]}...")
