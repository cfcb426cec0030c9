"""What the fault explorer asks about the desk: see ``make explore``."""

from __future__ import annotations

from .desk import desk

_ACCOUNTS = "SELECT customer, plan, features FROM support_customers"
_PAID = "SELECT customer, SUM(cents) FROM support_charges WHERE state = 'paid' GROUP BY customer"
_TICKETS = "SELECT customer, queue FROM support_tickets WHERE state = 'open'"
_KEYS = "SELECT key FROM support_operations WHERE task = :task AND state = 'done'"


def standing(task_id: str) -> list[str]:
    """Returns the keys of what a task did and what stands, and how all customers are off.

    It wants a database for each task (``{task}`` in ``SUPPORT_DB``): what other tasks do would show as well.
    """
    found = desk(task_id)
    accounts = [" ".join(map(str, row)) for sql in (_ACCOUNTS, _PAID, _TICKETS) for row in found.ask(sql)]
    return [row[0] for row in found.ask(_KEYS, task=task_id)] + accounts
