"""Checks an output against its schema and the rules of its step."""

from __future__ import annotations

from typing import Any

from temporalio import activity

from ..saga.errors import ExpressionError
from ..saga.expressions.expression import compile_expression
from ..saga.expressions.template import render
from ..saga.history_format import VERIFY
from ..saga.spec.json_schema import check_input
from ..saga.verdict import MATCHES, Verdict


@activity.defn(name=VERIFY)
async def verify(question: Any) -> Any:
    """Judges one output; as a local activity it takes microseconds.

    Args:
        question: ``schema`` (JSON Schema), ``rules`` (each ``rule`` and ``message``) and ``scope`` (the
            variables of the rules, ``output`` among them).

    Returns:
        One verdict for the schema and one for each rule, as JSON.
    """
    scope: dict[str, Any] = question["scope"]
    verdicts = [_against_schema(question["schema"], scope["output"])]
    verdicts += [_against_rule(item["rule"], item["message"], scope) for item in question["rules"]]
    return [verdict.model_dump(mode="json") for verdict in verdicts]


def _against_schema(schema: dict[str, Any], output: Any) -> Verdict:
    faults = check_input(schema, output, "output")
    if faults:
        return Verdict(passed=False, validator="schema", reasons=tuple(str(fault) for fault in faults))
    return Verdict(passed=True, validator="schema", reasons=(MATCHES,))


def _against_rule(rule: str, message: str | None, scope: dict[str, Any]) -> Verdict:
    name = f"rule {rule}"
    try:
        answer = compile_expression(rule).evaluate(scope)
        if answer is True:
            return Verdict(passed=True, validator=name, reasons=("holds",))
        if answer is not False:
            return Verdict(passed=False, validator=name, reasons=(f"gave {answer!r}, not true or false",))
        return Verdict(passed=False, validator=name, reasons=(_reason(message, scope),))
    except ExpressionError as error:
        return Verdict(passed=False, validator=name, reasons=(str(error),))


def _reason(message: str | None, scope: dict[str, Any]) -> str:
    return "does not hold" if message is None else str(render(message, scope, "message"))
