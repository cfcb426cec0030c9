"""A bundle for the inbox: what it refunds are rows of the same file as those of `desk`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from counterstep import Agent, Approval, Bundle, Effect, Undo
from counterstep.tests.support.bundles.desk import record, standing, write

refunds = Bundle("refunds", stand_in=True)


@refunds.tool(effect=Effect.READ_ONLY)
def refunded_so_far(order: str, cents: int, currency: str, reason: str) -> dict[str, Any]:
    """Says how often something was refunded for an order."""
    return {"times": standing(order), "paid_eur": 129.5}


@refunds.tool(
    compensate="take_back",
    before="refunded_so_far",
    approval=Approval(
        when="arguments.cents > 5000",
        ask="Refund ${{ arguments.cents / 100 }} ${{ arguments.currency }} for ${{ arguments.order }}?",
        deadline=timedelta(days=1),
        always=True,
    ),
)
def refund(order: str, cents: int, currency: str, reason: str) -> str:
    """Pays money back for an order."""
    write(f"{order} {cents}", order, "done")
    record("refunded", order, f"{cents} {reason}")
    return f"refund of {order}"


@refunds.compensation
def take_back(undo: Undo[str]) -> None:
    """Takes a refund back."""
    order = str(undo.input["order"])
    write(f"{order} {undo.input['cents']}", order, "undone")
    record("taken back", order)


@refunds.tool(
    effect=Effect.PIVOT,
    approval=Approval(ask="Close the account of ${{ arguments.customer }} for good?", people=2),
)
def close_account(customer: str) -> str:
    """Closes an account; nothing brings it back."""
    record("closed", customer)
    return customer


refunds.add(
    Agent(
        name="clerk",
        description="Refunds an order.",
        instructions="Refund the order with refund, and say what you have refunded.",
        tools=[refund],
    )
)
