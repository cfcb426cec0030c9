"""``counterstep run``: one task, from its start to its end."""

from __future__ import annotations

from typing import Annotated

import typer

from ...arguments.options import (
    Address,
    Bundles,
    By,
    Codec,
    InputFile,
    Inputs,
    Json,
    Namespace,
    SpecOrName,
    TaskQueue,
)
from ...errors import CommandFailed
from ...terminal.output import say


def run(
    spec: SpecOrName,
    input: Inputs = None,
    input_file: InputFile = None,
    bundle: Bundles = None,
    id: Annotated[
        str | None,
        typer.Option(
            "--id", metavar="ID", help="Run once under this id; used again, it attaches or reports."
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME,...", help="The model, then its fallbacks. Also COUNTERSTEP_MODEL."),
    ] = None,
    task_queue: TaskQueue = None,
    by: By = None,
    address: Address = None,
    namespace: Namespace = None,
    codec: Codec = None,
    json: Json = False,
) -> None:
    """Run a task to its end; without a server it starts the embedded one.

    At a terminal it takes answers to what the task asks, as `approve`, `decide` and `resolve` do, by --by.

    Exits with 0 completed, 1 rolled back, 2 bad usage or spec, 3 rollback incomplete or a person must
    decide, 4 no server or no worker, 130 cancelled or left running.
    """
    from ....bundle.loading import load_bundles
    from ....bundle.registry import Registry
    from ....runtime.settings import read_settings
    from ...arguments.overrides import bundle_names, queue_asked_for, with_model
    from ...arguments.task_request import read_request, stand_in_notice

    settings = with_model(read_settings(), model)
    names = bundle_names(bundle, settings)
    bundles = load_bundles(names)
    catalog = Registry(bundles, settings.model).catalog if bundles else None
    request = read_request(spec, input or (), input_file, catalog)
    for warning in request.warnings():
        say(f"warning: {warning}")
    # Temporal's client is slow to load, and a faulty request does not need it.
    from ...arguments.server_target import find_target
    from ...operations.starting.run_task import Job, run_job
    from ...terminal.summary import finish

    target = find_target(address, namespace, codec, start=bool(bundles))
    if target.is_a_guess:
        raise CommandFailed(
            "Nobody would work on this task: name its bundle with --bundle or COUNTERSTEP_BUNDLES, or "
            "the server of its workers with --address."
        )
    job = Job(
        request=request,
        workflow_id=id,
        bundles=bundles,
        bundle_names=names,
        task_queue=queue_asked_for(task_queue, settings),
        settings=settings,
        target=target,
        notice=stand_in_notice(request, catalog),
        by=by,
    )
    outcome, end = target.ask(run_job(job))
    finish(outcome, end, target.options(), json=json)
