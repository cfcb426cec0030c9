"""The demo: four messages to the desk, each with the database rows before and after."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..stage import IsRunning, as_promised, command, exit_with, play, program, say, show
from . import feature_service
from .desk import Desk, desk

HERE = Path(__file__).parent

QUERIES = {
    "charges": "SELECT charge_id, what, cents, state FROM support_charges "
    "WHERE customer = :customer ORDER BY charge_id",
    "account": "SELECT plan, features FROM support_customers WHERE customer = :customer",
    "tickets": "SELECT queue, said, state FROM support_tickets WHERE customer = :customer ORDER BY ticket_id",
}
"""What proves a scene, and what its rows are called."""

Rows = dict[str, list[tuple[Any, ...]]]


@dataclass(frozen=True)
class Scene:
    """One message, and what it must leave behind.

    Attributes:
        title: What is about to be shown.
        customer: Who writes.
        message: The file with the message.
        features: How the service is that switches features.
        is_cancelled: Whether the task is cancelled while the features are switched.
        state: How the task must end.
        charges: The state that each charge must have, oldest first.
        plan: The plan that the customer must have.
        queues: In which queues there must be a ticket.
        proof: What the rows prove, when they are as they must be.
    """

    title: str
    customer: str
    message: str
    features: str
    is_cancelled: bool
    state: str
    charges: tuple[str, ...]
    plan: str
    queues: tuple[str, ...]
    proof: str


SCENES = [
    Scene(
        title="All is well: one charge is refunded, and the upgrade is made",
        customer="C-1001",
        message="charged_twice.yaml",
        features="up",
        is_cancelled=False,
        state="completed",
        charges=("paid", "paid", "refunded", "paid"),
        plan="enterprise",
        queues=(),
        proof="The duplicate is refunded, the upgrade is paid for, and plan and features are those of it.",
    ),
    Scene(
        title="The feature service is down, when the upgrade is charged and the plan is changed",
        customer="C-1002",
        message="charged_twice.yaml",
        features="down",
        is_cancelled=False,
        state="completed",
        charges=("paid", "paid", "refunded", "reversed"),
        plan="team",
        queues=(),
        proof="The upgrade is undone as a whole, the refund stays, and the answer says so.",
    ),
    Scene(
        title="Somebody cancels the whole task in the middle of the upgrade",
        customer="C-1003",
        message="charged_twice.yaml",
        features="slow",
        is_cancelled=True,
        state="cancelled",
        charges=("paid", "paid", "paid", "reversed"),
        plan="team",
        queues=(),
        proof="All of it is undone, the refund too: the customer is as well off as before.",
    ),
    Scene(
        title="Another message: a fault of the product, and a threat",
        customer="C-1004",
        message="fault_and_threat.yaml",
        features="up",
        is_cancelled=False,
        state="completed",
        charges=("paid", "paid", "paid"),
        plan="team",
        queues=("escalation", "technical"),
        proof="The engineers have a ticket and so has a colleague, each with its own passage.",
    ),
]


def main() -> int:
    """Plays the scenes; returns 0 if the database was as promised after each of them."""
    database = desk("")
    database.start_over()
    for number, scene in enumerate(SCENES, 1):
        say(f"\n{number}. {scene.title}")
        before = look(database, scene.customer)
        _show("Before", scene, before)
        code, result = _run(database, scene)
        if result is None or code not in (0, 130):
            say(f"\nThe run has ended with code {code}; the reason is above.")
            return code or 1
        after = look(database, scene.customer)
        _show("After", scene, after)
        output = result.get("output")
        if output:
            say(f"\nThe answer:\n\n  {output['text']}")
        if not as_promised(differences(scene, str(result.get("state")), output, before, after), scene.proof):
            return 1
    say("\nAll of them are in the Web UI, at the addresses above. To end the server:\n")
    say(f"$ {program()} server --stop")
    return 0


def look(database: Desk, customer: str) -> Rows:
    """Returns what the queries find for a customer."""
    return {
        name: [tuple(row) for row in database.ask(sql, customer=customer)] for name, sql in QUERIES.items()
    }


def differences(scene: Scene, state: str, output: Any, before: Rows, after: Rows) -> list[str]:
    """Says where the database, or the answer, is not as the scene promises.

    Args:
        scene: What was played.
        state: How the task has ended.
        output: Its output; None where it has none.
        before: What `look` had found before it.
        after: And what it finds after it.

    Returns:
        One sentence for each difference; none when all is as promised.
    """
    found = []
    if state != scene.state:
        found.append(f"the task must end {scene.state}, and it is {state}")
    states = tuple(charge[-1] for charge in after["charges"])
    if states != scene.charges:
        found.append(f"the charges must be {_list(scene.charges)}; the rows say {_list(states)}")
    ((plan, features),) = after["account"]
    if plan != scene.plan:
        found.append(f"the plan must be {scene.plan}; the row says {plan}")
    if (features == before["account"][0][1]) != (plan == before["account"][0][0]):
        found.append(f"the features are not those of the plan {plan}: {features}")
    queues = tuple(sorted(queue for queue, _, ticket in after["tickets"] if ticket == "open"))
    if queues != scene.queues:
        found.append(f"there must be tickets for {_list(scene.queues)}; the rows say {_list(queues)}")
    refunded, charged = _sum(after, "refunded"), _sum(after, "paid") + _sum(after, "refunded")
    if output is not None:
        true = (refunded, charged - _sum(before, "paid"), plan)
        told = (output["refunded_cents"], output["charged_cents"], output["plan"])
        if told != true:
            found.append(f"the answer says {_list(told)}, and the rows say {_list(true)}")
    return found


def _run(database: Desk, scene: Scene) -> tuple[int, dict[str, Any] | None]:
    task_id = f"support-demo-{uuid.uuid4().hex[:8]}"
    words = ["run", os.path.relpath(HERE / "support_desk.yaml")]
    words += ["--bundle", "examples.support_desk.bundle:support"]
    words += ["--input-file", os.path.relpath(HERE / "messages" / scene.message)]
    words += ["--input", f"customer={scene.customer}"]

    def cancel(is_running: IsRunning) -> None:
        while is_running():
            if look(database, scene.customer)["account"][0][0] != "team":
                command("cancel", task_id)
                return
            time.sleep(0.1)

    environment = {} if scene.features == "up" else {feature_service.VARIABLE: scene.features}
    meanwhile = cancel if scene.is_cancelled else None
    return play(words, task_id, environment=environment, meanwhile=meanwhile)


def _show(when: str, scene: Scene, rows: Rows) -> None:
    for name, sql in QUERIES.items():
        columns = sql.removeprefix("SELECT ").partition(" FROM ")[0].split(", ")
        shown = sql.replace(":customer", f"'{scene.customer}'")
        if rows[name]:
            show(f"{when}: {shown}", columns, rows[name])


def _sum(rows: Rows, state: str) -> int:
    return sum(cents for _, _, cents, now in rows["charges"] if now == state)


def _list(values: Sequence[object]) -> str:
    return ", ".join(map(str, values)) or "nothing"


if __name__ == "__main__":
    exit_with(main, "SUPPORT_DB")
