"""Reads CEL source: which values it reads, and the same source with arithmetic and loops as function calls.

CEL's own parser is the judge of syntax and has accepted the source before it comes here. What is left is a
small grammar: https://github.com/google/cel-spec/blob/master/doc/langdef.md#syntax.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import ExpressionError
from ..names import nearest
from .cel import cel
from .parsed import LoopBody, ParsedExpression, Path
from .tokens import Token

SCOPE = ("task", "steps", "facts", "item", "index", "done", "output", "input", "feedback", "event")
"""The variables that an expression may read; which of them exist depends on where it stands."""

APPROVAL_SCOPE = ("arguments", "before", "agent", "shown")
"""What the expressions of approvals may read, and no others."""

CHAT_SCOPE = ("turns", "last", "output", "input")
"""What the expressions of a group chat may read."""

REQUEST_SCOPE = ("arguments", "before", "output", "key", "credentials")
"""What the templates of requests may read."""

MCP_SCOPE = ("arguments", "output", "before", "now", "key")
"""What the expressions of an MCP server's undos may read."""

EFFORT_SCOPE = ("input", "task", "difficulty")
"""What the numbers of a team may read, wherever the team is declared."""

CALCULATE = "calculate_"
"""Stands in rewritten source for a run of ``+ -`` or of ``* / %``: the operators, then the operands."""

EACH = "each_"
"""Stands in rewritten source before each macro that loops."""

PARTS = "parts_"
"""The same before those that make lists: with every item the library copies all that it has made so far."""

JOINED = "joined_"
"""Stands in rewritten source after the loop over such parts."""

SIZE = "size_"
"""Stands in rewritten source for ``size``: CEL counts characters, the library counts bytes."""

NUMBERS = frozenset({"ceil", "floor", "min", "max"})
"""Functions over numbers that are not CEL's own; in rewritten source their names end with ``_``."""

_GATHERING = frozenset({"map", "filter"})
_LOOPS = frozenset({"all", "exists", "exists_one", "existsOne"}) | _GATHERING
_FUNCTIONS = frozenset(
    {"size", "string", "int", "uint", "double", "bytes", "dyn", "duration", "timestamp", "has"} | NUMBERS
)
_METHODS = frozenset(
    {"size", "contains", "startsWith", "endsWith", "matches", "getFullYear", "getMonth", "getDayOfYear"}
    | {"getDayOfMonth", "getDate", "getDayOfWeek", "getHours", "getMinutes", "getSeconds", "getMilliseconds"}
)
_LITERALS = frozenset({"true", "false", "null"})


def read(tokens: Sequence[Token]) -> ParsedExpression:
    """Reads an expression that CEL's parser has accepted.

    Raises:
        ExpressionError: It reads a variable or calls a function that never exists.
    """
    reader = _Reader(tokens)
    source = reader.expression()
    return ParsedExpression(
        source=source,
        paths=tuple(dict.fromkeys(reader.paths)),
        needed=tuple(dict.fromkeys(reader.needed)),
        plain=tuple(dict.fromkeys(reader.plain)),
        variables=reader.variables,
        whole=reader.paths[0] if reader.last_span == (0, len(tokens)) else None,
        says_null=Token("name", "null") in tokens,
        reads=tuple(reader.reads),
        bodies=tuple(reader.bodies[number] for number in range(len(reader.bodies))),
    )


