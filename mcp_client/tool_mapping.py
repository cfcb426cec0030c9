"""What people say of a tool of an MCP server: how a call of it is undone, or what it does to the world."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from ..saga.duration import Duration
from ..saga.effect import Effect
from ..saga.errors import ExpressionError
from ..saga.expressions.expression import compile_expression, told_where
from ..saga.expressions.template import expressions
from ..saga.fault_texts import in_words
from ..saga.names import nearest
from ..saga.spec.approval import Approval
from ..saga.spec.catalog import Repeats
from ..saga.spec.retry import Retry

BEFORE_READS = ("arguments", "key")
"""What the expressions of a `before` may read."""

UNDO_READS = ("arguments", "output", "before", "now", "key")
"""What the expressions of an `undo` may read."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ReadMapping(_Strict):
    """What is read before a call, and by ``now`` before its undo.

    Attributes:
        tool: A tool of the server that only reads.
        input: Its arguments, with expressions over ``arguments`` and ``key``; None for those of the call.
        on_error: ``fail``, or ``null`` where an error of the tool means that there is nothing yet.
    """

    tool: str
    input: dict[str, Any] | None = None
    on_error: Literal["fail", "null"] = "fail"


class UndoMapping(_Strict):
    """How a call is undone.

    Attributes:
        tool: The tool of the server that undoes it.
        input: Its arguments, with expressions over ``arguments``, ``output``, ``before``, ``now``, ``key``.
        when: Whether there is something to undo, over the same; None for always.
        retry: How often it is tried before somebody has to `resolve` it; None as for any compensation.
    """

    tool: str
    input: dict[str, Any] = {}
    when: str | None = None
    retry: Retry | None = None

    def reads_now(self) -> bool:
        """Returns whether an expression needs what the `before` tool says at the time of the undo."""
        sources = [source for _, source in expressions(self.input)]
        sources += [self.when] if self.when is not None else []
        return any(path.root == "now" for source in sources for path in compile_expression(source).paths)


class ToolMapping(_Strict):
    """What is said of one tool.

    Attributes:
        undo: How a call is undone.
        before: What is read before a call.
        effect: What a call does, where nothing undoes it.
        approval: When a call needs a person's yes.
        idempotent: Whether it may be called again with the same arguments and key.
        key: The argument that gets the idempotency key of the call; nobody else fills it in.
        timeout: The longest one attempt may take.
        repeats: What an agent gets that asks for the same call once more.
    """

    undo: UndoMapping | None = None
    before: ReadMapping | None = None
    effect: Effect | None = None
    approval: Approval | None = None
    idempotent: bool = False
    key: str | None = None
    timeout: Duration | None = None
    repeats: Repeats = "return"

    def faults(self) -> Iterator[str]:
        """Yields what is wrong with it whatever the server offers."""
        if self.undo is not None and self.effect not in (None, Effect.COMPENSATABLE):
            yield f"it has an undo, so its effect is compensatable, not {self.effect}"
        if self.undo is None and self.effect is Effect.COMPENSATABLE:
            yield "its effect is compensatable, so it needs an undo"
        if self.before is not None:
            yield from _template_faults(self.before.input or {}, "before.input", BEFORE_READS)
        if self.undo is not None:
            known = [name for name in UNDO_READS if self.before is not None or name not in ("before", "now")]
            yield from _template_faults(self.undo.input, "undo.input", known)
            if self.undo.when is not None:
                yield from _expression_faults(self.undo.when, "undo.when", known)


def shape_faults(error: ValidationError) -> Iterator[str]:
    """Yields what is wrong with the shape of what is said of a tool, in words for people."""
    models: dict[Any, type[BaseModel]] = {"undo": UndoMapping, "before": ReadMapping, "approval": Approval}
    for fault in error.errors(include_url=False):
        where = list(fault["loc"])
        text = in_words(fault)
        if fault["type"] in ("missing", "extra_forbidden"):
            key = str(where.pop())
            model = models.get(where[-1], ToolMapping) if where else ToolMapping
            text += nearest(key, model.model_fields) if fault["type"] == "extra_forbidden" else ""
        path = ".".join(map(str, where))
        yield f"{path}: {text}" if path else text


def _template_faults(template: Any, where: str, known: list[str] | tuple[str, ...]) -> Iterator[str]:
    for path, source in expressions(template, where):
        yield from _expression_faults(source, path, known)


def _expression_faults(source: str, where: str, known: list[str] | tuple[str, ...]) -> Iterator[str]:
    try:
        paths = compile_expression(source).paths
    except ExpressionError as error:
        yield f"{where}: {told_where(error, known)}"
        return
    for path in paths:
        if path.root in ("before", "now") and path.root not in known:
            yield f"{where}: {path} cannot be read, because nothing is read before the call; give it a before"
        elif path.root not in known:
            yield f"{where}: {path} cannot be read here{nearest(path.root, known)}"
