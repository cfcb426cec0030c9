"""The agents of the desk: five language models with tools, and one plain writer."""

from __future__ import annotations

from datetime import date

from pydantic import BaseModel, ConfigDict

from counterstep import Agent, Effect

from .outcome import Answer
from .records import Quote
from .tools import (
    Ticket,
    find_duplicates,
    find_plans,
    offer_upgrade,
    open_escalation_ticket,
    open_technical_ticket,
    refund,
    service_status,
    sort_message,
    support,
    what_was_done,
)
from .topics import Wishes


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class Message(_Model):
    """What a customer has written."""

    message: str


class Concern(_Model):
    """What a customer has written that concerns one agent."""

    customer: str
    said: list[str]


class DatedConcern(Concern):
    """The same with the day on which it came."""

    received: date


class AnyConcern(Concern):
    """What any of the others could not deal with."""

    received: date | None = None


class Letter(_Model):
    """What is to be answered."""

    customer: str
    message: str


class Settlement(_Model):
    """What was given back, in cents."""

    refunded_cents: int


triage: Agent[Wishes] = support.add(
    Agent(
        name="triage",
        description="Splits a message into what each agent has to know.",
        instructions="You split a customer's message into passages, word for word, and give each to one "
        "agent: billing (charges, refunds), sales (plans, upgrades), technical (faults of the product), "
        "escalation (legal matters, and whatever fits nobody else). sort_message makes a suggestion; "
        "correct it where it is wrong. Leave greetings out, and nothing else.",
        tools=[sort_message],
        input=Message,
        output=Wishes,
    )
)

billing: Agent[Settlement] = support.add(
    Agent(
        name="billing",
        description="Refunds what was charged twice.",
        instructions="You refund duplicate charges. Look them up with find_duplicates and refund each one "
        "that is listed, nothing else. If none is listed, give up: a colleague takes over. Answer with "
        "the sum of the refunds.",
        tools=[find_duplicates, refund],
        input=Concern,
        output=Settlement,
    )
)

sales: Agent[Quote] = support.add(
    Agent(
        name="sales",
        description="Quotes an upgrade.",
        instructions="You quote upgrades. Find the plan that the customer wants with find_plans, offer it "
        "once with offer_upgrade as of the day the message was received, and answer with the offer as the "
        "tool returned it. If no plan fits, or it cannot be offered, give up: a colleague takes over.",
        tools=[find_plans, offer_upgrade],
        input=DatedConcern,
        output=Quote,
    )
)

technical: Agent[Ticket] = support.add(
    Agent(
        name="technical",
        description="Takes reports of faults.",
        instructions="You take reports of faults. See with service_status whether something is known to be "
        "down, then open one ticket for the engineers with what the customer said, word for word, and "
        "answer with it.",
        tools=[service_status, open_technical_ticket],
        input=Concern,
        output=Ticket,
    )
)

escalation: Agent[Ticket] = support.add(
    Agent(
        name="escalation",
        description="Hands over to a colleague what no other agent can do.",
        instructions="You decide nothing and promise nothing. Open one ticket for a colleague with what "
        "the customer said, word for word, and answer with it.",
        tools=[open_escalation_ticket],
        input=AnyConcern,
        output=Ticket,
    )
)

aggregator: Agent[Answer] = support.add(
    Agent(
        name="aggregator",
        description="Answers the customer in one voice.",
        instructions="You write the one answer that the customer gets. what_was_done tells what has "
        "happened: use each of its statements once, word for word, in an order that reads well. Around "
        "them you may greet, thank and apologize, but say nothing of money, plans, tickets or dates "
        "there. Take the other fields as the tool returned them.",
        tools=[what_was_done],
        input=Letter,
        output=Answer,
    )
)


@support.agent(effect=Effect.READ_ONLY)
def plain_writer(letter: Letter) -> Answer:
    """Answers with the statements alone, where the aggregator cannot be brought to the truth."""
    return Answer.model_validate(what_was_done(letter.customer).model_dump(exclude={"statements"}))
