"""``counterstep publish``: say that something has happened, and start the tasks that wait for it."""

from __future__ import annotations

from typing import Annotated

import typer

from ...arguments.options import Address, Codec, InputFile, Inputs, Json, Namespace, TaskQueue, Timeout
from ...terminal.output import emit


def publish(
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="What has happened, e.g. order.paid.")],
    payload: Annotated[
        str | None,
        typer.Argument(metavar="[PAYLOAD]", help="What is told of it, as JSON.", show_default=False),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(
            metavar="KEY",
            help="Which event of its topic it is: published again under the same key, it counts once.",
        ),
    ] = None,
    input: Inputs = None,
    input_file: InputFile = None,
    task_queue: TaskQueue = None,
    timeout: Timeout = 30.0,
    address: Address = None,
    namespace: Namespace = None,
    codec: Codec = None,
    json: Json = False,
) -> None:
    """Publish an event, which starts the tasks that bundles name for its topic (`bundle.on`).

    Without PAYLOAD it is made of --input and --input-file. A task is started once for each key of its rule,
    however often and from wherever its event is published; what had been started before is shown as well.
    """
    from ....runtime.settings import read_settings
    from ...arguments.event_request import read_event_request

    settings = read_settings()
    event = read_event_request(topic, key, payload, input or (), input_file)
    from ...arguments.server_target import find_target
    from ...operations.starting.publish_event import publish_event

    target = find_target(address, namespace, codec)
    queue = task_queue or settings.task_queue
    published = target.ask(publish_event(target, event, queue, timeout))
    if json:
        emit(published.model_dump(mode="json"))
