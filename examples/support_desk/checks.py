"""Independent checks: whatever an agent says, the database has the last word."""

from __future__ import annotations

from datetime import date

from pydantic import ValidationError

from counterstep import NotApplied, Subject, Verdict

from .desk import desk
from .outcome import QUOTE, REFUND, Answer, outcome, untruths
from .records import Operation, Quote, Refund
from .tables import DONE
from .tools import support
from .topics import Wishes

ESCALATION = "support.escalation"


@support.validator
def word_for_word(subject: Subject) -> Verdict:
    """Checks that the passages are the customer's own words, and that there are some."""
    passages = Wishes.model_validate(subject.output).passages()
    invented = [passage for passage in passages if passage not in subject.task["message"]]
    if invented:
        return Verdict.reject(*(f"the customer has not written: {passage}" for passage in invented))
    return (
        Verdict.accept("all passages are in the message")
        if passages
        else Verdict.reject("nothing is passed on")
    )


@support.validator
def only_for_this_customer(subject: Subject) -> Verdict:
    """Checks that a step has acted for nobody else, whatever the message has talked its agent into."""
    others = {found.customer for found in _standing(subject)} - {subject.task["customer"]}
    if others:
        return Verdict.reject(f"it has acted for {', '.join(map(str, others))}")
    return Verdict.accept("it has acted for nobody else")


@support.validator
def refunds_are_due(subject: Subject) -> Verdict:
    """Checks that what billing says it has refunded is what the database has."""
    refunds = [Refund.model_validate(found.result) for found in _standing(subject, REFUND)]
    true = sum(refund.refunded_cents for refund in refunds)
    # Where there is nothing to refund the escalation takes over, and claims nothing.
    told = 0 if subject.author == ESCALATION else subject.output["refunded_cents"]
    if told != true:
        return Verdict.reject(f"it says {told} cents are refunded, and the database says {true}")
    return Verdict.accept(f"the database has it: {true} cents are refunded")


@support.validator
def quote_is_computed(subject: Subject) -> Verdict:
    """Computes the quote once more, from the task's own input."""
    quotes = [Quote.model_validate(found.result) for found in _standing(subject, QUOTE)]
    if subject.author == ESCALATION:
        return Verdict.reject("an offer still stands") if quotes else Verdict.accept("nothing is offered")
    try:
        quote = Quote.model_validate(subject.output)
        day = date.fromisoformat(subject.task["received"])
        true = desk(subject.task_id).price(subject.task["customer"], quote.plan, day)
    except (ValidationError, NotApplied) as error:
        return Verdict.reject(f"this is not a quote: {error}")
    if quotes == [quote] == [true]:
        return Verdict.accept(f"{quote.price} until {quote.until} is right")
    return Verdict.reject(f"the price is {true.price} until {true.until}, and {len(quotes)} offers stand")


@support.validator
def answer_is_true(subject: Subject) -> Verdict:
    """Checks that the answer says what has happened, all of it, and nothing else."""
    found = desk(subject.task_id)
    true = outcome(found, subject.task_id, subject.task["customer"])
    wrong = untruths(Answer.model_validate(subject.output), true, [*found.plan_titles().values()])
    return Verdict.reject(*wrong) if wrong else Verdict.accept("every statement is there, and no other claim")


def _standing(subject: Subject, what: str | None = None) -> list[Operation]:
    """Returns what the step has done that stands, of one kind where `what` is given."""
    own = [found for found in desk(subject.task_id).operations(subject.task_id) if found.step == subject.step]
    return [found for found in own if found.state == DONE and what in (None, found.what)]
