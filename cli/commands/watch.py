"""``counterstep watch``: how a task goes, until its end."""

from __future__ import annotations

from ..arguments.options import Address, By, Codec, Json, Namespace, TaskId


def watch(
    id: TaskId,
    by: By = None,
    address: Address = None,
    namespace: Namespace = None,
    codec: Codec = None,
    json: Json = False,
) -> None:
    """Show how a task goes until it ends; Ctrl-C ends only the watching.

    At a terminal it takes answers to what the task asks, as `run` does.

    Exits as `run` does: 0 completed, 1 rolled back, 2 refused by its workers, 3 rollback incomplete or a
    person must decide, 4 no server or no worker, 130 cancelled or not watched to the end.
    """
    from ..arguments.server_target import find_target
    from ..operations.watch_task import watch_task
    from ..terminal.summary import finish

    target = find_target(address, namespace, codec)
    outcome, end = target.ask(watch_task(target, id, by))
    finish(outcome, end, target.options(), json=json)
