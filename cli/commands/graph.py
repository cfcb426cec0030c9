"""``counterstep graph``: a task as a picture."""

from __future__ import annotations

from typing import Annotated

import typer

from ..arguments.options import Address, Bundles, Codec, Json, Namespace
from ..errors import CommandFailed
from ..terminal.output import emit, emit_text


def graph(
    spec: Annotated[
        str | None,
        typer.Argument(metavar="SPEC", help="A YAML or JSON file, or the name of a registered task."),
    ] = None,
    id: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="A task that was started, with its states.")
    ] = None,
    bundle: Bundles = None,
    address: Address = None,
    namespace: Namespace = None,
    codec: Codec = None,
    json: Json = False,
) -> None:
    """Print the graph of a spec, with the members of its teams, or of a task that was started, as Mermaid."""
    if (spec is None) == (id is None):
        raise CommandFailed("Name a SPEC, or a task that was started with --id.")
    from ..terminal.mermaid import draw
    from ..terminal.task_picture import picture_of_board, picture_of_spec

    if spec is not None:
        from ...bundle.loading import load_bundles
        from ...bundle.registry import Registry
        from ...runtime.settings import read_settings
        from ..arguments.overrides import bundle_names
        from ..arguments.task_request import find_spec

        catalog = Registry(load_bundles(bundle_names(bundle, read_settings()))).catalog
        found, _ = find_spec(spec, catalog)
        assert found is not None  # a name that the catalog lacks is refused
        picture = picture_of_spec(found, catalog)
    else:
        assert id is not None
        from ..arguments.server_target import find_target
        from ..operations.find_board import look_up_whole

        target = find_target(address, namespace, codec)
        picture = picture_of_board(target.ask(look_up_whole(target, id, what="The steps")))
    text = draw(picture)
    if json:
        emit({**picture.model_dump(mode="json"), "mermaid": text})
    else:
        emit_text(text)
