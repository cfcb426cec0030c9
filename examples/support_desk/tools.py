"""What the desk's agents can do, and how it is undone."""

from __future__ import annotations

from datetime import date
from typing import Any

from pydantic import BaseModel, ConfigDict

from counterstep import Bundle, Effect, Undo, current_step

from . import feature_service, topics
from .desk import desk
from .money import Charge, Duplicate
from .outcome import CHARGE, FEATURES, PLAN, QUOTE, REFUND, TICKET, Outcome, outcome
from .records import Account, Call, Quote, Refund
from .topics import Wishes

support = Bundle("support", stand_in=True)


class Plan(BaseModel):
    """A plan that customers can have."""

    model_config = ConfigDict(frozen=True)

    plan: str
    title: str


class Ticket(BaseModel):
    """Something that a person will look at."""

    model_config = ConfigDict(frozen=True)

    ticket_id: int


# --- reading


@support.tool(effect=Effect.READ_ONLY)
def sort_message(message: str) -> Wishes:
    """Suggests who deals with which passage of a message, by the words that customers use."""
    return topics.sort(message)


@support.tool(effect=Effect.READ_ONLY)
def find_duplicates(customer: str) -> list[Duplicate]:
    """Lists the charges of a customer that repeat another one within a minute."""
    return desk(current_step().task_id).duplicates(customer)


@support.tool(effect=Effect.READ_ONLY)
def find_plans(said: list[str]) -> list[Plan]:
    """Lists the plans, those that a customer has named first."""
    text = " ".join(said).lower()
    titles = desk(current_step().task_id).plan_titles()
    plans = [Plan(plan=plan, title=title) for plan, title in titles.items()]
    return sorted(plans, key=lambda plan: plan.title.lower() not in text)


@support.tool(effect=Effect.READ_ONLY)
def service_status() -> str:
    """Tells whether the service that switches features is up, slow or down."""
    return feature_service.state()


@support.tool(effect=Effect.READ_ONLY)
def what_was_done(customer: str) -> Outcome:
    """Tells what this task has brought about for a customer, as statements to be used word for word."""
    task = current_step().task_id
    return outcome(desk(task), task, customer)


# --- money


@support.tool(compensate="take_refund_back")
def refund(charge_id: int) -> Refund:
    """Gives one duplicate charge back, by the charge_id that find_duplicates has listed."""
    return desk(current_step().task_id).refund(_call(REFUND), charge_id)


@support.compensation
def take_refund_back(undo: Undo[Refund]) -> None:
    """Takes a refund back: the charge counts as paid again."""
    desk(undo.task_id).take_refund_back(_undone(REFUND, undo))


@support.tool(compensate="withdraw_offer")
def offer_upgrade(customer: str, plan: str, received: date) -> Quote:
    """Offers a customer a dearer plan for the rest of the period; the price is computed, not chosen."""
    return desk(current_step().task_id).offer(_call(QUOTE), customer, plan, received)


@support.compensation
def withdraw_offer(undo: Undo[Quote]) -> None:
    """Withdraws an offer."""
    desk(undo.task_id).withdraw_offer(_undone(QUOTE, undo))


@support.tool(compensate="reverse_charge")
def charge(customer: str, title: str, cents: int) -> Charge:
    """Charges a customer for a change of plan."""
    return desk(current_step().task_id).charge(_call(CHARGE), customer, f"Upgrade to {title}", cents)


@support.compensation
def reverse_charge(undo: Undo[Charge]) -> None:
    """Reverses a charge."""
    desk(undo.task_id).reverse_charge(_undone(CHARGE, undo))


# --- the plan and its features: their undos put back what was there


@support.tool(effect=Effect.READ_ONLY)
def read_account(customer: str, plan: str) -> Account:
    """Reads what a customer has before it is changed to a plan."""
    return desk(current_step().task_id).account(customer)


@support.tool(before="read_account", compensate="restore_plan")
def change_plan(customer: str, plan: str) -> str:
    """Puts a customer on a plan."""
    return desk(current_step().task_id).change_plan(_call(PLAN), customer, plan)


@support.compensation
def restore_plan(undo: Undo[str]) -> None:
    """Puts a customer back on the plan from before."""
    before = Account.model_validate(undo.before)
    desk(undo.task_id).restore_plan(_undone(PLAN, undo), before.customer, before.plan)


@support.tool(before="read_account", compensate="restore_features")
def switch_features(customer: str, plan: str) -> list[str]:
    """Switches a customer's features to those of a plan, by way of the feature service."""
    feature_service.reach()
    return desk(current_step().task_id).set_features(_call(FEATURES), customer, plan)


@support.compensation
def restore_features(undo: Undo[list[str]]) -> None:
    """Switches a customer's features back; where none were switched, the feature service need not be up."""
    before = Account.model_validate(undo.before)
    desk(undo.task_id).restore_features(_undone(FEATURES, undo), before.customer, before.features)


# --- people


@support.tool(compensate="withdraw_ticket")
def open_technical_ticket(customer: str, said: list[str]) -> Ticket:
    """Opens a ticket for the engineers."""
    return _open_ticket(customer, "technical", said)


@support.tool(compensate="withdraw_ticket")
def open_escalation_ticket(customer: str, said: list[str]) -> Ticket:
    """Opens a ticket for a colleague who answers in person."""
    return _open_ticket(customer, "escalation", said)


@support.compensation
def withdraw_ticket(undo: Undo[Ticket]) -> None:
    """Withdraws a ticket."""
    desk(undo.task_id).withdraw_ticket(_undone(TICKET, undo))


def _open_ticket(customer: str, queue: str, said: list[str]) -> Ticket:
    number = desk(current_step().task_id).open_ticket(_call(TICKET), customer, queue, "\n".join(said))
    return Ticket(ticket_id=number)


def _call(what: str) -> Call:
    step = current_step()
    return Call(step.idempotency_key, step.task_id, step.step, what)


def _undone(what: str, undo: Undo[Any]) -> Call:
    return Call(undo.idempotency_key, undo.task_id, undo.step, what)
