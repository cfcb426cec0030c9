"""``counterstep mcp``: the tasks of the bundles as tools for IDEs and agents of others."""

from __future__ import annotations

from typing import Annotated

import typer

from ..arguments.options import Address, Bundles, By, Codec, Namespace, TaskQueue, Token


def mcp(
    bundle: Bundles = None,
    http: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Serve over HTTP there, at /mcp, in place of the standard input and output. Where others "
            "can reach it, COUNTERSTEP_MCP_TOKEN is needed, which clients show as a bearer token.",
        ),
    ] = None,
    by: By = None,
    token: Token = None,
    task_queue: TaskQueue = None,
    address: Address = None,
    namespace: Namespace = None,
    codec: Codec = None,
) -> None:
    """Serve the registered tasks as MCP tools: start, watch, answer, cancel.

    A client that shows forms asks its person what a task wants to know. Tasks go on by themselves, whoever
    watches them: their workers run elsewhere.
    """
    from ...bundle.loading import load_bundles
    from ...bundle.registry import Registry
    from ...runtime.settings import read_settings
    from ..arguments.overrides import bundle_names
    from ..arguments.server_target import find_target
    from ..operations.serving.serve_mcp import McpRequest, serve_mcp

    settings = read_settings()
    catalog = Registry(load_bundles(bundle_names(bundle, settings)), settings.model).catalog
    target = find_target(address, namespace, codec)
    request = McpRequest(http, by, token, task_queue or settings.task_queue)
    target.ask(serve_mcp(target, request, catalog))
