"""The bundle of the design, as its users write it."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel

from counterstep import Agent, Bundle, Effect, Subject, Undo, Verdict


class Reservation(BaseModel):
    id: str
    quantity: int


class Purchase(BaseModel):
    order_id: str
    price: float


@dataclass
class Plan:
    name: str


@dataclass
class Shipment:
    tracking: str


class AppraisalRequest(BaseModel):
    sku: str


class Appraisal(BaseModel):
    price: float
    reasons: list[str] = []


class Order(BaseModel):
    sku: str
    quantity: int = 1


shop = Bundle("shop")


@shop.tool(compensate="release_stock")
async def reserve_stock(sku: str, quantity: int) -> Reservation:
    """Reserves an article.

    Nobody else can buy it then.
    """
    return Reservation(id=f"r-{sku}", quantity=quantity)


@shop.compensation
async def release_stock(undo: Undo[Reservation]) -> None:
    """Gives an article back."""


@shop.tool(effect=Effect.READ_ONLY)
async def read_plan(customer: str, plan: str) -> Plan:
    return Plan(name="old")


@shop.tool(before="read_plan", compensate="restore_plan")
def change_plan(customer: str, plan: str) -> Plan:
    return Plan(name=plan)


@shop.compensation(timeout="5m")
def restore_plan(undo: Undo[Plan]) -> None: ...


@shop.tool(effect=Effect.READ_ONLY)
async def price_of(sku: str) -> float:
    return 9.5


@shop.tool(effect=Effect.PIVOT)
async def hand_to_courier(reservation_id: str) -> Shipment:
    return Shipment(tracking="t")


@shop.tool(effect="retriable", timeout="90s", idempotent=True)
def write_to(address: dict[str, str], lines: list[str] | None = None) -> None: ...


@shop.agent(effect=Effect.READ_ONLY)
async def appraiser(request: AppraisalRequest) -> Appraisal:
    """Appraises an article."""
    return Appraisal(price=9.5)


buyer = shop.add(
    Agent(
        name="buyer",
        description="Buys one article at a fair price.",
        model="openai/gpt-5-mini",
        instructions="Buy.",
        tools=[price_of, reserve_stock],
        input=Order,
        output=Purchase,
        max_turns=8,
    )
)


@shop.validator
async def within_stock(subject: Subject) -> Verdict:
    return Verdict.accept()


@shop.validator(fast=True)
def is_cheap(subject: Subject) -> Verdict:
    return Verdict.accept()


ORDER = """\
# order.yaml: a task as data
name: order
goal: Buy what the customer asked for and ship it today.
input: {type: object, required: [sku, quantity], properties: {sku: {type: string}, quantity: {type: integer}, limit: {type: number}}}
budget: {model_calls: 30, tokens: 60000, usd: 1.5}
deadline: 30m
steps:
  - id: quote
    agent: shop.appraiser
    input: {sku: "${{ task.sku }}"}
    validate:
      - rule: "!has(task.limit) || output.price <= task.limit"
        message: too dear
  - id: reserve
    needs: [quote]
    tool: shop.reserve_stock
    input: {sku: "${{ task.sku }}", quantity: "${{ task.quantity }}"}
    validate: [{check: shop.within_stock}]
  - id: ship
    needs: [reserve]
    tool: shop.hand_to_courier
    input: {reservation_id: "${{ steps.reserve.output.id }}"}
output: {shipment: "${{ steps.ship.output }}"}
"""  # noqa: E501
