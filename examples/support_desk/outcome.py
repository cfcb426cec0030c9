"""What a task has brought about, read from the database; and whether an answer says so."""

from __future__ import annotations

import re

from pydantic import BaseModel, ConfigDict

from .desk import Desk
from .money import Charge, dollars
from .records import Operation, Quote, Refund
from .tables import DONE

QUOTE, REFUND, CHARGE, PLAN, FEATURES, TICKET = "quote", "refund", "charge", "plan", "features", "ticket"
"""What the operations of a task are called."""

QUEUES = {
    "technical": "Our engineers look into what you report; your ticket is number {}.",
    "escalation": "A colleague answers you in person; your ticket is number {}.",
}

_RESERVED = r"\d|\$|refund|charg|upgrad|\bplan|ticket|engineer|invoice|cancel|revers|credit|free of"
"""What only a statement may speak of."""


class Outcome(BaseModel):
    """What stands at the end of a task.

    Attributes:
        refunded_cents: Given back to the customer.
        charged_cents: Taken from the customer.
        plan: The plan that the customer has now.
        statements: One sentence for each thing that was done, or could not be.
        text: The statements as one text.
    """

    model_config = ConfigDict(frozen=True)

    refunded_cents: int
    charged_cents: int
    plan: str
    statements: list[str]
    text: str


class Answer(BaseModel):
    """What the customer is told, and the same for programs."""

    model_config = ConfigDict(frozen=True)

    text: str
    refunded_cents: int
    charged_cents: int
    plan: str


def outcome(desk: Desk, task: str, customer: str) -> Outcome:
    """Reads what a task has brought about.

    Args:
        desk: The database.
        task: The task's id.
        customer: Whose task it is.

    Raises:
        NotApplied: There is no such customer.
    """
    account = desk.account(customer)
    done = desk.operations(task)
    refunds = [Refund.model_validate(found.result) for found in _standing(done, REFUND)]
    charged = [Charge.model_validate(found.result) for found in _standing(done, CHARGE)]
    statements = [_of_refund(refund) for refund in refunds]
    for quote in _standing(done, QUOTE):
        statements.append(_of_quote(quote, done, account.title))
    for queue, sentence in QUEUES.items():
        for found in _standing(done, TICKET):
            if found.result and found.result["queue"] == queue:
                statements.append(sentence.format(found.result["ticket_id"]))
    return Outcome(
        refunded_cents=sum(refund.refunded_cents for refund in refunds),
        charged_cents=sum(charge.cents for charge in charged),
        plan=account.plan,
        statements=statements,
        text=" ".join(statements),
    )


def untruths(answer: Answer, true: Outcome, titles: list[str]) -> list[str]:
    """Says where an answer is not what has happened.

    Each statement must be there word for word, and all that is said around them may be kind, but may say
    nothing of money, plans or tickets.

    Args:
        answer: What the customer would be told.
        true: What has happened.
        titles: What the plans are called.

    Returns:
        One sentence for each untruth; none where the answer is true and whole.
    """
    found = []
    for name in ("refunded_cents", "charged_cents", "plan"):
        told, fact = getattr(answer, name), getattr(true, name)
        if told != fact:
            found.append(f"it says {name} {told}, and the database says {fact}")
    rest = answer.text
    for statement in true.statements:
        if statement not in rest:
            found.append(f"it does not say: {statement}")
        rest = rest.replace(statement, " ", 1)
    names = "|".join(rf"\b{re.escape(title)}\b" for title in titles)
    loose = re.search(rf"{_RESERVED}|{names}", rest, re.IGNORECASE)
    if loose is not None:
        around = rest[max(0, loose.start() - 30) : loose.end() + 30].strip()
        found.append(f"it says of its own what only the statements may say: ...{around}...")
    return found


def _standing(operations: list[Operation], what: str) -> list[Operation]:
    return [found for found in operations if found.what == what and found.state == DONE]


def _of_refund(refund: Refund) -> str:
    price, apart = dollars(refund.refunded_cents), refund.seconds_apart
    return f"You were charged {price} twice, {apart} seconds apart; we have refunded the second {price}."


def _of_quote(quote: Operation, operations: list[Operation], title: str) -> str:
    """Says what became of an offer: taken, undone, or still open."""
    offer = Quote.model_validate(quote.result)
    if _standing(operations, FEATURES):
        return (
            f"You are on the {offer.title} plan now; for the time until {offer.until} the upgrade cost "
            f"{offer.price}."
        )
    if any(found.what == CHARGE for found in operations):
        return (
            f"The upgrade to the {offer.title} plan has failed and was undone: you are on the {title} plan, "
            "as before, and pay nothing for it."
        )
    return (
        f"The upgrade to the {offer.title} plan would cost {offer.price} for the time until {offer.until}; "
        f"without your consent you stay on the {title} plan."
    )
