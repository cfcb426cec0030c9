"""What a task has spent, against its budgets and its parent's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from .account import Account, CarriedAccount, Tally
from .budget import Budget
from .purse import Purse
from .usage import Usage


@dataclass(frozen=True, slots=True)
class Reservation:
    """What a call that has not ended may spend.

    Attributes:
        most: The most that it may spend.
        accounts: Where that counts besides the task's own budget.
        waits: Whether nothing is under way for it, so that nothing comes back soon.
    """

    most: Usage
    accounts: tuple[Account, ...]
    waits: bool = False


class Spending:
    """Counts what one task spends, and what its children may.

    A call takes what it may spend at most before it begins, from the budget of the task and from those of
    the steps and agents that it belongs to, and gives it back when what it has spent is known.

    Attributes:
        budget: The most the task may spend.
        usage: What the calls and children that have ended have cost.
        earlier: What the sagas of the workflow before this one have cost; its own budget does not count it.
        purse: What its parent lets it spend; None where that has no budget, or there is no parent.
        shares: By child that runs, the most that it may spend in all.
        accounts: By name, the budgets of steps and of jobs of agents.
        changes: Grows whenever there may be more room than before.
        raised: What the task may spend since a person has raised that; None where nobody has.
        has_parts: Whether parts of the task may have budgets of their own: one that is used up need not be
            the task's.
    """

    def __init__(self, budget: Budget) -> None:
        """Starts with nothing spent."""
        self.budget = budget
        self.usage = self.earlier = Usage()
        self.purse: Purse | None = None
        self.shares: dict[str, Budget] = {}
        self.accounts: dict[str, Account] = {}
        self.changes = 0
        self.raised: Budget | None = None
        self.has_parts = True
        self._at: dict[str, str] = {}
        self._under_way = Tally()
        self._running = 0

    def spend_from(self, purse: Purse) -> None:
        """Lets what is spent from now on count against the parent's budget as well."""
        self.purse = purse
        purse.share(self.total)

    @property
    def shown(self) -> Usage:
        """What the whole workflow has cost so far, as people are shown it."""
        return self.earlier.joined(self.usage)

    def total(self) -> Usage:
        """Returns what is spent, under way or promised to children."""
        return self._with_shares(self._under_way.on_top_of(self.usage), None)

    def refusal(self, path: str, wanted: Usage) -> str | None:
        """Says in one sentence why so much may not be spent by a call now; None where it may.

        Args:
            path: The path of the call.
            wanted: The most that it may spend.
        """
        refusal = self.own_refusal(path, wanted)
        if refusal is None and self.purse is not None:
            refusal = _sentence("", self.purse.most.refusal(self.purse.total(), wanted))
        return refusal

    def own_refusal(self, path: str, wanted: Usage) -> str | None:
        """Says why the budgets of the task and of its parts do not allow it."""
        for account in self.on_the_way_to(path):
            refusal = _sentence(f"{account.owner}: ", account.budget.refusal(self._spent(account), wanted))
            if refusal is not None:
                return refusal
        return _sentence("", self.budget.refusal(self.total(), wanted)) if self.budget.binds else None

    def left(self, path: str = "") -> Budget:
        """Returns what a call, or a child, at `path` may still spend; no limits where there are none."""
        if not self.binds:
            return _UNLIMITED
        left = self.budget.left(self.total())
        for account in self.on_the_way_to(path):
            left = left.within(account.budget.left(self._spent(account)))
        return left if self.purse is None else left.within(self.purse.left())

    def on_the_way_to(self, path: str) -> Iterator[Account]:
        """Yields the accounts that a call at `path` spends from."""
        return (account for account in self.accounts.values() if account.covers(path))

    @property
    def binds(self) -> bool:
        """Whether any budget limits what is spent."""
        return self.budget.binds or self.purse is not None or bool(self.accounts)

    @property
    def has_calls_under_way(self) -> bool:
        """Whether calls have begun and not ended."""
        return self._running > 0

    def reserve(self, path: str, most: Usage, *, waits: bool = False) -> Reservation:
        """Takes what a call may spend out of the budgets before it is made.

        Returns:
            What to `release` when it has ended.
        """
        reserved = Reservation(most, tuple(self.on_the_way_to(path)), waits)
        self._count(reserved, 1)
        return reserved

    def release(self, reserved: Reservation, *, for_itself: bool = False) -> None:
        """Ends what `reserve` began; nobody is woken where who gives back takes it again at once."""
        self._count(reserved, -1)
        self.changes += not for_itself

    def _count(self, reserved: Reservation, sign: int) -> None:
        self._running += 0 if reserved.waits else sign
        for tally in (self._under_way, *(account.under_way for account in reserved.accounts)):
            tally.add(reserved.most, sign)

    def add(self, usage: Usage, path: str = "") -> None:
        """Adds what calls, or a child, at `path` have spent."""
        self.usage = self.usage.joined(usage)
        for account in self.on_the_way_to(path):
            account.usage = account.usage.joined(usage)

    # --- accounts

    def open(self, name: str, path: str, owner: str, budget: Budget) -> None:
        """Gives a part of the task a budget of its own; one that has it already goes on with that.

        Args:
            name: What tells the account from others.
            path: See `Account`.
            owner: See there.
            budget: See there.
        """
        self.accounts.setdefault(name, Account(path, owner, budget))

    def restore(self, usage: Usage, accounts: Mapping[str, CarriedAccount], raised: Budget | None) -> None:
        """Goes on with what an earlier run has spent."""
        self.usage, self.raised = usage, raised
        self.accounts = {name: Account(**dict(account)) for name, account in accounts.items()}

    def is_used_up(self, path: str) -> bool:
        """Says whether a budget that a call at a path spends from allows nothing at all any more."""
        return any(self.refusal(path, kind) is not None for kind in _KINDS)

    @property
    def may_be_raised(self) -> bool:
        """Whether it is for the task itself to say what it may spend, as its parent has something left."""
        return self.purse is None or not self.purse.left().refusal(Usage(), Usage(model_calls=1))

    def raise_budget(self, path: str, refusal: str, more: Budget | None) -> None:
        """Raises the one budget that has refused a call, and no other around it.

        Args:
            path: The path of the call.
            refusal: What `refusal` has said.
            more: By how much; None by as much again.
        """
        self.changes += 1
        account = self._refusing(path, refusal)
        if account is not None:
            account.budget = account.budget.over((more or account.budget).used_up())
            return
        self.budget = self.raised = self.budget.over((more or self.budget).used_up())

    def fault_of_raise(self, path: str, refusal: str, more: Budget | None) -> str | None:
        """Says why raising the one budget that has refused a call does not help; None where it may.

        Args:
            path: The path of the call.
            refusal: What `refusal` has said.
            more: See `raise_budget`.
        """
        account = self._refusing(path, refusal)
        budget = self.budget if account is None else account.budget
        limits = budget.model_dump(exclude_none=True)
        if any(getattr(more or budget, name) for name in limits):
            return None
        added = "as much again" if more is None else "that"
        return f"{added} adds nothing to the budget, which limits {' and '.join(limits)}; say how much to add"

    def _refusing(self, path: str, refusal: str) -> Account | None:
        """Returns the account of a part that has refused a call; None where it was the task's budget."""
        accounts = self.on_the_way_to(path)
        return next((one for one in accounts if refusal.startswith(f"{one.owner}: ")), None)

    # --- children

    def allot(self, child: str, own: Budget, needs: Usage, path: str = "") -> Budget:
        """Promises a child a fair part of what is left, on top of what it has spent.

        Half of it for one child, a third for the second beside it, and so on: there is something left for
        those that come later, and who needs more asks.

        Args:
            child: Its id; what it was promised before must have been taken back.
            own: The child's own budget: it needs no more than that.
            needs: What it needs at once; so much at least, where there is that.
            path: Where it was started.

        Returns:
            The most that it may spend in all.
        """
        path = self._at.setdefault(child, path)
        left = self.left(path)  # without what the child has spent
        others = len(self.shares.keys() - {child})
        spent = self.shares.get(child, Budget()).used_up()
        part = left.part(others + 2, needs).over(spent)
        # A limit that this task does not have is the child's own affair.
        self.shares[child] = part.within(own).only(part)
        return self.shares[child]

    def path_of(self, child: str) -> str:
        """Returns where a child was started that has been allotted something."""
        return self._at.get(child, "")

    def take_back(self, child: str, spent: Usage) -> None:
        """Takes back what a child was promised, but for what it has spent."""
        self.shares[child] = Budget(
            model_calls=spent.model_calls,
            tokens=spent.tokens,
            usd=spent.usd,
            tool_calls=spent.tool_calls,
            handoffs=spent.handoffs,
        )
        self.changes += 1

    def end_share(self, child: str) -> Budget:
        """Takes back all that a child was promised: it has ended. Returns what that was."""
        self.changes += 1
        self._at.pop(child, None)
        return self.shares.pop(child, Budget())

    def _spent(self, account: Account) -> Usage:
        return self._with_shares(account.under_way.on_top_of(account.usage), account)

    def _with_shares(self, spent: Usage, account: Account | None) -> Usage:
        """Adds what is promised to children: to all of them, or to those in one account."""
        for child, share in self.shares.items():
            if account is None or account.covers(self._at.get(child, "")):
                spent = spent.joined(share.used_up())
        return spent


_UNLIMITED = Budget()
_KINDS = (Usage(model_calls=1), Usage(tool_calls=1), Usage(handoffs=1))


def _sentence(owner: str, refusal: str | None) -> str | None:
    return None if refusal is None else f"{owner}the budget {refusal}"