class _Reader:
    """Recursive descent with few frames a level, because CEL allows about a hundred levels."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self.paths: list[Path] = []
        self.needed: list[Path] = []
        self.plain: list[Path] = []
        self.variables: dict[Path, str] = {}
        self.reads: list[Path] = []
        self.bodies: dict[int, LoopBody] = {}
        self.last_span: tuple[int, int] | None = None
        self._tokens = tokens
        self._at = 0
        self._bound: list[tuple[str, int]] = []
        self._loops = 0
        self._items: list[int] = []
        self._is_calculation = False

    def expression(self) -> str:
        text = self._chain()
        while self._takes("?"):
            then = self._chain()
            self._expect(":")
            text = f"{text} ? {then} : {self._chain()}"
            self._is_calculation = False
        return text

    def _chain(self) -> str:
        """Reads operands and operators up to a mark that is neither."""
        text = ""
        sums: list[str] = [self._unary()]
        signs = ""
        factors: list[str] = []
        product = ""
        while True:
            operator = self._text()
            if operator in ("*", "/", "%"):
                self._at += 1
                factors.append(operator)
                factors.append(self._unary())
                continue
            if factors:
                product = sums[-1] = _calculation("".join(factors[::2]), [sums[-1], *factors[1::2]])
                factors = []
            if operator in ("+", "-"):
                self._at += 1
                signs += operator
                sums.append(self._unary())
                continue
            is_calculation = text == "" and (bool(signs) or sums[0] is product)
            text += _calculation(signs, sums) if signs else sums[0]
            if operator not in ("==", "!=", "<", "<=", ">", ">=", "in", "&&", "||"):
                self._is_calculation = is_calculation
                return text
            self._at += 1
            text += f" {operator} "
            read = len(self.reads)
            sums, signs = [self._unary()], ""
            if operator == "in":
                del self.reads[read:]

    def _unary(self) -> str:
        signs = ""
        while self._text() in ("!", "-"):
            signs += self._next().text
        text = self._member()
        for sign in reversed(signs):
            # The library's own minus overflows in silence.
            plain = sign == "!" or text.isdigit()
            text = f"{sign}{text}" if plain else _calculation("-", ["0", text])
        return text

    def _member(self) -> str:
        start = self._at
        text, path = self._primary()
        while True:
            mark = self._text()
            if mark == "." and self._text(2) == "(":
                text = self._method(self._keep(path, start, text))
                path = None
            elif mark == ".":
                self._at += 1
                name = self._next().text
                text += f".{name}"
                path = path and Path(path.root, (*path.parts, name))
            elif mark == "[":
                literal = _literal_index(self._tokens[self._at : self._at + 3])
                if literal is None:
                    text = self._keep(path, start, text)
                    path = None
                self._at += 1
                text += f"[{self.expression()}]"
                self._expect("]")
                path = path and Path(path.root, (*path.parts, *([] if literal is None else [literal])))
            elif mark == "{":
                raise ExpressionError("messages (Name{...}) are not supported")
            else:
                return self._keep(path, start, text)

    def _primary(self) -> tuple[str, Path | None]:
        token = self._next()
        if token.kind == "number":
            return _number(token.text), None
        if token.kind == "string":
            return token.text, None
        if token.text == "(":
            inner = self.expression()
            self._expect(")")
            return (inner if self._is_calculation else f"({inner})"), None
        if token.text == "[":
            return f"[{', '.join(self._list(']'))}]", None
        if token.text == "{":
            return f"{{{', '.join(self._list('}'))}}}", None
        if token.kind != "name":
            raise ExpressionError(f"{token.text!r} is not supported here")
        if self._text() == "(":
            return self._function(token.text), None
        return token.text, self._variable(token.text)

    def _variable(self, name: str) -> Path | None:
        loops = [loop for bound, loop in self._bound if bound == name]
        if loops:
            self._items.append(loops[-1])
            return None
        if name in _LITERALS:
            return None
        scopes = (SCOPE, APPROVAL_SCOPE, CHAT_SCOPE, REQUEST_SCOPE, MCP_SCOPE, EFFORT_SCOPE)
        if not any(name in scope for scope in scopes):
            raise ExpressionError(f"there is no {name!r} to read{nearest(name, SCOPE)}", unknown=name)
        return Path(name, ())

    def _keep(self, path: Path | None, start: int, text: str) -> str:
        """Notes what is read, and returns what reads it in the rewritten source."""
        if path is None:
            return text
        self.paths.append(path)
        self.needed.append(path)
        self.reads.append(path)
        self.last_span = (start, self._at)
        if len(path.parts) > 1:
            return self._variable_for(path)
        self.plain.append(path)
        return text

    def _variable_for(self, path: Path) -> str:
        return self.variables.setdefault(path, f"v{len(self.variables)}_")

    def _function(self, name: str) -> str:
        if name not in _FUNCTIONS:
            raise ExpressionError(f"there is no function {name!r}{nearest(name, _FUNCTIONS)}")
        self._at += 1
        start = self._at
        arguments = self._list(")")
        if name == "has" and self.last_span == (start, self._at - 1):
            # Of what has() asks about, only that must be there in which the last part is looked for.
            path = self.needed.pop()
            self.reads.pop()
            above = Path(path.root, path.parts[:-1])
            self.needed.append(above)
            if above.parts:
                arguments = [f"{self._variable_for(above)}.{path.parts[-1]}"]
        if name in NUMBERS:
            return f"{name}_({', '.join(arguments)})"
        return f"{SIZE if name == 'size' else name}({', '.join(arguments)})"

    def _method(self, target: str) -> str:
        name = self._tokens[self._at + 1].text
        self._at += 3
        if name in _LOOPS:
            return self._loop(target, name)
        if name not in _METHODS:
            raise ExpressionError(f"there is no function {name!r}{nearest(name, _METHODS | _LOOPS)}")
        return f"{target}.{SIZE if name == 'size' else name}({', '.join(self._list(')'))})"

    def _loop(self, target: str, name: str) -> str:
        variable = self._next().text
        if variable.endswith("_"):
            raise ExpressionError(f"{variable!r} cannot name what a loop visits: leave the _ at its end out")
        loop = self._loops
        self._loops += 1
        self._bound.append((variable, loop))
        self._expect(",")
        read, items = len(self.reads), len(self._items)
        body = self._list(")")
        self._bound.pop()
        self.bodies[loop] = LoopBody(tuple(self.reads[read:]), tuple(self._items[items:]))
        inner = f"{name}({variable}, {', '.join(body)})"
        if name not in _GATHERING:
            return f"{target}.{EACH}({loop}).{inner}"
        return f"{target}.{PARTS}({loop}).map(part_, part_.{inner}).{JOINED}()"

    def _list(self, close: str) -> list[str]:
        """Reads expressions, or pairs of them, up to `close`."""
        found: list[str] = []
        while not self._takes(close):
            item = self.expression()
            if self._takes(":"):
                item = f"{item}: {self.expression()}"
            found.append(item)
            self._takes(",")
        return found

    def _text(self, ahead: int = 0) -> str:
        position = self._at + ahead
        if position >= len(self._tokens) or self._tokens[position].kind in ("string", "number"):
            return ""
        return self._tokens[position].text

    def _next(self) -> Token:
        if self._at >= len(self._tokens):
            raise ExpressionError("it ends too early")
        self._at += 1
        return self._tokens[self._at - 1]

    def _takes(self, text: str) -> bool:
        if self._text() != text:
            return False
        self._at += 1
        return True

    def _expect(self, text: str) -> None:
        if not self._takes(text):
            raise ExpressionError(f"{text!r} is missing")


def _calculation(operators: str, operands: Sequence[str]) -> str:
    return f'{CALCULATE}("{operators}", {", ".join(operands)})'


def _number(text: str) -> str:
    """Writes a whole number as an integer however it was written: JSON knows one kind of number."""
    text = text.rstrip("uU")
    if text.startswith("0x"):
        return str(int(text, 16))
    if text.isdigit():
        return text
    value = float(text)
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else text


def _literal_index(tokens: Sequence[Token]) -> str | int | None:
    """Returns the key in ``["key"]`` or ``[0]``, or None where the key is computed."""
    if len(tokens) < 3 or tokens[2].text != "]":
        return None
    kind, text = tokens[1]
    if kind == "number" and text.isdigit():
        return int(text)
    if kind == "string" and text[0] in "rR\"'":
        key: str = cel.evaluate(text)
        return key
    return None
