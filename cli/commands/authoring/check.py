"""``counterstep check``: the faults of a spec, without a server."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ...arguments.options import Bundles, Json
from ...errors import CommandFailed
from ...exit_codes import ExitCode
from ...terminal.output import emit, say


def check(
    spec: Annotated[
        str, typer.Argument(metavar="SPEC", help="A YAML or JSON file, or the name of a registered task.")
    ],
    bundle: Bundles = None,
    json: Json = False,
) -> None:
    """Find the errors of a task before it runs; nothing is started.

    What fails only in some cases is a warning, with which the exit code is still 0.
    """
    from ....bundle.loading import load_bundles
    from ....bundle.positions import located_in_file
    from ....bundle.registry import Registry
    from ....bundle.spec_file import first_faults
    from ....runtime.settings import read_settings
    from ....saga.errors import SpecError
    from ....saga.spec.checker import check_spec
    from ....saga.spec.skippable import warnings_of
    from ...arguments.task_request import find_spec

    settings = read_settings()
    references = (*(bundle or ()), *settings.bundles)
    catalog = Registry(load_bundles(references), settings.model).catalog
    try:
        found, is_registered = find_spec(spec, catalog)
        faults = check_spec(found, catalog) if found else []
        warnings = warnings_of(found) if found and not faults else []
        if not is_registered:
            faults = located_in_file(faults, Path(spec))
            warnings = located_in_file(warnings, Path(spec))
    except SpecError as error:
        faults, warnings = list(error.faults), []
    if json:
        told = [(faults, "fault"), (warnings, "warning")]
        emit([{**asdict(fault), "severity": severity} for some, severity in told for fault in some])
    for warning in warnings:
        say(f"warning: {warning}")
    if not faults:
        say(f"{spec}: no faults")
        return
    for fault in first_faults(faults):
        say(str(fault))
    hint = "" if references else " No bundle is loaded; name yours with --bundle or COUNTERSTEP_BUNDLES."
    number = f"{len(faults)} fault{'s' if len(faults) > 1 else ''}"
    raise CommandFailed(f"{spec}: {number}.{hint}", code=ExitCode.BAD_USAGE)
