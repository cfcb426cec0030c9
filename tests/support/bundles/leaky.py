"""Effects are rows of the desk's file, and the results of these calls do not survive being written."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field, SecretStr
from temporalio import activity, workflow

with workflow.unsafe.imports_passed_through():
    from counterstep import Bundle, Saga, Undo
    from counterstep.tests.support.bundles.desk import Placed, put, record, take_back

leaky = Bundle("leaky")


class Ticket(BaseModel):
    """What is given out; who asks for its code later gets another one."""

    what: str
    code: str = Field(default="none", exclude=True)


@leaky.tool(compensate="withdraw")
def issue_token(what: str) -> dict[str, Any]:
    """Puts a thing on the desk, and returns a secret."""
    put(what)
    return {"what": what, "token": SecretStr("tok-123")}


@leaky.tool(compensate="withdraw")
def issue_ticket(what: str) -> Ticket:
    """Puts a thing on the desk, and returns what it does not write."""
    put(what)
    return Ticket(what=what, code="tok-123")


def priced(what: str) -> str:
    """Reads a thing as a catalogue does that has none."""
    names: dict[str, str] = {}
    return names[what]


class Priced(BaseModel):
    """What is read by a validator of its own, which fails in its own way."""

    what: Annotated[str, AfterValidator(priced)]


@leaky.tool(compensate="withdraw")
def issue_priced(what: str) -> Priced:
    """Puts a thing on the desk, and returns what its validator does not know."""
    put(what)
    return Priced.model_construct(what=what)


@leaky.compensation
def withdraw(undo: Undo[Any]) -> None:
    """Takes the thing off again, and writes down what it was told."""
    record("told", undo.input["what"], repr(undo.output))
    take_back(Undo[Placed].model_validate(undo.model_dump() | {"output": None}))


@activity.defn
async def issue_badge(what: str) -> Any:
    """Does the same as a plain activity."""
    put(what)
    return {"token": SecretStr("tok-123")}


@activity.defn
async def withdraw_badge(undo: dict[str, Any]) -> None:
    """Takes it off again."""
    withdraw(Undo[Any].model_validate(undo))


@workflow.defn
class Badges:
    """Gives out one badge by an activity of its own."""

    @workflow.run
    async def run(self) -> None:
        async with Saga() as saga:
            await saga.call(issue_badge, "badge", undo=withdraw_badge)


leaky.add(Badges)
leaky.add(issue_badge)
leaky.add(withdraw_badge)
