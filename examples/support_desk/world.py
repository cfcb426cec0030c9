"""What the fault explorer asks about the desk: see ``make explore``."""

from __future__ import annotations

from .desk import desk
from .tables import CUSTOMERS, DONE, OPEN, PAID, charges, tickets


def standing(task_id: str) -> list[str]:
    """Returns the keys of what a task did and what stands, and how all customers are off.

    It wants a database for each task (``{task}`` in ``SUPPORT_DB``): what other tasks do would show as well.
    """
    found = desk(task_id)
    keys = [operation.key for operation in found.operations(task_id) if operation.state == DONE]
    for customer in CUSTOMERS:
        account = found.account(customer)
        paid = sum(row.cents for row in found.rows(charges, customer) if row.state == PAID)
        open_ = sum(row.state == OPEN for row in found.rows(tickets, customer))
        keys += [
            f"{customer} is on {account.plan} with {', '.join(account.features)}",
            f"{customer} has paid {paid} cents",
            f"{customer} has {open_} open tickets",
        ]
    return keys
