"""``counterstep start``: begin a task and leave it to its workers."""

from __future__ import annotations

from typing import Annotated

import typer

from ...arguments.options import (
    Address,
    Bundles,
    Codec,
    InputFile,
    Inputs,
    Json,
    Namespace,
    SpecOrName,
    TaskQueue,
)
from ...terminal.output import emit, say


def start(
    spec: SpecOrName,
    input: Inputs = None,
    input_file: InputFile = None,
    bundle: Bundles = None,
    id: Annotated[
        str | None,
        typer.Option("--id", metavar="ID", help="Start once under this id; used again, it finds the task."),
    ] = None,
    task_queue: TaskQueue = None,
    address: Address = None,
    namespace: Namespace = None,
    codec: Codec = None,
    json: Json = False,
) -> None:
    """Start a task and leave it to the workers of its queue; `watch` shows how it goes.

    A file is sent as it is, which workers take with COUNTERSTEP_INLINE_SPECS=true only. With a bundle, names
    and input are checked before anything is sent; without one the workers check them.
    """
    from ....bundle.loading import load_bundles
    from ....bundle.registry import Registry
    from ....runtime.settings import read_settings
    from ...arguments.overrides import bundle_names
    from ...arguments.task_request import read_request

    settings = read_settings()
    bundles = load_bundles(bundle_names(bundle, settings))
    catalog = Registry(bundles).catalog if bundles else None
    request = read_request(spec, input or (), input_file, catalog)
    for warning in request.warnings():
        say(f"warning: {warning}")
    from ...arguments.server_target import find_target
    from ...operations.starting.start_task import start_task

    target = find_target(address, namespace, codec)
    queue = task_queue or settings.task_queue
    started = target.ask(start_task(target, request, id, queue))
    if json:
        emit(started.model_dump(mode="json"))
