"""A bundle whose tools need a person's yes; what they do are rows of the same file as those of `desk`."""

from __future__ import annotations

from temporalio.exceptions import ApplicationError

from counterstep import Agent, Approval, Bundle, Effect, Undo, current_step
from counterstep.tests.support.bundles.desk import begun, pause, record, standing, write

till = Bundle("till")

LARGE = Approval(
    when="arguments.cents > 5000", ask="Pay ${{ arguments.cents }} for ${{ arguments.what }}?", always=True
)


@till.tool(compensate="pay_back", approval=LARGE)
def pay(what: str, cents: int = 6000, fail: str = "", late: float = 0) -> dict[str, int | str]:
    """Pays for a thing.

    Args:
        fail: after (it happens, and nobody is told), once (at once, in the first attempt only), first (at
            once, in the first call only).
        late: Seconds between the effect and the answer, or `HELD`.
    """
    return _pay(what, cents, fail, late)


@till.tool(effect=Effect.RETRIABLE)
def charge(what: str, cents: int, fail: str = "", late: float = 0) -> dict[str, int | str]:
    """Charges for a thing; the same charge under the same key is made once."""
    return _pay(what, cents, fail, late, before=True)


@till.tool(compensate="pay_back", repeats="allow")
def tip(what: str, cents: int, fail: str = "") -> dict[str, int | str]:
    """Pays once more whenever it is asked to."""
    return _pay(what, cents, fail, 0)


@till.tool(compensate="pay_back", repeats="refuse")
def fine(what: str, cents: int) -> dict[str, int | str]:
    """Pays once, and says so when it is asked again."""
    return _pay(what, cents, "", 0)


@till.compensation
def pay_back(undo: Undo[dict[str, int | str]]) -> None:
    """Takes a payment back, and fences its key."""
    what = str(undo.input["what"])
    write(undo.idempotency_key, what, "undone")
    record("undone", what)


@till.tool(effect=Effect.READ_ONLY)
def balance(what: str, cents: int = 6000) -> int:
    """Says how many payments have been made for a thing."""
    record("balance", what)
    return standing(what)


@till.tool(
    compensate="pay_back",
    before="balance",
    approval=Approval(ask="Top ${{ arguments.what }} up at ${{ before }}?"),
)
def top_up(what: str, cents: int = 6000) -> dict[str, int | str]:
    """Pays for a thing, after its balance was shown."""
    return _pay(what, cents, "", 0)


@till.tool(effect=Effect.PIVOT, approval=Approval(ask="Wire ${{ arguments.cents }} for good?", people=2))
def wire(what: str, cents: int, fail: str = "") -> dict[str, int | str]:
    """Pays for good."""
    return _pay(what, cents, fail, 0)


def _pay(what: str, cents: int, fail: str, late: float, *, before: bool = False) -> dict[str, int | str]:
    record("begin", what, str(cents))
    if before:
        pause(what, late)
    if fail == "once" and current_step().attempt == 1:
        raise RuntimeError(f"{what} failed once")
    if fail == "first" and begun(what) == 1:
        raise ApplicationError(f"{what} failed at first", non_retryable=True)
    write(current_step().idempotency_key, what, "done")
    record("done", what, str(cents))
    if not before:
        pause(what, late)
    if fail == "after":
        raise ApplicationError(f"nobody knows of {what}", non_retryable=True)
    return {"what": what, "cents": cents}


till.add(
    Agent(
        name="cashier",
        description="Pays for things.",
        instructions="You pay.",
        model="openai/cashier",
        tools=[pay, charge, tip, fine, top_up, balance],
        output=str,
        max_turns=12,
    )
)
till.add(
    Agent(
        name="banker",
        description="Pays for things, and once for good.",
        instructions="You wire.",
        model="openai/banker",
        tools=[pay, charge, wire],
        output=str,
    )
)
