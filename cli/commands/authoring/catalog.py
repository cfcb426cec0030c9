"""``counterstep catalog``: what bundles offer."""

from __future__ import annotations

from ...arguments.options import Bundles, Json
from ...errors import CommandFailed
from ...terminal.output import emit


def catalog(bundle: Bundles = None, json: Json = False) -> None:
    """Show what bundles, and so the workers that load them, offer: tasks, start rules, agents, tools.

    Nothing is started. With the COUNTERSTEP_BUNDLES of a worker it shows what that worker offers.
    """
    from ....bundle.loading import load_bundles
    from ....bundle.registry import Registry
    from ....runtime.settings import read_settings
    from ...arguments.overrides import bundle_names
    from ...terminal.catalog_table import print_catalog

    settings = read_settings()
    references = bundle_names(bundle, settings)
    if not references:
        raise CommandFailed("Name a bundle with --bundle or COUNTERSTEP_BUNDLES.")
    registry = Registry(load_bundles(references), settings.model)
    offered, rules = registry.catalog, [known.rule for known in registry.start_rules.values()]
    print_catalog(offered, rules)
    if json:
        told = offered.model_dump(mode="json", by_alias=True)
        if offered.not_offered:
            told["not_offered"] = offered.not_offered
        if rules:
            told["start_rules"] = {rule.name: rule.model_dump(mode="json") for rule in rules}
        emit(told)
