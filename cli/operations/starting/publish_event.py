"""Publishes one event, and reports what it has started."""

from __future__ import annotations

from ....client import EventRefused, NoAnswer, Publication, TaskClient
from ....saga.events.publication import JoinAnswer
from ....saga.events.published_event import PublishedEvent
from ...arguments.server_target import ServerTarget
from ...errors import CommandFailed
from ...exit_codes import ExitCode
from ...terminal.output import say


async def publish_event(
    target: ServerTarget, event: PublishedEvent, task_queue: str, seconds: float
) -> Publication:
    """Publishes an event, or finds what it has started if it was published before.

    Args:
        target: The server.
        event: The event, which has been checked.
        task_queue: The queue of the workers.
        seconds: How long they may take to answer.

    Returns:
        What it has started.

    Raises:
        CommandFailed: The workers refuse it, or none has answered.
        ServerUnavailable: The server cannot be reached.
        RPCError: The server has stopped answering.
    """
    tasks = TaskClient(await target.connect(), task_queue=task_queue)
    try:
        found = await tasks.publish(event.topic, event.payload, key=event.key, seconds=seconds)
    except EventRefused as refusal:
        raise CommandFailed(f"Refused: {refusal}.", type=refusal.type) from None
    except NoAnswer as silence:
        start = target.worker_command(task_queue)
        message = f"{silence} It counts as soon as one takes it. Start one: {start}"
        raise CommandFailed(message, code=ExitCode.NO_SERVER, type="NoWorker") from None
    for task in found.started:
        say(f"{task.id}{'' if task.is_new else ' had been started before; nothing was started now'}")
    for answer in found.joined:
        say(_of_join(answer))
    for rule in found.ignored:
        say(f"{rule} starts nothing for this event")
    return found


def _of_join(answer: JoinAnswer) -> str:
    missing = " and ".join(answer.missing)
    match answer.state:
        case "waiting" if answer.is_new:
            return f"{answer.id} waits for {missing}"
        case "waiting":
            return f"{answer.id} had an event of this topic already, and waits for {missing}"
        case "started":
            started = answer.task.id if answer.task is not None else answer.rule
            late = "" if answer.is_new else " had been started before; nothing was started now"
            return f"{started}{late}"
        case "ignored":
            return f"{answer.rule} starts nothing for these events"
        case _:
            return f"{answer.id} had waited for {missing} in vain; this event comes too late for it"
