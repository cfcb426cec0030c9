"""``counterstep fork``: go on from where another task was, with another prompt, model or input."""

from __future__ import annotations

from typing import Annotated

import typer

from ...arguments.options import Address, Bundles, By, Codec, Json, Namespace, StepId, TaskId, TaskQueue
from ...errors import CommandFailed


def fork(
    id: TaskId,
    step: StepId,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="PATH=VALUE",
            help="input.NAME, steps.ID.input.NAME, goal, or agents.NAME. with instructions, model, "
            "temperature, max_tokens or seed: JSON, or else text; repeatable.",
        ),
    ] = None,
    bundle: Bundles = None,
    new_id: Annotated[
        str | None,
        typer.Option("--id", metavar="ID", help="The id of the new task; ID-fork-N if it is not given."),
    ] = None,
    throw_away: Annotated[
        bool, typer.Option("--throw-away", help="Run it on a server of its own, thrown away at the end.")
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,...",
            help="The model of agents that name none, then its fallbacks. Also COUNTERSTEP_MODEL.",
        ),
    ] = None,
    task_queue: TaskQueue = None,
    by: By = None,
    address: Address = None,
    namespace: Namespace = None,
    codec: Codec = None,
    json: Json = False,
) -> None:
    """Start a new task from the recorded state of another one before a step, and run it to its end.

    What the task ID had finished by then is taken over as facts; STEP and the rest run, with effects of their
    own. ID is only read, and what it did stays with it. STEP#2 is the second time that STEP started; the last
    time counts otherwise. With a bundle a worker of this process runs the new task; without one it is left to
    the workers of the queue of ID, which take it with COUNTERSTEP_INLINE_SPECS=true only. The same fork is
    started once only.

    Exits as `run` does.
    """
    from ....bundle.loading import load_bundles
    from ....runtime.settings import read_settings
    from ...arguments.overrides import bundle_names, queue_asked_for, with_model
    from ...arguments.values import read_values

    settings = with_model(read_settings(), model)
    names = bundle_names(bundle, settings)
    if throw_away and not names:
        raise CommandFailed(
            "On a server of its own nobody else works on the task: name its bundle with --bundle or "
            "COUNTERSTEP_BUNDLES."
        )
    bundles = load_bundles(names)
    wanted = read_values(changes or (), None, option="--set", root="--set")
    # Temporal's client is slow to load, and a faulty request does not need it.
    from ...arguments.server_target import find_target
    from ...operations.starting.run_fork import ForkJob, run_fork
    from ...terminal.summary import finish

    target = find_target(address, namespace, codec, start=bool(bundles))
    job = ForkJob(
        id=id,
        step=step,
        changes=wanted,
        new_id=new_id,
        throw_away=throw_away,
        bundles=bundles,
        bundle_names=names,
        task_queue=queue_asked_for(task_queue, settings),
        settings=settings,
        target=target,
        by=by,
    )
    outcome, end, server = target.ask(run_fork(job))
    finish(outcome, end, server, json=json)
