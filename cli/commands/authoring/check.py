"""``counterstep check``: the faults of a spec, without a server."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...arguments.options import Bundles, Json
from ...errors import CommandFailed
from ...exit_codes import ExitCode
from ...terminal.output import emit, say

if TYPE_CHECKING:
    from ....saga.spec.rules.costs import ModelCost


def check(
    spec: Annotated[
        str, typer.Argument(metavar="SPEC", help="A YAML or JSON file, or the name of a registered task.")
    ],
    bundle: Bundles = None,
    json: Json = False,
) -> None:
    """Find the errors of a task before it runs, and what it costs; nothing is started.

    What fails only in some cases is a warning, and what the field advises is a hint; with these the exit code
    is still 0.
    """
    from ....bundle.loading import load_bundles
    from ....bundle.positions import located_in_file
    from ....bundle.registry import Registry
    from ....bundle.spec_file import first_faults
    from ....runtime.settings import read_settings
    from ....saga.errors import SpecError
    from ....saga.spec.checker import check_spec
    from ....saga.spec.rules.costs import costs_of, hints_of
    from ....saga.spec.skippable import warnings_of
    from ...arguments.overrides import bundle_names
    from ...arguments.task_request import find_spec

    settings = read_settings()
    references = bundle_names(bundle, settings)
    registry = Registry(load_bundles(references), settings.model)
    catalog = registry.catalog
    try:
        found, is_registered = find_spec(spec, catalog)
        faults = [*check_spec(found, catalog), *registry.refused(found.steps)] if found else []
        warnings = warnings_of(found) if found and not faults else []
        if not is_registered:
            faults = located_in_file(faults, Path(spec))
            warnings = located_in_file(warnings, Path(spec))
    except SpecError as error:
        found, faults, warnings = None, list(error.faults), []
    is_good = found is not None and not faults
    hints = list(hints_of(found, catalog)) if found is not None and is_good else []
    costs = costs_of(found, catalog) if found is not None and is_good else []
    if json:
        told = [(faults, "fault"), (warnings, "warning"), (hints, "hint")]
        listed = [{**asdict(fault), "severity": severity} for some, severity in told for fault in some]
        emit(listed + [_as_json(cost) for cost in costs])
    for warning in warnings:
        say(f"warning: {warning}")
    for hint in hints:
        say(f"hint: {hint}")
    for cost in costs:
        say(
            f"cost: {cost.path or 'the whole task'}: {cost.calls}"
            + (f" ({cost.formula})" if cost.path else "")
        )
    if not faults:
        say(f"{spec}: no faults")
        return
    for fault in first_faults(faults):
        say(str(fault))
    advice = "" if references else " No bundle is loaded; name yours with --bundle or COUNTERSTEP_BUNDLES."
    number = f"{len(faults)} fault{'s' if len(faults) > 1 else ''}"
    raise CommandFailed(f"{spec}: {number}.{advice}", code=ExitCode.BAD_USAGE)


def _as_json(cost: ModelCost) -> dict[str, Any]:
    return {
        "severity": "cost",
        "path": cost.path,
        "message": cost.formula,
        "model_calls": {"least": cost.calls.least, "most": cost.calls.most},
    }
