"""``counterstep inbox``: the web page where people answer."""

from __future__ import annotations

from typing import Annotated

import typer

from ..arguments.extras import needing
from ..arguments.options import Address, Codec, Json, Namespace

_EXTRA = {"itsdangerous", "jinja2", "starlette", "uvicorn"}


def inbox(
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 for any that is free.")] = 8234,
    user: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[=ROLE,ROLE]",
            help="Who may sign in locally, with which roles; repeatable. You, if nobody is named.",
        ),
    ] = None,
    anywhere: Annotated[
        bool, typer.Option("--anywhere", help="Let people sign in locally from other machines, too.")
    ] = False,
    web_ui_url: Annotated[
        str | None, typer.Option(metavar="URL", help="Temporal's Web UI. Also COUNTERSTEP_WEB_UI_URL.")
    ] = None,
    address: Address = None,
    namespace: Namespace = None,
    codec: Codec = None,
    json: Json = False,
) -> None:
    """Serve a web page that shows what waits for people, and takes their answers, until Ctrl-C.

    People sign in with passwords that are printed at the start, or by a proxy
    (COUNTERSTEP_INBOX_SIGN_IN=header).
    """
    with needing("inbox", "The inbox", _EXTRA):
        from ..operations.serving.serve_inbox import InboxRequest, serve_inbox
    from ..arguments.server_target import find_target

    target = find_target(address, namespace, codec)
    request = InboxRequest(host, port, tuple(user or ()), anywhere, web_ui_url)
    target.ask(serve_inbox(target, request, json=json))
