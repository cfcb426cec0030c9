"""JSON values with ``${{ }}`` expressions inside their strings."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any

from ..errors import ExpressionError
from .effort import Effort
from .expression import Path, compile_expression
from .json_values import whole
from .tokens import holes, is_one_hole


def expressions(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Finds every expression in a template.

    Args:
        value: A JSON value.
        path: Where `value` stands in its document.

    Yields:
        Pairs of path and expression source; what an unclosed ``${{`` begins is a source that does not parse.
    """
    if isinstance(value, str):
        for hole in holes(value):
            yield path, hole.source
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from expressions(part, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple):
        for index, part in enumerate(value):
            yield from expressions(part, f"{path}[{index}]")


def render(value: Any, scope: Mapping[str, Any], path: str = "") -> Any:
    """Fills the holes of a template.

    Args:
        value: A JSON value; a string that is one whole ``${{ }}`` keeps the type of its value.
        scope: The variables, each a JSON value.
        path: Where `value` stands in its document; errors begin with it.

    Returns:
        The JSON value without holes.

    Raises:
        ExpressionError: An expression fails; the message begins with the path.
    """
    filling = render_in_turns(value, scope, path)
    while True:
        try:
            next(filling)
        except StopIteration as end:
            return end.value


def render_in_turns(
    value: Any, scope: Mapping[str, Any], path: str = "", effort: Effort | None = None
) -> Generator[None, None, Any]:
    """Fills the holes of a template, and yields before each of them, so that somebody may rest there.

    Args:
        value: See `render`, as for all that is not explained here.
        scope: See there.
        path: See there.
        effort: See `Expression.evaluate`.

    Returns:
        The JSON value without holes.
    """
    if isinstance(value, str):
        return (yield from _render_text(value, scope, path, effort))
    if isinstance(value, Mapping):
        filled = {}
        for key, part in value.items():
            inner = f"{path}.{key}" if path else str(key)
            filled[key] = yield from render_in_turns(part, scope, inner, effort)
        return filled
    if isinstance(value, list | tuple):
        items = []
        for index, part in enumerate(value):
            items.append((yield from render_in_turns(part, scope, f"{path}[{index}]", effort)))
        return items
    return value


def without(value: Any, unwanted: Callable[[Path], bool]) -> Any:
    """Puts null in the place of every text of a template that reads something unwanted.

    Args:
        value: A JSON value.
        unwanted: Says whether a path that an expression reads is unwanted.

    Returns:
        The template with nulls.
    """
    if isinstance(value, Mapping):
        return {key: without(part, unwanted) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [without(part, unwanted) for part in value]
    paths = [path for _, source in expressions(value) for path in compile_expression(source).paths]
    return None if any(unwanted(path) for path in paths) else value


def _render_text(
    text: str, scope: Mapping[str, Any], path: str, effort: Effort | None
) -> Generator[None, None, Any]:
    if is_one_hole(text):
        yield
        return _evaluate(next(holes(text)).source, scope, path, effort)
    pieces: list[str] = []
    end = 0
    for hole in holes(text):
        yield
        pieces.append(text[end : hole.start])
        pieces.append(_as_text(_evaluate(hole.source, scope, path, effort)))
        if effort is not None:
            effort.add(len(pieces[-1]) // 100)
        end = hole.end
    return "".join([*pieces, text[end:]])


def _evaluate(source: str, scope: Mapping[str, Any], path: str, effort: Effort | None) -> Any:
    try:
        return compile_expression(source).evaluate(scope, effort)
    except ExpressionError as error:
        raise ExpressionError(f"{path}: {error}" if path else str(error)) from None


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(whole(value), ensure_ascii=False)
