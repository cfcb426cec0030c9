"""``counterstep a2a``: the tasks of the bundles as an agent for agents of others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..arguments.extras import needing
from ..arguments.options import Address, Bundles, Codec, Namespace, TaskQueue

_EXTRA = {"a2a", "google", "sse_starlette", "starlette", "uvicorn"}


def a2a(
    bundle: Bundles = None,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 for any that is free.")] = 8235,
    url: Annotated[
        str | None, typer.Option(metavar="URL", help="Where clients call it, if that is another address.")
    ] = None,
    tokens: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            envvar="COUNTERSTEP_A2A_TOKENS",
            help="Who may call: a file with a name and a bearer token on each line.",
        ),
    ] = None,
    jwks: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|URL",
            envvar="COUNTERSTEP_A2A_JWKS",
            help="Who may call: whoever has a JWT that is signed with one of these keys.",
        ),
    ] = None,
    audience: Annotated[
        str | None,
        typer.Option(metavar="NAME", envvar="COUNTERSTEP_A2A_AUDIENCE", help="The `aud` of these JWTs."),
    ] = None,
    sign_key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Sign the agent card with this private JWK.")
    ] = None,
    push_store: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Send notifications of changes; this SQLite file keeps where to."),
    ] = None,
    push_host: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST[:PORT]", help="Where notifications may be sent; repeatable."),
    ] = None,
    task_queue: TaskQueue = None,
    address: Address = None,
    namespace: Namespace = None,
    codec: Codec = None,
) -> None:
    """Serve the registered tasks as an A2A agent, over JSON-RPC and HTTP+JSON, until Ctrl-C.

    Each caller sees the tasks that it has started. Tasks go on by themselves: their workers run elsewhere.
    """
    with needing("a2a", "A2A", _EXTRA):
        from ..operations.serving.serve_a2a import A2aRequest, serve_a2a
    from ...bundle.loading import load_bundles
    from ...bundle.registry import Registry
    from ...runtime.settings import read_settings
    from ..arguments.overrides import bundle_names
    from ..arguments.server_target import find_target

    settings = read_settings()
    catalog = Registry(load_bundles(bundle_names(bundle, settings)), settings.model).catalog
    target = find_target(address, namespace, codec)
    request = A2aRequest(
        host,
        port,
        url,
        tokens,
        jwks,
        audience,
        sign_key,
        push_store,
        tuple(push_host or ()),
        task_queue or settings.task_queue,
    )
    target.ask(serve_a2a(target, request, catalog))
